"""`dvc repro` after a change: it runs what it must again, and nothing else."""

import resource

import pytest
from workspace import ALWAYS, Workspace, ran, started

pytestmark = pytest.mark.xdist_group("pipeline")
METHODS = ("finetune", "mse_kd", "mpdistil")


def test_a_second_run_runs_nothing_and_is_quick(pipeline: Workspace) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = pipeline.dvc("repro")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert started(output) == ALWAYS
    # Of the processor, since the machine may have other work; without register's, which is no child of this process.
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"second dvc repro: {used:.1f} s")
    assert used < 12


def test_another_reward_changes_the_curricula_and_what_follows(pipeline: Workspace) -> None:
    with pipeline.params(curriculum={"reward": "real"}):
        changed, after = pipeline.changed()
    curricula = {f"curriculum@{name}-mpdistil-42" for name in pipeline.datasets}
    assert changed == curricula
    assert after == curricula | {f"evaluate_curriculum@{name}-mpdistil-42" for name in pipeline.datasets} | {"report"}


def test_a_new_seed_runs_only_itself(pipeline: Workspace) -> None:
    with pipeline.params(seeds=[42, 7]):
        changed, after = pipeline.changed()
    assert {stage for stage in after if not stage.endswith("-7")} == {"report"}
    per_dataset = 2 + 2 + 2 + len(METHODS)  # teacher, signals, students, meta-teacher, curriculum, evaluate
    assert len(changed - {"report"}) == per_dataset * len(pipeline.datasets)


def test_a_new_dataset_runs_no_teacher_or_student_of_another_and_every_curriculum(pipeline: Workspace) -> None:
    names = [*pipeline.datasets, pipeline.another]
    with pipeline.params(datasets=names):
        _, after = pipeline.changed()
    old = {stage for stage in after if not stage.partition("@")[2].startswith(pipeline.another)}
    again = {f"curriculum@{name}-mpdistil-42" for name in pipeline.datasets}
    assert old == again | {f"evaluate_curriculum@{name}-mpdistil-42" for name in pipeline.datasets} | {"report"}
    assert f"teacher@{pipeline.another}-42" in after


def test_a_parameter_of_one_method_leaves_the_others_alone(pipeline: Workspace) -> None:
    with pipeline.params(mse_kd={"temperature": 3.0}):
        changed, after = pipeline.changed()
    students = {f"student@{name}-mse_kd-42" for name in pipeline.datasets}
    assert students <= changed
    assert not [stage for stage in after if "finetune" in stage or stage.startswith(("teacher", "signals"))]


def test_a_method_that_is_left_out_runs_only_the_report(pipeline: Workspace) -> None:
    with pipeline.params(methods=["finetune", "mse_kd"]):
        _, after = pipeline.changed()
    assert after == {"report"}


def test_a_method_that_comes_back_runs_no_student_of_another(pipeline: Workspace) -> None:
    with pipeline.params(methods=["finetune"]):
        changed, _ = pipeline.changed()
    assert not [stage for stage in changed if stage.startswith(("teacher", "student", "signals"))]


def test_code_that_changes_nothing_stops_after_its_own_stage(pipeline: Workspace) -> None:
    with (pipeline.root / "tasks/source.py").open("a", encoding="utf-8") as file:
        file.write("# A comment.\n")
    assert ran(pipeline.dvc("repro")) == {"code", *(f"source@{name}" for name in pipeline.datasets)}
