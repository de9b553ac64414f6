"""Cancelling from Prefect, of a run that was started in a terminal."""

import json

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Cancelling
from prefect_server import flows_process, open_runs, page_of, still_alive, task_runs, wait_until
from tiny_pipeline import TinyPipeline

pytestmark = pytest.mark.xdist_group("prefect")
# As a training stage does: told to end, it keeps what it has and says so.
KEEPS_ITS_STATE = """trap 'echo kept > state-$2; exit 143' TERM INT
touch started-$2
while :; do sleep 0.1; done"""


def test_a_cancelled_run_ends_in_order_within_seconds_and_what_had_run_stays(
    api: SyncPrefectClient, server: str, tiny: TinyPipeline
) -> None:
    tiny.script("teacher", KEEPS_ITS_STATE)
    tiny.script("source", "mkdir -p outputs/source; echo new > outputs/source/$2")
    with flows_process(tiny, "run", "--parallel", "2", environment={"PREFECT_API_URL": server}) as process:
        wait_until(lambda: len(list(tiny.root.glob("started-*"))) == 2, "two teachers that run")
        family = psutil.Process(process.pid).children(recursive=True)
        (mine,) = open_runs(api)
        api.set_flow_run_state(mine.id, Cancelling())  # as the UI and `prefect flow-run cancel` do
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Cancelled in Prefect. The next run does what is missing." in output and "Traceback" not in output
    assert still_alive(family) == []
    assert sorted(path.name for path in tiny.root.glob("state-*")) == ["state-left", "state-right"]
    assert tiny.output("source", "left").read_text() == "new\n"
    locks = json.loads((tiny.root / ".dvc/tmp/rwlock").read_text())
    assert not locks.get("write") and not locks.get("read")
    ended = api.read_flow_run(mine.id)
    assert ended.state is not None and ended.state_name == "Cancelled"
    assert ended.state.message == "cancelled; 8 stages: 2 ran, 6 stopped"
    shown = {name: one.state_name for name, one in task_runs(api, ended, 4).items()}
    assert shown == dict.fromkeys(("source@left", "source@right"), "Ran") | dict.fromkeys(
        ("teacher@left-42", "teacher@right-42"), "Stopped"
    )
    assert "2 ran, 6 stopped" in page_of(api, ended)
