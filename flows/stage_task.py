"""One stage as a Prefect task: its log, its retries, and the state in which a person sees it end."""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, StateType, TaskRun
from prefect.runtime import task_run
from prefect.tasks import Task

from flows.gpu import gpu_slot
from flows.graph import Graph, Node
from flows.outcome import Ended, newly_registered
from flows.runner import Runner, StageFailed, StageStopped
from flows.settings import Settings

TYPES = {
    "Ran": StateType.COMPLETED,
    "Cached": StateType.COMPLETED,
    "Failed": StateType.FAILED,
    "Skipped": StateType.CANCELLED,
    "Stopped": StateType.CANCELLED,
}


@dataclass
class Work:
    """What the tasks of one run share, and what became of each stage so far."""

    graph: Graph
    runner: Runner
    settings: Settings
    on_gpu: frozenset[str] = frozenset()
    """Stages that take a slot of the GPU limit."""
    ended: dict[str, Ended] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """Where the stages run."""
        return self.graph.root

    def needs(self, node: Node) -> list[str]:
        """The stages of this run that must have ended before."""
        return [need for need in node.needs if need in self.graph.nodes]


def stage_task(work: Work) -> Task[..., State]:
    """The task that is submitted once for each stage. DVC is the only cache: Prefect's is off."""

    @task(
        name="stage",
        task_run_name="{stage}",
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=work.settings.retries,
        retry_delay_seconds=0,  # the task itself waits, so that Ctrl-C need not
        retry_condition_fn=_may_pass,
    )
    def run_stage(stage: str) -> State:
        node, start = work.graph.nodes[stage], time.monotonic()
        try:
            ended = _end(node, work)
        except StageFailed as failure:
            seconds = time.monotonic() - start
            work.ended[stage] = Ended(stage, "Failed", seconds, _reason(failure), changed=True, tail=failure.tail)
            raise
        work.ended[stage] = ended
        return State(type=TYPES[ended.state], name=ended.state, message=_message(ended))

    return run_stage


def _end(node: Node, work: Work) -> Ended:
    """Bring one stage up to date, unless it is or can't be."""
    before = [work.ended[need] for need in work.needs(node)]
    missing = [stage.name for stage in before if stage.state not in ("Ran", "Cached")]
    if missing:
        return Ended(node.name, "Skipped", note=f"needs {', '.join(missing)}")
    if not node.reasons and not any(stage.changed for stage in before if stage.name in node.follows):
        return Ended(node.name, "Cached", note="up to date")
    logger = get_run_logger()
    if task_run.run_count > 1:
        logger.info("waiting %g s before another try", work.settings.retry_delay)
        work.runner.stopping.wait(work.settings.retry_delay)
    if node.reasons:
        logger.info("out of date: %s", "; ".join(node.reasons))
    try:
        with gpu_slot(node.stage in work.on_gpu, work.runner.stopping, logger.info):
            return _run(node, work, logger)
    except StageStopped:
        return Ended(node.name, "Stopped", note="the run was stopped", changed=True)


def _run(node: Node, work: Work, logger: "logging.Logger | logging.LoggerAdapter[logging.Logger]") -> Ended:
    start = time.monotonic()
    done = work.runner.run(node.name, lambda line: logger.log(level_of(line), "%s", line))
    seconds = time.monotonic() - start
    if done.outcome == "unchanged":
        return Ended(node.name, "Cached", seconds, "unchanged")
    if done.outcome == "restored":
        return Ended(node.name, "Cached", seconds, "restored from DVC's cache", changed=True)
    registered = newly_registered(work.root) if node.always else None
    if registered and registered.trial:
        return Ended(node.name, "Ran", seconds, f"trial ({registered.trial}): nothing registered", changed=True)
    if registered and registered.reachable and not registered.new:
        return Ended(node.name, "Cached", seconds, "nothing new", changed=True)
    note = "" if registered is None or registered.reachable else "the registry did not answer; the next run catches up"
    return Ended(node.name, "Ran", seconds, note or "; ".join(node.reasons) or "what it reads changed", changed=True)


def level_of(line: str) -> int:
    """The level at which a stage's line is logged: Prefect's page shows warnings in another colour, and filters by it."""
    return logging.WARNING if "WARNING: " in line else logging.INFO


def _may_pass(task: Task[..., State], run: TaskRun, state: State) -> bool:
    """Whether a failure is one that another try may not meet again."""
    failure = state.data
    return isinstance(failure, StageFailed) and failure.may_pass


def _reason(failure: StageFailed) -> str:
    """The most telling of the last lines: the one before DVC's own."""
    own = [line for line in failure.tail if not line.startswith("ERROR: failed to reproduce")]
    return own[-1] if own else f"status {failure.status}"


def _message(ended: Ended) -> str:
    return f"{ended.note} ({ended.seconds:.1f} s)" if ended.seconds else ended.note
