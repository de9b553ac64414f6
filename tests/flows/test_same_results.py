"""The real pipeline, made small: by the flow, by `dvc repro` and by hand it gives the same weights."""

import json
import re

import pytest
from workspace import Workspace, make_workspace

pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.slow]


@pytest.fixture(scope="module")
def by_flow(server: str, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """After `python -m flows run` with up to four stages at once, on a registry that did not exist."""
    made = make_workspace(tmp_path_factory.mktemp("by_flow") / "flow")
    made.first_output = run_flow(made, server, "--parallel", "4")
    return made


def run_flow(workspace: Workspace, server: str, *options: str) -> str:
    """Output of a run of the flow; its registry is the workspace's own."""
    return workspace.run(
        "python", "-m", "flows", "run", *options, PREFECT_API_URL=server, MLFLOW_TRACKING_URI=""
    ).stdout


def test_the_first_run_of_the_flow_runs_everything_and_the_second_nothing(by_flow: Workspace, server: str) -> None:
    assert re.search(r"(\d+) stages: \1 ran", by_flow.first_output), by_flow.first_output[-2000:]
    assert by_flow.output("mlflow", "mlflow.db").is_file()
    again = run_flow(by_flow, server)
    assert re.search(r"(\d+) stages: \1 cached", again), again[-2000:]


def test_the_flow_dvc_and_a_person_get_the_same_weights_and_metrics(
    by_flow: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    by_dvc = make_workspace(tmp_path_factory.mktemp("by_dvc") / "dvc")
    by_dvc.dvc("repro", "evaluate", "evaluate_curriculum")
    compared = 0
    for path in sorted(by_dvc.output().glob("**/model/model.safetensors")):
        output = str(path.relative_to(by_dvc.output()).parents[1])
        assert by_flow.weights(output) == by_dvc.weights(output), output
        compared += 1
    assert compared >= 2 * (1 + 3)  # of each dataset the teacher and three students
    for path in sorted(by_dvc.output("evaluate").rglob("metrics.json")):
        own = without_times(json.loads(path.read_text()))
        assert without_times(by_flow.json(*path.relative_to(by_dvc.output()).parts)) == own
    dataset = by_flow.datasets[0]
    student = f"student/{dataset}/mse_kd/42"
    before = by_flow.weights(student)
    by_flow.output(student, "model", "model.safetensors").unlink()
    by_flow.stage("student", "--dataset", dataset, "--method", "mse_kd", "--seed", "42")
    assert by_flow.weights(student) == before


def without_times(metrics: dict) -> dict:
    """The metrics without what was timed."""
    return {
        key: without_times(value) if isinstance(value, dict) else value
        for key, value in metrics.items()
        if not re.search(r"_ms|_s$|seconds|latency", key)
    }
