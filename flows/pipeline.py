"""The flow: DVC's graph as Prefect tasks, one per stage, in parallel up to a limit.

What is up to date by DVC's own account ends as Cached without a call; what a failed stage would have fed is skipped;
everything else finishes. The next run does what is missing.
"""

import os
import time
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from prefect import allow_failure, flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.futures import PrefectConcurrentFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from pydantic import Field, WithJsonSchema

import environment
import paths
from config.sections import Method
from errors import UserError
from flows import process_notes, rwlock
from flows.cancelling import cancellable, started_by_prefect, was_cancelled
from flows.crash_recovery import recover
from flows.deploy_steps import push_wanted, transfer, vet
from flows.filters import select
from flows.gpu import limit_exists, stages_on_gpu
from flows.graph import Graph, read_graph, statuses_for
from flows.hooks import announce_failure
from flows.options import RunOptions
from flows.outcome import Outcome, PipelineFailed, PipelineStopped, StageOutcome, ordered
from flows.prefect_filters import FLOW
from flows.runner import Runner
from flows.settings import read_settings
from flows.stage_task import RunContext, stage_task
from flows.summary import gate_lines, publish, read_results
from flows.worktree import kept_at, overridden

PROFILES = sorted(path.stem for path in (paths.ROOT / "profiles").glob("*.yaml"))
EVERYTHING: list[str] = []
ALL_SEEDS: list[int] = []
ALL_METHODS: list[Method] = []
# What Prefect's form offers; a path is as good on the command line.
Profile = Annotated[str, WithJsonSchema({"type": "string", "enum": PROFILES})] | None
Parallel = Annotated[int, Field(ge=1, le=64)]
Pools = list[Literal["cpu", "gpu"]]
NO_POOLS: Pools = []


@flow(
    name=FLOW,
    description="Distil the datasets of params.yaml: every stage that is out of date, by DVC's graph.",
    persist_result=False,
    on_failure=[announce_failure],
    on_crashed=[announce_failure],
)
def distilflow(
    datasets: list[str] = EVERYTHING,
    seeds: list[int] = ALL_SEEDS,
    methods: list[Method] = ALL_METHODS,
    profile: Profile = None,
    overrides: list[str] = EVERYTHING,
    parallel: Parallel = 1,
    pools: Pools = NO_POOLS,
) -> Outcome | State:
    """Run all out-of-date stages of the repository in the current folder.

    Args:
        datasets: Only these datasets and what they need; none means all of params.yaml.
        seeds: Only these seeds; none means all of params.yaml.
        methods: Only these methods; none means all of params.yaml.
        profile: A whole params file of profiles/ instead of params.yaml.
        overrides: Single other values, as in curriculum.reward=real. A trial: add registry.trials=true to register it.
        parallel: Stages side by side, at most; with pools, those on this machine.
        pools: Work pools whose machines run stages; none means all run on this machine.
    """
    options = RunOptions(
        tuple(datasets), tuple(seeds), tuple(methods), profile, tuple(overrides), parallel, tuple(pools)
    )
    try:
        outcome = run_pipeline(Path.cwd(), options)
    except UserError as error:
        return Failed(message=str(error), data=error)
    except PipelineStopped as stopped:
        return Cancelled(message=str(stopped), data=stopped)
    except KeyboardInterrupt:  # nothing has crashed, and nobody needs to be told
        return _stopped("interrupted by Ctrl-C or a closed terminal")
    except TerminationSignal:
        if not started_by_prefect():
            return _stopped("interrupted by a signal")
        if was_cancelled(flow_run.get_id()):
            return _stopped("cancelled")  # Prefect's runner would say so half a minute later
        raise
    if outcome.complete:
        return Completed(message=outcome.headline, data=outcome)
    return Failed(message=outcome.headline, data=PipelineFailed(outcome))


def _stopped(why: str) -> State:
    return Cancelled(message=why, data=PipelineStopped(why))


