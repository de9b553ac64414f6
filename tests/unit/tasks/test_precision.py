"""`precision` and `compile`: training really runs in bf16 or compiled, and what is saved and scored does not change its form."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from stages import merged, run_stage_here, write_params
from tiny_problem import CPU, TARGET, networks, splits

from config.parameters import load
from errors import UserError
from methods.meta_teacher import MetaTeacher
from models.classifier import Classifier
from tasks.runtime.torch_setup import check_compiler
from training.curriculum.rewards import Levels, ProbeReader
from training.curriculum.types import Probe, TargetQuiz
from training.predict import predict
from training.quiz_batches import fixed_batches

pytestmark = pytest.mark.xdist_group("precision")
SMALL = {
    "datasets": ["standing"],
    "teacher": {"epochs": 1},
    "student": {"epochs": 1},
}
ONE = ("--dataset", "standing", "--seed", "42")


@pytest.fixture(autouse=True)
def other_precisions_may_follow() -> Iterator[None]:
    """accelerate keeps one precision a process, and a stage has a process of its own; tests share one."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def prepared(folder: Path, **changes: object) -> Path:
    """A folder whose splits are made."""
    catalog = Path(__file__).parents[3] / "data"
    (folder / "data").symlink_to(catalog)
    (folder / "profiles").symlink_to(catalog.parent / "profiles")
    write_params(folder, **SMALL, **changes)
    for stage in ("source", "split"):
        ended = run_stage_here(folder, stage, "--dataset", "standing")
        assert ended.status == 0, ended.errors
    return folder


def teacher(folder: Path, **changes: object) -> dict[str, torch.Tensor]:
    """The weights that a teacher's training ends with."""
    AcceleratorState._reset_state(reset_partial_state=True)
    write_params(folder, **SMALL, **changes)
    ended = run_stage_here(folder, "teacher", *ONE)
    assert ended.status == 0, ended.errors
    return load_file(folder / "outputs/teacher/standing/42/model/model.safetensors")


@dataclass
class Passes:
    """Every pass of a network: which one, whether it was in training mode, and whether under autocast."""

    seen: set[tuple[str, bool, bool]] = field(default_factory=set)

    def scored_under_autocast(self) -> set[str]:
        return {name for name, training, autocast in self.seen if autocast and not training}

    def trained_under_autocast(self) -> bool:
        return ("Classifier", True, True) in self.seen


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Passes:
    noted = Passes()
    for network in (Classifier, MetaTeacher):
        forward = network.forward

        def watched(self, *values, _forward=forward, **named):
            noted.seen.add((type(self).__name__, self.training, torch.is_autocast_enabled("cpu")))
            return _forward(self, *values, **named)

        monkeypatch.setattr(network, "forward", watched)
    return noted


def test_bf16_trains_under_autocast_and_leaves_float32_weights(tmp_path: Path, passes: Passes) -> None:
    folder = prepared(tmp_path)
    plain = teacher(folder)
    assert not passes.trained_under_autocast()
    half = teacher(folder, precision="bf16")
    assert passes.trained_under_autocast()
    assert {value.dtype for value in half.values()} == {torch.float32}
    assert half.keys() == plain.keys()
    assert any(not torch.equal(half[name], plain[name]) for name in plain)


def test_whatever_is_scored_or_chosen_by_is_float32_in_bf16_training_too(tmp_path: Path, passes: Passes) -> None:
    """Selection, trajectory, signals, quiz and probe: each is a pass in eval mode. Training passes are not in it."""
    few = {"episodes": 1, "max_steps_per_episode": 2}
    folder = prepared(tmp_path, precision="bf16")

    def run(stage: str, *options: str, **changes: object) -> None:
        AcceleratorState._reset_state(reset_partial_state=True)
        passes.seen.clear()
        write_params(folder, **merged(merged({}, SMALL), {"precision": "bf16", **changes}))
        ended = run_stage_here(folder, stage, *ONE, *options)
        assert ended.status == 0, ended.errors
        assert passes.seen and not passes.scored_under_autocast(), (stage, options, changes)

    run("teacher", teacher={"epochs": 1, "trajectory": True})
    run("signals")
    for method in ("mse_kd", "dml"):
        methods = ["mse_kd", "mpdistil", *({method} - {"mse_kd"})]
        run("student", "--method", method, methods=methods)
        assert passes.trained_under_autocast()
    run("meta_teacher")
    for reward in ("binary", "real", "gain", "alignment"):
        run("curriculum", "--method", "mpdistil", curriculum={**few, "reward": reward, "gamma": None, "baseline": None})
        assert passes.trained_under_autocast()
    run("evaluate", "--method", "mpdistil")


