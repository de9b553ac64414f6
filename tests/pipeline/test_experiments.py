"""DVC's own commands on the pipeline: metrics, plots, and experiments in the workspace and from the queue."""

import json
import re

import pytest
from workspace import Workspace, ran

pytestmark = pytest.mark.xdist_group("pipeline")


def test_metrics_are_shown_for_every_dataset_and_model(pipeline: Workspace) -> None:
    shown = json.loads(pipeline.dvc("metrics", "show", "--json"))[""]["data"]
    metrics = shown["outputs/report/metrics.json"]["data"]
    for name in pipeline.datasets:
        assert {"teacher", "finetune", "mse_kd", "mpdistil", "margin", "parameters"} <= metrics[name].keys()


def test_plots_show_points_of_every_dataset(pipeline: Workspace) -> None:
    output = pipeline.dvc("plots", "show", "--out", "outputs/plots", "--json")
    plots = json.loads(output)["data"] if "data" in json.loads(output) else json.loads(output)
    assert {name.split(":")[-1] for name in plots} >= {"selection_loss", "rewards", "actions", "confusion"}
    for name, kind in plots.items():
        text = json.dumps(kind)
        for dataset in pipeline.datasets:
            assert dataset in text, (name, dataset)
        assert "<DVC_METRIC" not in text


def test_an_experiment_runs_what_it_changes_and_its_numbers_can_be_compared(pipeline: Workspace) -> None:
    students = {name: pipeline.weights(f"student/{name}/mpdistil/42") for name in pipeline.datasets}
    output = pipeline.dvc("exp", "run", "--set-param", "curriculum.reward=binary", "--name", "other-reward")
    # A student that came out the same isn't evaluated again: the chain stops there.
    others = {name for name in pipeline.datasets if pipeline.weights(f"student/{name}/mpdistil/42") != students[name]}
    curricula = {f"curriculum@{name}-mpdistil-42" for name in pipeline.datasets}
    assert ran(output) == curricula | {f"evaluate_curriculum@{name}-mpdistil-42" for name in others} | {"report"}
    for name in pipeline.datasets:
        assert pipeline.json("student", name, "mpdistil", "42", "metrics.json")["reward"] == "binary"
    assert "outputs/report/metrics.json" in pipeline.dvc("metrics", "diff", "--all", "HEAD")
    changed = json.loads(pipeline.dvc("params", "diff", "HEAD", "other-reward", "--json"))
    assert changed["params.yaml"]["curriculum.reward"] == {"old": "gain", "new": "binary"}


@pytest.mark.slow
def test_queued_experiments_run_to_their_end(aside: Workspace) -> None:
    for name, level in (("queued-1", 0.8), ("queued-2", 0.7)):
        aside.dvc("exp", "run", "--queue", "--set-param", f"report.level={level}", "--name", name)
    aside.dvc("exp", "run", "--run-all")
    status = aside.dvc("queue", "status")
    assert len(re.findall(r"queued-\d\s.*Success", status)) == 2, status
    changed = json.loads(aside.dvc("params", "diff", "HEAD", "queued-2", "--json"))
    assert changed["params.yaml"]["report.level"]["new"] == 0.7
