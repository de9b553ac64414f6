"""A person's environment: the same parameters give the same bytes, or one line says which variable is in the way."""

import pytest
from made_pipeline import Made

pytestmark = pytest.mark.xdist_group("faults")
# Each was seen to change the weights, or to end the stage with a traceback.
LEFT_BEHIND = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "WORLD_SIZE": "1",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONINSPECT": "1",
    "PYTHONIOENCODING": "utf-16",
    "GIT_DIR": "/nowhere",
    "ALL_PROXY": "socks5://127.0.0.1:1080",
}


def test_what_was_left_behind_changes_no_weight(made: Made) -> None:
    before = made.bytes_of("teacher")["model/model.safetensors"]
    ended = made.run_apart("teacher", **LEFT_BEHIND)
    assert ended.status == 0, ended.errors
    assert [line for line in ended.errors.splitlines() if not line.startswith("WARNING: teacher reviews 1:")] == []
    assert ended.output.startswith("teacher reviews 1: ")
    assert made.bytes_of("teacher")["model/model.safetensors"] == before


def test_a_report_is_made_from_a_notebook(made: Made) -> None:
    ended = made.run_apart("report", MPLBACKEND="module://matplotlib_inline.backend_inline")
    assert ended.status == 0, ended.errors


@pytest.mark.parametrize(
    ("name", "value"),
    [("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "8"), ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")],
)
def test_what_would_train_otherwise_is_refused_and_nothing_is_written(made: Made, name: str, value: str) -> None:
    before = made.everything()
    ended = made.run_apart("teacher", **{name: value})
    assert (ended.status, ended.output) == (2, "")
    assert len(ended.errors.splitlines()) == 1
    assert ended.errors.startswith(f"teacher: {name}={value}, in the environment")
    assert made.everything() == before
