"""Recovery from killed runs, by the next run, `serve` and `status`: runs that the server takes for running for ever, slots of
deployments that nobody holds, temporary servers that nobody uses.

Only of processes of this checkout and host, by their notes; never what another machine runs, or a process that lives.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Cancelled, Crashed

from flows.file_locks import locked_if_free
from flows.hooks import notify
from flows.prefect_filters import FLOW, OURS, deployment_of, run_of, runs_in, tasks_in
from flows.process_groups import end_groups
from flows.process_notes import FOLDER, Note, orphans
from paths import without_password

ENDED = (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)
OPEN = [kind for kind in StateType if kind not in ENDED]
AT_WORK = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
FORGET_S = 30 * 24 * 3600.0  # a note of a run that the server in use does not know: another server may
STARTS_S = 600.0  # a served run begins within seconds; one that is pending for longer has lost its process
PAGE = 200


def recover(root: Path, log: Callable[[str], None]) -> None:
    """Clean up after killed processes of the checkout in `root`, logging one line each.

    A server that does not answer is no error: the next one who comes will do it.
    """
    try:
        with locked_if_free(root / FOLDER / ".guard") as alone:  # else another process does the same now
            if alone:
                for line in chain(end_servers(root), _close_runs(root)):
                    log(line)
    except (PrefectException, httpx.HTTPError, OSError) as error:
        log(f"What killed runs left stays for now: {without_password(' '.join(str(error).split()))}")


def end_servers(root: Path) -> Iterator[str]:
    """Stop temporary servers whose run was killed; one line each."""
    for note in orphans(root, "server"):
        if note.server is not None and note.server.lives:
            end_groups({note.server.pid})
            yield f"StageOutcome the temporary Prefect server (process {note.server.pid}) of a run that was killed."
        note.path.unlink(missing_ok=True)


def _close_runs(root: Path) -> Iterator[str]:
    with get_client(sync_client=True) as client:
        for note in orphans(root, "run"):
            yield from _end_run(client, note)
        for note in orphans(root, "serve"):
            yield from _end_pending(client, note)
        yield from _settle_slots(client)


def _end_run(client: SyncPrefectClient, note: Note) -> Iterator[str]:
    """Set the final state of a run whose process is gone, unless it has one."""
    try:
        run = client.read_flow_run(UUID(note.id))
    except ObjectNotFound:
        if time.time() - note.path.stat().st_mtime > FORGET_S:
            note.path.unlink(missing_ok=True)
        return
    if run.state is not None and run.state.type not in ENDED:
        yield _close(client, run, f"its process ({note.owner.pid} on {note.owner.host}) is gone")
    note.path.unlink(missing_ok=True)


def _end_pending(client: SyncPrefectClient, note: Note) -> Iterator[str]:
    """Close runs that a killed `serve` had taken and not started; keeps its note while one may still start."""
    pending = _runs(client, UUID(note.id), (StateType.PENDING,))
    for run in pending:
        if run.state and datetime.now(UTC) - run.state.timestamp > timedelta(seconds=STARTS_S):
            yield _close(client, run, f"it never began, and who served it ({note.owner.pid}) is gone")
            pending = [one for one in pending if one.id != run.id]
    if not pending:
        note.path.unlink(missing_ok=True)


def _close(client: SyncPrefectClient, run: FlowRun, why: str) -> str:
    """Set a run and its open tasks to Crashed, or Cancelled if requested; return a line about it."""
    cancelling = run.state is not None and run.state.type == StateType.CANCELLING
    state: State = (Cancelled if cancelling else Crashed)(
        message=f"{why[0].upper()}{why[1:]}, and no end was reported: killed, out of memory, or the machine or the server went "
        "down. The next run does what is missing."
    )
    open_tasks = client.read_task_runs(flow_run_filter=run_of(run.id), task_run_filter=tasks_in(OPEN), limit=PAGE)
    for task in open_tasks:
        client.set_task_run_state(task.id, state, force=True)
    client.set_flow_run_state(run.id, state, force=True)
    if not cancelling:
        notify(FLOW, run, state)
    return f"Run {run.name} is set to {state.name}: {why}."


def _settle_slots(client: SyncPrefectClient) -> Iterator[str]:
    """Correct an impossible count of taken slots of a deployment's limit.

    A server that was started again has forgotten who holds a slot, so that one stays taken for ever; and one that has
    taken a dead run's slot back gives it back a second time when the run is closed, beside a run that has it by now.
    """
    for deployment in client.read_deployments(flow_filter=OURS, limit=PAGE):
        limit = deployment.global_concurrency_limit
        if limit is None:
            continue
        right = _taken(client, deployment.id, limit.active_slots)
        if right == limit.active_slots:
            continue
        time.sleep(1.0)  # a run may be taking or giving back its slot just now
        now = client.read_global_concurrency_limit_by_name(limit.name)
        if now.active_slots == limit.active_slots and _taken(client, deployment.id, now.active_slots) == right:
            client.update_global_concurrency_limit(limit.name, GlobalConcurrencyLimitUpdate(active_slots=right))
            yield f"Deployment {deployment.name}: {now.active_slots} slots were taken by {right} runs; corrected."


def _taken(client: SyncPrefectClient, deployment: UUID, active: int) -> int:
    """The possible number of taken slots nearest to `active`: a pending run may have lost its slot."""
    at_work = [run.state_type for run in _runs(client, deployment, AT_WORK)]
    return min(max(active, len(at_work) - at_work.count(StateType.PENDING)), len(at_work))


def _runs(client: SyncPrefectClient, deployment: UUID, types: tuple[StateType, ...]) -> list[FlowRun]:
    return client.read_flow_runs(
        deployment_filter=deployment_of(deployment), flow_run_filter=runs_in(types), limit=PAGE
    )
