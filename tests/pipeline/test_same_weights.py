"""The same weights, bit for bit: by DVC, by hand, again by hand, and after a run that was killed."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from stages import run_stage_here
from workspace import Workspace, environment

pytestmark = pytest.mark.xdist_group("pipeline")
# Stage -> its options after the dataset, and its output for one.
STAGES = {
    "teacher": (("--seed", "42"), "teacher/{}/42"),
    "student": (("--method", "mse_kd", "--seed", "42"), "student/{}/mse_kd/42"),
    "curriculum": (("--method", "mpdistil", "--seed", "42"), "student/{}/mpdistil/42"),
}


@pytest.fixture(scope="module")
def apart(ran_once: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The outputs of the shared run in a folder where tests may write over them."""
    root = tmp_path_factory.mktemp("apart") / "by hand"
    shutil.copytree(ran_once.root, root, symlinks=True, ignore=shutil.ignore_patterns(".dvc", ".git"))
    return Workspace(root, ran_once.datasets, ran_once.another)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_run_by_hand_twice_gives_the_weights_that_dvc_got(apart: Workspace, stage: str) -> None:
    name = apart.datasets[1]
    options, output = STAGES[stage][0], STAGES[stage][1].format(name)
    by_dvc = apart.weights(output)
    apart.output(output, "model", "model.safetensors").unlink()
    apart.stage(stage, "--dataset", name, *options)
    assert apart.weights(output) == by_dvc
    assert run_stage_here(apart.root, stage, "--dataset", name, *options).status == 0
    assert apart.weights(output) == by_dvc


def test_without_the_other_datasets_of_the_benchmark_teacher_and_student_are_the_same(apart: Workspace) -> None:
    name = apart.datasets[1]
    alone = {"datasets": [name]}
    for stage in ("teacher", "student"):
        options, output = STAGES[stage][0], STAGES[stage][1].format(name)
        among_others = apart.weights(output)
        apart.output(output, "model", "model.safetensors").unlink()
        with apart.params(**alone):
            assert run_stage_here(apart.root, stage, "--dataset", name, *options).status == 0
        assert apart.weights(output) == among_others


def test_a_killed_teacher_leaves_the_old_one_and_the_next_run_succeeds(apart: Workspace) -> None:
    name = apart.datasets[0]
    output = f"teacher/{name}/42"
    before, partial = apart.weights(output), apart.output(".partial")
    with apart.params(teacher={"epochs": 5000}):
        process = subprocess.Popen(
            ["python", "-m", "tasks.teacher", "--dataset", name, "--seed", "42"],
            cwd=apart.root,
            env=environment(),
            stderr=subprocess.DEVNULL,
        )
        _wait_for(partial, f"teacher-{name}-42-{process.pid}")
        time.sleep(1)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert apart.weights(output) == before
    assert [path.name for path in partial.iterdir()] == [f"teacher-{name}-42-{process.pid}"]
    shutil.rmtree(apart.output(output))
    assert run_stage_here(apart.root, "teacher", "--dataset", name, "--seed", "42").status == 0
    assert apart.weights(output) == before
    assert list(partial.iterdir()) == []


def _wait_for(folder: Path, name: str) -> None:
    for _ in range(3000):
        if (folder / name).is_dir():
            return
        time.sleep(0.1)
    raise AssertionError(f"{folder / name} did not appear in five minutes")


def test_what_is_selected_on_dev_says_so_wherever_it_is_shown(apart: Workspace) -> None:
    name = apart.datasets[0]
    alone = {"datasets": [name], "methods": ["finetune"]}
    seed, method = ("--seed", "42"), ("--method", "finetune")
    with apart.params(split={"selection": "dev"}, **alone):
        for stage, options in (
            ("split", ()),
            ("teacher", seed),
            ("signals", seed),
            ("student", (*method, *seed)),
            ("evaluate", (*method, *seed)),
        ):
            ended = run_stage_here(apart.root, stage, "--dataset", name, *options)
            assert ended.status == 0, ended.errors
            if stage in ("teacher", "student"):
                assert " on dev" in ended.output
        assert run_stage_here(apart.root, "report").status == 0
    for path in (f"teacher/{name}/42", f"student/{name}/finetune/42", f"evaluate/{name}/finetune/42"):
        assert apart.json(path, "metrics.json")["selected_on"] == "dev"
    assert apart.json("report", "metrics.json")["selected_on_dev"] == 1
    for shown in ("report.html", "table.txt", "report.json"):
        assert "selected on dev" in apart.output("report", shown).read_text(encoding="utf-8").lower()
