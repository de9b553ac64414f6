"""Two processes that split the parameters of a network while it trains (FSDP 2) leave what one process leaves."""

import json
from pathlib import Path

import pytest
import torch
from launching import HERE, launched
from plan import CHOICE, PAIR, steps_in_parts
from safetensors.torch import load_file
from small_networks import FAMILY_NAMES
from stages import ROOT
from test_launches import own_lines
from test_two_processes_as_one import CLOSE, apart, results

pytestmark = pytest.mark.xdist_group("processes")
LABELS = [step.label for step in steps_in_parts()]
MODELS = [step.label for step in steps_in_parts() if step.stage not in ("signals", "evaluate", "curriculum")]
LAUNCH = ("python", "-m", "hardware", "fsdp_cpu_2")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, float]]]:
    """The findings of parts.py, in both processes."""
    folder = tmp_path_factory.mktemp("parts")
    file, script = str(ROOT / "hardware" / "fsdp_cpu_2.yaml"), str(HERE / "parts.py")
    done = launched("accelerate", "launch", "--config_file", file, script, str(folder), folder=folder)
    _, errors = done.communicate(timeout=400)
    assert (done.returncode, errors) == (0, "")
    return [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("label", LABELS)
def test_a_stage_has_the_losses_of_one_process(label: str, ran_in_parts: Path) -> None:
    one, parts = results(ran_in_parts / "one" / label), results(ran_in_parts / "parts" / label)
    assert one.keys() == parts.keys()
    assert apart(one, parts) == {}


@pytest.mark.slow
@pytest.mark.parametrize("label", MODELS)
def test_a_model_file_is_whole_and_has_the_weights_of_one_process(label: str, ran_in_parts: Path) -> None:
    folders = [ran_in_parts / name / label / "model" for name in ("one", "parts")]
    names = [sorted(file.name for file in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    for name in (name for name in names[0] if name.endswith(".safetensors")):
        one, parts = (load_file(folder / name) for folder in folders)
        assert one.keys() == parts.keys()
        # What changes no attention, and what all candidates of a row get, has a gradient of rounding, which AdamW makes
        # steps of.
        idle = ("key.bias", "classifier.bias") if CHOICE in label else ("key.bias",)
        differences = [(one[key] - parts[key]).abs().flatten() for key in one if not key.endswith(idle)]
        far = torch.cat(differences)
        # Nor is much more than rounding left of the gradient of a unit that hardly ever opens; such are a few weights.
        assert (far > CLOSE).float().mean() < 1e-3 and far.max() < 1e-4


@pytest.mark.slow
def test_only_the_first_process_writes_models_in_parts(ran_in_parts: Path) -> None:
    first, other = (json.loads((ran_in_parts / f"parts-{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1))
    assert first["world"] == 2 and first["written"] and other["written"] == []


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_every_family_trains_in_parts_as_it_does_whole(family: str, found: list[dict[str, dict[str, float]]]) -> None:
    for process in found:
        assert process[family]["moved"] > 1e-3
        assert process[family]["apart"] < CLOSE


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_each_process_keeps_about_half_of_the_parameters(family: str, found: list[dict[str, dict[str, float]]]) -> None:
    assert all(0.4 < process[family]["share"] < 0.6 for process in found)


def test_a_run_in_parts_goes_on_from_its_checkpoint_bit_for_bit(found: list[dict[str, dict[str, float]]]) -> None:
    assert [process["resumed"]["apart"] for process in found] == [0, 0]
    assert found[0]["resumed"]["lines"] == 1  # "goes on from its checkpoint, after 4 steps"


@pytest.mark.slow
def test_what_needs_whole_parameters_is_refused_with_one_line(ran: Path) -> None:
    command = ("tasks.student", "--dataset", PAIR, "--method", "lgtm", "--seed", "1")
    process = launched(*LAUNCH, *command, folder=ran)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 2
    assert len(own_lines(errors)) == 1 and "lgtm" in errors and "hardware/multi_gpu.yaml" in errors
