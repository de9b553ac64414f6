"""Child runs on the Prefect server: their deployment and queue, one for each key and attempt, and their end by the parent."""

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType, WorkQueueStatus
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectException
from prefect.states import Cancelled, Cancelling

from flows.fleet.queues import COMMAND, ENTRYPOINT, FLOW
from flows.prefect_filters import runs_in

ENDED = (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)
OPEN = [kind for kind in StateType if kind not in ENDED]
OF_PARENT, OF_STAGE = "parent:", "stage:"
"""Tags of a child: the runs that wait for it, and its stage."""
WITH_ITS_RUN = "Cancelled with the run that sent it."
PATIENCE = 20.0  # seconds for children to end after they were told to; a lost one never does
PAUSE = 1.0


def deploy(client: SyncPrefectClient, pool: str) -> UUID:
    """The deployment stage/POOL and its pool, made if they are not there."""
    try:
        client.read_work_pool(pool)
    except ObjectNotFound:
        with contextlib.suppress(ObjectAlreadyExists):  # by another parent or worker, a moment ago
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    with contextlib.suppress(ObjectNotFound):
        found = client.read_deployment_by_name(f"{FLOW}/{pool}")
        if (found.entrypoint, found.work_pool_name) == (ENTRYPOINT, pool):
            return found.id  # with whatever a person has set in it
    return client.create_deployment(
        client.create_flow_from_name(FLOW),
        pool,
        entrypoint=ENTRYPOINT,
        work_pool_name=pool,
        enforce_parameter_schema=False,
        # Prefect's own command starts a second Python that looks for the flow's code; a worker of ours brings it.
        job_variables={"command": COMMAND},
        description=f"One stage of the pipeline on a machine of pool {pool}; sent by `python -m flows run --pool {pool}`.",
        tags=["distilflow"],
    )


def is_served(client: SyncPrefectClient, pool: str, queue: str) -> bool:
    """Return whether a worker has asked for runs of a queue within the last minute."""
    try:
        return client.read_work_queue_by_name(queue, pool).status == WorkQueueStatus.READY
    except ObjectNotFound:
        return False


@dataclass
class Submission:
    """The children that one parent has sent or waits for; several threads may use it."""

    parent: str
    """Id of the parent's flow run."""
    queues: dict[str, str]
    """Pool -> queue."""
    deployments: dict[str, UUID] = field(default_factory=dict)
    """Pool -> deployment."""

    def send(self, pool: str, stage: str, commit: str, key: str, attempt: int) -> FlowRun:
        """The child run of a key and attempt: a new one, or the one that this or another parent has sent before."""
        mine = f"{OF_PARENT}{self.parent}"
        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(
                self.deployments[pool],
                parameters={"name": stage, "commit": commit, "key": key, "attempt": attempt},
                name=stage if attempt == 1 else f"{stage} ({attempt})",
                idempotency_key=f"{key}:{attempt}",
                tags=[mine, f"{OF_STAGE}{stage}"],
                work_queue_name=self.queues[pool],
            )
            if mine not in run.tags and run.state_type not in ENDED:
                client.update_flow_run(run.id, tags=[*run.tags, mine])
            return run

    def cancel(self, log: Callable[[str], None]) -> set[UUID]:
        """Tell all open children to end that no other living parent waits for; their ids."""
        try:
            with get_client(sync_client=True) as client:
                return {run.id for run in _open_children(client, self.parent) if self._end(client, run)}
        except (PrefectException, httpx.HTTPError) as error:
            log(f"stages on workers could not be cancelled: {' '.join(str(error).split())}")
            return set()

    def wait_for_end(self, told: set[UUID], log: Callable[[str], None]) -> None:
        """Wait until these children have ended; not for long, as one of them may be lost."""
        end = time.monotonic() + PATIENCE
        try:
            with get_client(sync_client=True) as client:
                while told and time.monotonic() < end:
                    time.sleep(PAUSE)
                    told = told & {run.id for run in _open_children(client, self.parent)}
        except (PrefectException, httpx.HTTPError):
            return
        if told:
            log(f"{len(told)} stages on workers have not said that they ended; their machines may be lost")

    def _end(self, client: SyncPrefectClient, run: FlowRun) -> bool:
        """Cancel a child; False if another parent goes on waiting for it."""
        others = [tag.removeprefix(OF_PARENT) for tag in run.tags if tag.startswith(OF_PARENT)]
        if any(_at_work(client, UUID(other)) for other in others if other != self.parent):
            return False
        begun = run.state_type in (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
        state = Cancelling(message=WITH_ITS_RUN) if begun else Cancelled(message=WITH_ITS_RUN)
        client.set_flow_run_state(run.id, state, force=not begun)
        return True


def _open_children(client: SyncPrefectClient, parent: str) -> Iterable[FlowRun]:
    chosen = FlowRunFilter.model_validate(
        {"tags": {"all_": [f"{OF_PARENT}{parent}"]}, "state": runs_in(OPEN).model_dump()["state"]}
    )
    return client.read_flow_runs(flow_run_filter=chosen, limit=200)


def _at_work(client: SyncPrefectClient, run_id: UUID) -> bool:
    try:
        return client.read_flow_run(run_id).state_type not in ENDED
    except ObjectNotFound:
        return False
