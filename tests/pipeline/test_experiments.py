"""DVC's own commands on the pipeline: metrics, plots, and experiments in the workspace, aside and from the queue."""

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
    output = pipeline.dvc("exp", "run", "--set-param", "curriculum.reward=binary", "--name", "other-reward")
    expected = {f"{stage}-42" for name in pipeline.datasets for stage in (f"curriculum@{name}", f"evaluate@{name}-mpdistil")}
    assert ran(output) == expected | {"report"}
    name = pipeline.datasets[0]
    assert pipeline.json("student", name, "mpdistil", "42", "metrics.json")["reward"] == "binary"
    difference = json.loads(pipeline.dvc("metrics", "diff", "HEAD", "--json"))
    changed = difference["diff"]["outputs/report/metrics.json"] if "diff" in difference else difference
    assert any(key.startswith(f"{name}.") for key in changed)
    listed = pipeline.dvc("exp", "show", "--json")
    assert "other-reward" in listed


def test_experiments_aside_and_from_the_queue_leave_the_workspace_alone(pipeline: Workspace) -> None:
    before = pipeline.json("report", "report.json")
    aside = pipeline.dvc("exp", "run", "--temp", "--set-param", "report.level=0.9", "--name", "aside")
    assert ran(aside) == {"report"}
    pipeline.dvc("exp", "run", "--queue", "--set-param", "report.level=0.8", "--name", "queued-1")
    pipeline.dvc("exp", "run", "--queue", "--set-param", "report.level=0.7", "--name", "queued-2")
    pipeline.dvc("exp", "run", "--run-all")
    status = pipeline.dvc("queue", "status")
    assert len(re.findall(r"queued-\d\s.*Success", status)) == 2, status
    assert pipeline.json("report", "report.json") == before
    assert set(pipeline.dvc("exp", "list", "--name-only").split()) >= {"aside", "queued-1", "queued-2"}
    shown = json.loads(pipeline.dvc("metrics", "show", "--json", "queued-1"))
    assert pipeline.datasets[0] in json.dumps(shown)
