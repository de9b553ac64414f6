"""Schedules: they really fire against a real server, one run at a time, and end without leaving anything."""

import signal
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect_server import flows_process, still_alive, task_runs, wait_until
from tiny_pipeline import TinyPipeline

from errors import UserError
from flows import serving
from flows.options import RunOptions, ServeOptions
from flows.serving import ONE_AT_A_TIME, parameters_of, schedule_of

pytestmark = pytest.mark.xdist_group("prefect")


def runs_of(api: SyncPrefectClient, name: str, state: StateType) -> list[FlowRun]:
    """The runs of a deployment that are in a state."""
    served = DeploymentFilter(name=DeploymentFilterName(any_=[name]))
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[state])))
    sort = FlowRunSort.START_TIME_DESC
    return api.read_flow_runs(deployment_filter=served, flow_run_filter=wanted, sort=sort, limit=20)


def test_a_schedule_fires_and_the_end_of_serving_ends_its_stages_and_pauses_it(
    api: SyncPrefectClient, server: str, tiny: TinyPipeline
) -> None:
    arguments = ("serve", "--interval", "4", "--name", "often", "--datasets", "left")
    with flows_process(tiny, *arguments, environment={"PREFECT_API_URL": server}) as process:
        wait_until(lambda: bool(runs_of(api, "often", StateType.COMPLETED)), "a scheduled run", 180)
        done = runs_of(api, "often", StateType.COMPLETED)[0]
        assert done.auto_scheduled and done.parameters["datasets"] == ["left"]
        names = {"source@left", "teacher@left-42", "evaluate@left-finetune-42", "register"}
        assert task_runs(api, done, len(names)).keys() == names
        tiny.script("source", "touch started; sleep 987")
        wait_until((tiny.root / "started").exists, "a stage of a later scheduled run", 120)
        assert len(runs_of(api, "often", StateType.RUNNING)) == 1  # those that the schedule made since then wait
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert len(family) >= 3 and still_alive(family) == []
    assert api.read_deployment_by_name("distilflow/often").paused
    tiny.script("source", "mkdir -p outputs/source; echo again > outputs/source/$2")
    assert "Running stage" in tiny.dvc("repro", "-s", "source@left").stdout


def test_runs_that_overlap_wait_for_each_other() -> None:
    assert ONE_AT_A_TIME.limit == 1
    assert ONE_AT_A_TIME.collision_strategy == "ENQUEUE"


@pytest.mark.parametrize("cron", ["every night", "61 2 * * *", "* * *"])
def test_a_wrong_cron_expression_is_one_error_with_an_example(cron: str) -> None:
    with pytest.raises(UserError, match=r"(?s)not a cron expression.*0 2 \* \* \*") as error:
        schedule_of(ServeOptions(RunOptions(), "local", cron=cron), "UTC")
    assert cron in str(error.value)


def test_a_schedule_has_a_time_zone_and_a_wrong_one_is_one_error() -> None:
    options = ServeOptions(RunOptions(), "local", cron="0 2 * * *")
    assert schedule_of(options, "Europe/Berlin").timezone == "Europe/Berlin"
    with pytest.raises(UserError, match="--timezone Mars/Olympus: not known"):
        schedule_of(options, "Mars/Olympus")


def test_a_profile_is_served_by_its_name() -> None:
    options = ServeOptions(RunOptions(profile="profiles/quickstart.yaml"), "local", interval=60.0)
    assert parameters_of(options)["profile"] == "quickstart"
    with pytest.raises(UserError, match=r"mine\.yaml: a schedule takes one in profiles/: .*superglue-minilm"):
        parameters_of(ServeOptions(RunOptions(profile="mine.yaml"), "local", interval=60.0))


def test_without_a_server_that_stays_serving_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make ui"):
        serving.main(ServeOptions(RunOptions(), "local", interval=60.0))
