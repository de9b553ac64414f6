"""The parent of a run with pools: what it needs once, and the end of it all."""

from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Semaphore
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client

from flows import run_cache
from flows.dvc_adapter.recorded_runs import RecordedRuns
from flows.dvc_adapter.remote_files import remote_files
from flows.dvc_adapter.repository import open_repository, open_unheld
from flows.fleet import snapshot
from flows.fleet.durations import read_seconds
from flows.fleet.merging import Merging
from flows.fleet.placement import placement
from flows.fleet.poller import Poller
from flows.fleet.pool_runner import PoolRunner
from flows.fleet.queues import LOCK, queue_of
from flows.fleet.submission import Submission, deploy, is_served
from flows.graph import Graph
from flows.prefect_api import server_address
from flows.runner import Runner
from flows.settings import lost_seconds, short_seconds

OUTSTANDING = 100
"""Stages that are sent or wait for their turn in the parent, at most: far more would starve Prefect's server."""


@contextmanager
def pool_runner(
    graph: Graph, here: Runner, pools: Collection[str], run_id: str, parallel: int, log: Callable[[str], None]
) -> Generator[PoolRunner]:
    """The runner for the stages of a graph; when it ends, no child of this run is at work.

    Args:
        graph: of `flows.fleet.fleet_graph`, whole.
        here: runs what stays in the parent.
        pools: that may be used.
        run_id: of the parent's flow run.
        parallel: stages side by side in the parent, at most.
        log: gets what concerns no single stage.
    """
    root = graph.root
    queues: dict[str, str] = {pool: queue_of(pool, root) for pool in pools}
    with open_unheld(root) as repo, get_client(sync_client=True) as client:
        repo.verify_downloads()
        files = remote_files(repo)
        with open_repository(root):
            recorded = RecordedRuns(repo, run_cache.remove_forged)
        deployments: dict[str, UUID] = {pool: deploy(client, pool) for pool in pools}
        for line in (line for pool, queue in queues.items() if (line := _unserved(client, pool, queue))):
            log(line)
        commit = snapshot.publish(root, files)
        seconds = {name: node.seconds for name, node in graph.nodes.items() if node.seconds is not None}
        runner = PoolRunner(
            root,
            here,
            graph.nodes,
            recorded,
            files,
            placement(root, pools, recorded, short_seconds(), seconds | read_seconds(root)),
            commit,
            Submission(run_id, queues, deployments),
            Poller(lost_s=lost_seconds(), warn=log),
            Merging(root, recorded, repo, files),
            Semaphore(parallel),
            log,
        )
        runner.poller.start()
        try:
            yield runner
        finally:
            runner.stop()


def served_lines(root: Path, pools: Collection[str]) -> Iterator[str]:
    """Say of each pool, for `plan`, whether a worker has the environment of this checkout."""
    if server_address() is None:
        yield "PREFECT_API_URL is not set, so nothing is known of workers."
        return
    with get_client(sync_client=True) as client:
        for pool in pools:
            queue = queue_of(pool, root)
            yield f"Pool {pool}: {_unserved(client, pool, queue) or f'a worker serves queue {queue}.'}"


def _unserved(client: SyncPrefectClient, pool: str, queue: str) -> str | None:
    """The line for a queue that no worker serves now; None if one does."""
    if is_served(client, pool, queue):
        return None
    return (
        f"no worker for this {LOCK.name} (queue {queue}); stages wait for one: `python -m flows worker --pool {pool}` on a "
        "machine with the same"
    )
