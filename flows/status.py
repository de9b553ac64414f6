"""`python -m flows status`: the last runs, their failures, and the schedule, from the Prefect server."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import DeploymentSort, FlowRunSort, TaskRunSort
from prefect.exceptions import PrefectException

from errors import UserError
from flows.crash_recovery import end_servers, recover
from flows.graph import read_graph
from flows.pipeline import distilflow
from flows.prefect_api import server_address
from flows.prefect_filters import OURS, run_of, runs_in, runs_not_in, tasks_in
from paths import without_password
from reporting.tables import aligned

LAST_LINES = 5
NEXT = 5  # scheduled runs that are shown
DEPLOYMENTS = 50
FAILED = 10  # failed stages that are shown of a run


def main(limit: int = 5) -> int:
    """Print the state of the server, or without one that of the workspace; return the exit status."""
    address = server_address()
    if address is None:
        print("".join(f"{line}\n" for line in end_servers(Path.cwd())), end="")
        print(
            "PREFECT_API_URL is not set, so there are no runs to show (`make ui` starts a server and prints what to set)."
        )
        print(workspace_line(Path.cwd()))
        return 0
    try:
        with get_client(sync_client=True) as client:
            print(f"Prefect: {without_password(address)}")
            recover(Path.cwd(), print)
            print("\n".join([*_past(client, limit), *_coming(client)]))
    except (PrefectException, httpx.HTTPError) as error:
        raise UserError(without_password(f"{address}: {' '.join(str(error).split())}")) from None
    return 0


def workspace_line(root: Path) -> str:
    """The number of out-of-date stages here, in a line."""
    nodes = read_graph(root).nodes.values()
    stale = [node.name for node in nodes if node.reasons and not node.always]
    if not stale:
        return f"{root}: all {len(nodes)} stages are up to date."
    return f"{root}: {len(stale)} of {len(nodes)} stages are out of date; `python -m flows plan` says why."


def _past(client: SyncPrefectClient, limit: int) -> Iterator[str]:
    started = runs_not_in([StateType.SCHEDULED])
    runs = client.read_flow_runs(
        flow_filter=OURS, flow_run_filter=started, sort=FlowRunSort.START_TIME_DESC, limit=limit
    )
    if not runs:
        yield f"No run of {distilflow.name} yet."
        return
    rows = [_row(run) for run in runs]
    for run, line in zip(runs, aligned(rows), strict=True):
        yield line
        if run.state_type in (StateType.FAILED, StateType.CRASHED):
            yield from _failures(client, run)


def _row(run: FlowRun) -> tuple[str, ...]:
    message = " ".join((run.state.message or "").split()) if run.state else ""
    seconds = f"{run.total_run_time.total_seconds():.0f} s"
    return run.state_name or "", _time(run.start_time), seconds, run.name, message


def _failures(client: SyncPrefectClient, run: FlowRun) -> Iterator[str]:
    """The failed stages of a run, each with the end of its output."""
    failed = client.read_task_runs(
        flow_run_filter=run_of(run.id),
        task_run_filter=tasks_in([StateType.FAILED]),
        sort=TaskRunSort.END_TIME_DESC,
        limit=FAILED,
    )
    for task in failed:
        lines = ((task.state.message if task.state else None) or "").splitlines()
        yield f"    {task.name}:"
        yield from (f"      {line}" for line in lines[-LAST_LINES:])


def _coming(client: SyncPrefectClient) -> Iterator[str]:
    """List scheduled runs, and deployments with a paused schedule, which start nothing."""
    scheduled = runs_in([StateType.SCHEDULED])
    runs = client.read_flow_runs(
        flow_filter=OURS, flow_run_filter=scheduled, sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC, limit=NEXT
    )
    deployments = client.read_deployments(flow_filter=OURS, sort=DeploymentSort.NAME_ASC, limit=DEPLOYMENTS)
    names = {deployment.id: deployment.name for deployment in deployments}
    if runs:
        yield "Scheduled:"
    for run in runs:
        name = names.get(run.deployment_id, run.name) if run.deployment_id else run.name
        state = "" if run.state_name == "Scheduled" else f"  ({run.state_name})"
        yield f"  {_time(run.expected_start_time)}  {name}{state}"
    paused: Sequence[str] = [deployment.name for deployment in deployments if deployment.paused]
    if paused:
        yield f"Paused, because nobody serves them: {', '.join(paused)}"


def _time(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""
