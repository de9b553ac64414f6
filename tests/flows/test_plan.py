"""Filters over the graph, and the plan: what would run, what may, what comes from the cache; in time."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from recorded import make_unrun

from errors import UserError
from flows.filters import select
from flows.graph import Graph, Node
from flows.plan import duration, make_plan

DATASETS, METHODS, SEEDS = ("left-most", "left"), ("finetune", "mpdistil"), (1, 2)


def node(stage: str, dataset: str | None, method: str | None, seed: int | None, *needs: str, **others: object) -> Node:
    """A stage, up to date unless something else is said."""
    name = "-".join(str(part) for part in (dataset, method, seed) if part is not None)
    plain = Node(f"{stage}@{name}" if name else stage, stage, dataset, method, seed, needs, (), 10.0, always=False)
    return replace(plain, **others)


def pipeline() -> Graph:
    """Splits, teachers, students; the students of mpdistil need the splits of all datasets; a report; register."""
    splits = [node("split", dataset, None, None) for dataset in DATASETS]
    teachers = [node("teacher", dataset, None, seed, f"split@{dataset}") for dataset in DATASETS for seed in SEEDS]
    students = [
        node("student", dataset, "finetune", seed, f"teacher@{dataset}-{seed}")
        for dataset in DATASETS
        for seed in SEEDS
    ]
    curricula = [
        node(
            "curriculum", dataset, "mpdistil", seed, *(one.name for one in splits), f"student@{dataset}-finetune-{seed}"
        )
        for dataset in DATASETS
        for seed in SEEDS
    ]
    evaluations = [node("evaluate", one.dataset, one.method, one.seed, one.name) for one in (*students, *curricula)]
    names = [one.name for one in evaluations]
    report = node("report", None, None, None, *names)
    register = node("register", None, None, None, *names, *(one.name for one in students), always=True)
    everything = [*splits, *teachers, *students, *curricula, *evaluations, report, register]
    return Graph(Path(), {one.name: one for one in everything})


def changed(graph: Graph, **reasons: str) -> Graph:
    """The graph with stages out of date, `__` in a keyword standing for a dash and the first `_` for @."""
    return replace(
        graph,
        nodes={
            name: replace(one, reasons=(reasons[name],)) if name in reasons else one
            for name, one in graph.nodes.items()
        },
    )


def test_without_filters_everything_is_taken() -> None:
    assert select(pipeline()) == pipeline()


def test_a_filter_takes_what_it_names_and_all_that_this_needs() -> None:
    kept = select(pipeline(), datasets=["left"], seeds=[2], methods=["mpdistil"]).nodes
    assert list(kept) == [
        "split@left-most",
        "split@left",
        "teacher@left-2",
        "student@left-finetune-2",
        "curriculum@left-mpdistil-2",
        "evaluate@left-mpdistil-2",
        "register",
    ]


def test_with_a_filter_register_waits_for_the_kept_evaluations_only_and_there_is_no_report() -> None:
    kept = select(pipeline(), seeds=[1]).nodes
    assert "report" not in kept
    assert set(kept["register"].needs) == {
        f"evaluate@{dataset}-{method}-1" for dataset in DATASETS for method in METHODS
    }


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"datasets": ["lef"]}, "--datasets lef: not in the pipeline; did you mean left"),
        ({"seeds": [3]}, "--seeds 3: not in the pipeline; those are 1, 2"),
        ({"methods": ["finetun"]}, "--methods finetun: not in the pipeline; did you mean finetune"),
    ],
)
def test_an_unknown_name_in_a_filter_is_an_error_with_the_near_ones(filters: dict[str, list], message: str) -> None:
    with pytest.raises(UserError, match=message):
        select(pipeline(), **filters)


def test_what_needs_a_stage_that_runs_may_run_and_the_rest_is_up_to_date() -> None:
    name = "curriculum@left-mpdistil-1"
    plan = {one.node.name: one for one in make_plan(changed(pipeline(), **{name: "changed: methods/returns.py"}))}
    assert plan[name].state == "run"
    assert {one for one in plan if plan[one].state == "may run"} == {"evaluate@left-mpdistil-1", "report", "register"}
    assert plan["evaluate@left-mpdistil-1"].after == (name,)
    assert plan["evaluate@left-mpdistil-2"].state == "cached"


def test_what_the_cache_has_is_restored_and_nothing_after_it_runs() -> None:
    graph = pipeline()
    missing = replace(graph.nodes["split@left"], reasons=("missing: outputs/split/left",), restores=True)
    plan = make_plan(replace(graph, nodes={**graph.nodes, "split@left": missing}))
    assert {one.node.name: one.state for one in plan if one.state != "cached"} == {"split@left": "restore"}


def test_times_are_written_for_people() -> None:
    assert [duration(seconds) for seconds in (3.21, 130.0, 3900.0)] == ["3.2 s", "2 min 10 s", "1 h 05 min"]


def test_a_plan_of_six_datasets_and_three_seeds_takes_less_than_five_cpu_seconds(tmp_path: Path) -> None:
    datasets = ["payment", "standing", "one", "two", "three-3", "four_4"]
    workspace = make_unrun(tmp_path / "large", datasets=datasets, seeds=[1, 2, 3])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = workspace.run("python", "-m", "flows", "plan", "--json")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    stages = json.loads(done.stdout)["stages"]
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert len(stages) == 6 * 2 + 6 * 3 * (2 + 2 + 2 + 3) + len(("code", "report", "register"))
    assert used < 5


@pytest.mark.parametrize("module", ["flows.graph", "flows.plan", "flows.worktree", "flows.clean", "flows.__main__"])
def test_nothing_heavy_is_imported_to_plan(module: str) -> None:
    heavy = {"torch", "transformers", "mlflow", "prefect", "dvc"}
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "[]"