def run_pipeline(root: Path, options: RunOptions) -> Outcome:
    """Run the stages of the repository in `root` selected by the options, as tasks of the current flow run.

    Raises PipelineStopped if the run was cancelled, after its stages have ended.
    """
    logger, start = get_run_logger(), time.monotonic()
    environment.check(os.environ)
    run_id = flow_run.get_id()
    if run_id:
        process_notes.write_note(root, "run", run_id)
        recover(root, logger.warning)
    read_settings()
    push = push_wanted()
    for line in vet(root):
        logger.warning("%s", line)
    profile, statuses = Path(options.profile) if options.profile else None, statuses_for(options.pools)
    with overridden(root, profile, options.overrides, statuses=statuses) as tree:
        if repaired := rwlock.repair(tree):
            logger.warning("%s", repaired)
        with run_context(tree, options, run_id) as (context, at_once):
            logger.info("%d stages in %s, %d at once", len(context.graph.nodes), tree, options.parallel)
            try:
                with cancellable(run_id, context.runner.stop) as cancelled:
                    run_stages(context, at_once)
            finally:
                context.runner.stop()
        graph = context.graph
        outcome = Outcome(ordered(context.ended, graph.nodes), time.monotonic() - start)
        results = read_results(tree, outcome, kept_at(root, tree))
        outcome = replace(outcome, report=results.report, gate=gate_lines(results))
        if problem := publish(outcome, results):
            logger.warning("%s", problem)
        if cancelled.is_set():
            raise PipelineStopped(f"cancelled; {outcome.headline}", outcome)
        if push:
            own = {stage.name for stage in outcome.stages if stage.state in ("Ran", "Cached")}
            logger.info("%s", transfer("push", tree, own))
    return outcome


@contextmanager
def run_context(tree: Path, options: RunOptions, run_id: str | None) -> Generator[tuple[RunContext, int]]:
    """The values that the tasks of a run in `tree` share, and the number of them that may be submitted at once."""
    graph = read_graph(tree, statuses=statuses_for(options.pools))
    here, settings = Runner(tree, " ".join(options.overrides)), read_settings()
    on_gpu = stages_on_gpu(tree)
    limited = on_gpu if on_gpu and limit_exists() else frozenset[str]()
    if not options.pools:
        yield RunContext(_selected(graph, options), here, settings, limited), options.parallel
        return
    from flows.fleet.parent import OUTSTANDING, pool_runner

    log = get_run_logger().warning
    with pool_runner(graph, here, options.pools, str(run_id), options.parallel, log) as runner:
        limited = frozenset[str]() if "gpu" in options.pools else limited
        yield RunContext(_selected(graph, options), runner, settings, limited), OUTSTANDING


def _selected(graph: Graph, options: RunOptions) -> Graph:
    return select(graph, datasets=options.datasets, seeds=options.seeds, methods=options.methods)


def run_stages(context: RunContext, parallel: int) -> None:
    """Submit each stage once its upstream stages have ended, so that no waiting task occupies a worker."""
    stage = stage_task(context)
    waiting = dict(context.graph.nodes)
    submitted: dict[str, PrefectConcurrentFuture[State]] = {}
    running: dict[Future[State], str] = {}
    finished: set[str] = set()
    while waiting or running:
        if context.runner.stopping.is_set():
            waiting.clear()
        for name, node in list(waiting.items()):
            if len(running) < parallel and finished.issuperset(context.needs(node)):
                # Prefect draws an edge for each; it would not start a task behind one that was cancelled, as skipped ones are.
                before = [
                    allow_failure(submitted[need])
                    for need in context.needs(node)
                    if context.ended[need].state in ("Ran", "Cached", "Failed")
                ]
                future = stage.submit(name, return_state=False, wait_for=before)
                assert isinstance(future, PrefectConcurrentFuture)  # Prefect's default runner: a pool of threads
                submitted[name], running[future.wrapped_future] = future, name
                del waiting[name]
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            name = running.pop(future)
            finished.add(name)
            # Of a task that Prefect itself could not run, nothing is noted yet.
            context.ended.setdefault(
                name, StageOutcome(name, "Failed", note="Prefect could not run its task", changed=True)
            )
