"""`precision` and `compile`: training really runs in bf16 or compiled, and what is saved and scored does not change its form."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from stages import run_stage_here, write_params

from config import ConfigError, load
from models.classifier import Classifier
from tasks.running.stage import StageError
from tasks.running.torch_runtime import check_compiler

pytestmark = pytest.mark.xdist_group("precision")
SMALL = {
    "datasets": ["standing"],
    "mpdistil": {"datasets": ["standing"]},
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


def test_bf16_trains_under_autocast_and_leaves_float32_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, seen = prepared(tmp_path), set[tuple[bool, bool]]()
    forward = Classifier.forward

    def watched(self: Classifier, *values: object, **named: object) -> object:
        seen.add((self.training, torch.is_autocast_enabled("cpu")))
        return forward(self, *values, **named)  # ty: ignore[invalid-argument-type]

    monkeypatch.setattr(Classifier, "forward", watched)
    plain = teacher(folder)
    assert (True, True) not in seen
    seen.clear()
    half = teacher(folder, precision="bf16")
    assert (True, True) in seen, "training runs under autocast"
    assert (False, False) in seen, "what is saved is scored in float32"
    assert {value.dtype for value in half.values()} == {torch.float32}
    assert half.keys() == plain.keys()
    assert any(not torch.equal(half[name], plain[name]) for name in plain)


def test_a_bf16_student_learns_from_signals_too(tmp_path: Path) -> None:
    folder = prepared(tmp_path, precision="bf16")
    teacher(folder, precision="bf16")
    assert run_stage_here(folder, "signals", *ONE).status == 0
    ended = run_stage_here(folder, "student", *ONE, "--method", "mse_kd")
    assert ended.status == 0, ended.errors


@pytest.mark.slow
def test_compiled_training_ends_with_the_same_names_and_nearly_the_same_weights(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    plain, compiled = teacher(folder), teacher(folder, compile=True)
    assert compiled.keys() == plain.keys()
    # Dropout draws other masks in compiled code.
    assert all(torch.isfinite(value).all() for value in compiled.values())
    assert any(not torch.equal(compiled[name], plain[name]) for name in plain)


def test_methods_with_forward_derivatives_refuse_compile(tmp_path: Path) -> None:
    methods = ["finetune", "metadistil"]
    nothing = {"base": "finetune", "datasets": []}
    write_params(tmp_path, compile=True, methods=methods, student={"methods": methods}, mpdistil=nothing)
    with pytest.raises(ConfigError, match="metadistil takes forward derivatives"):
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
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    ended = run_stage_here(tmp_path, "teacher", *ONE)
    assert (ended.status, ended.output) == (2, "")
    assert ended.errors.startswith("teacher: compile: true, but ") and ended.errors.count("\n") == 1
    assert said in ended.errors


def test_an_environment_in_a_folder_with_a_space_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__file__", "/home/ann o/work/.venv/lib/torch/__init__.py")
    with pytest.raises(StageError, match=r"a space in a path: /home/ann o/work/.*false"):
        check_compiler()