@pytest.mark.parametrize("reader", ["predict", "loss", "gradient", "level"])
def test_a_pass_that_scores_is_float32_within_a_region_of_autocast(reader: str, passes: Passes) -> None:
    network, rows = networks()[0], splits().selection
    probe = Probe(fixed_batches(rows, range(len(rows)), 4), frozenset())
    own = ProbeReader(probe, network, TARGET.name, TARGET.kind, CPU)
    target = TargetQuiz(TARGET.name, lambda _: [], torch.zeros(12), frozenset())
    levels = Levels(network, target, TARGET.kind, CPU)
    read: dict[str, Callable[[], object]] = {
        "predict": lambda: predict(network, rows, dataset=TARGET.name, batch_size=4, device=CPU).logits,
        "loss": own.loss,
        "gradient": lambda: own.gradient([*network.heads.parameters()][:1])[0],
        "level": lambda: levels.of(probe.batches[0])["real"],
    }
    plain = read[reader]()
    own.student_moved()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(np.asarray(read[reader]()), np.asarray(plain))
    assert passes.seen == {("Classifier", False, False)}


def test_a_bf16_student_learns_from_signals_too(tmp_path: Path) -> None:
    folder = prepared(tmp_path, precision="bf16")
    teacher(folder, precision="bf16")
    assert run_stage_here(folder, "signals", *ONE).status == 0
    ended = run_stage_here(folder, "student", *ONE, "--method", "mse_kd")
    assert ended.status == 0, ended.errors


@pytest.mark.slow
@pytest.mark.skipif(
    any(sign.isspace() for sign in torch.__file__), reason="torch.compile can't link in a folder with a space"
)
def test_compiled_training_ends_with_the_same_names_and_nearly_the_same_weights(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    plain, compiled = teacher(folder), teacher(folder, compile=True)
    assert compiled.keys() == plain.keys()
    # Dropout draws other masks in compiled code.
    assert all(torch.isfinite(value).all() for value in compiled.values())
    assert any(not torch.equal(compiled[name], plain[name]) for name in plain)


def test_methods_with_forward_derivatives_refuse_compile(tmp_path: Path) -> None:
    methods = ["finetune", "metadistil"]
    write_params(tmp_path, compile=True, methods=methods)
    with pytest.raises(UserError, match="metadistil takes forward-mode derivatives"):
        load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CXX", "no-such-compiler", "there is no C++ compiler 'no-such-compiler'"),
        ("TORCHINDUCTOR_CACHE_DIR", "/tmp/a space", "cannot link with a space in a path: /tmp/a space"),
    ],
)
def test_a_compiler_that_cannot_run_is_one_line_before_anything_is_compiled(
    variable: str, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(tmp_path, compile=True)
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(
        torch, "__file__", "/opt/venv/torch/__init__.py"
    )  # the tests' own may lie in a folder with a space
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    ended = run_stage_here(tmp_path, "teacher", *ONE)
    assert (ended.status, ended.output) == (2, "")
    assert ended.errors.startswith("teacher: compile: true, but ") and ended.errors.count("\n") == 1
    assert said in ended.errors


def test_an_environment_in_a_folder_with_a_space_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__file__", "/home/ann o/work/.venv/lib/torch/__init__.py")
    with pytest.raises(UserError, match=r"a space in a path: /home/ann o/work/.*false"):
        check_compiler()
