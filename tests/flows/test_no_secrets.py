"""No secret of the environment in what a flow sends to Prefect: logs, states, parameters, the page of the run."""

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect_server import run, states
from tiny_pipeline import TinyPipeline

pytestmark = pytest.mark.xdist_group("prefect")
SECRET = "s3cr3t-0f-n0b0dy"
NAMES = ("SECRET_TOKEN", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD")


def test_prefect_hears_of_no_secret_even_where_a_stage_fails(
    api: SyncPrefectClient, tiny: TinyPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:{SECRET}@127.0.0.1:9")
    (tiny.root / ".env").write_text("".join(f"{name}={SECRET}\n" for name in NAMES))
    tiny.script("teacher", 'test -n "$SECRET_TOKEN" && echo a stage sees the environment && exit 2')
    outcome, flow_run = run(api)
    assert "teacher@left-42" in states(outcome)["Failed"]
    of_run = {"flow_runs": {"id": {"any_": [str(flow_run.id)]}}}
    told = {
        path: api._client.post(f"/{path}/filter", json=of_run).text for path in ("flow_runs", "task_runs", "artifacts")
    }
    logs = {"logs": {"flow_run_id": {"any_": [str(flow_run.id)]}}}
    told["logs"] = api._client.post("/logs/filter", json=logs).text
    assert "a stage sees the environment" in told["task_runs"] + told["logs"]
    assert {path: SECRET in text for path, text in told.items()} == dict.fromkeys(told, False)
