"""One stage as a Prefect task: its log, its retries, and its final state."""

import logging
import time
from dataclasses import dataclass, field

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, StateType, TaskRun
from prefect.runtime import task_run
from prefect.tasks import Task

from flows.gpu import gpu_slot
from flows.graph import Graph, Node
from flows.outcome import StageOutcome, newly_registered
from flows.runner import StageFailed, StageRunner, StageStopped
from flows.settings import Settings

TYPES = {
    "Ran": StateType.COMPLETED,
    "Cached": StateType.COMPLETED,
    "Failed": StateType.FAILED,
    "Skipped": StateType.CANCELLED,
    "Stopped": StateType.CANCELLED,
}


@dataclass
class RunContext:
    """Values shared by the tasks of one run, and the outcomes so far."""

    graph: Graph
    runner: StageRunner
    settings: Settings
    on_gpu: frozenset[str] = frozenset()
    """Stages that need a slot of the GPU limit."""
    ended: dict[str, StageOutcome] = field(default_factory=dict)

    def needs(self, node: Node) -> list[str]:
        """The upstream stages within this run."""
        return [need for need in node.needs if need in self.graph.nodes]


def stage_task(context: RunContext) -> Task[..., State]:
    """The task submitted for each stage. DVC is the only cache: Prefect's is off."""

    @task(
        name="stage",
        task_run_name="{stage}",
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=context.settings.retries,
        retry_delay_seconds=0,  # the task itself waits, so that Ctrl-C need not
        retry_condition_fn=_is_transient,
    )
    def run_stage(stage: str) -> State:
        node, start = context.graph.nodes[stage], time.monotonic()
        try:
            ended = _end(node, context)
        except StageFailed as failure:
            seconds = time.monotonic() - start
            context.ended[stage] = StageOutcome(
                stage, "Failed", seconds, _reason(failure), changed=True, tail=failure.tail
            )
            raise
        context.ended[stage] = ended
        message = f"{ended.note} ({ended.seconds:.1f} s)" if ended.seconds else ended.note
        return State(type=TYPES[ended.state], name=ended.state, message=message)

    return run_stage


def _end(node: Node, context: RunContext) -> StageOutcome:
    """Bring one stage up to date, unless it already is or an upstream stage failed."""
    before = [context.ended[need] for need in context.needs(node)]
    missing = [stage.name for stage in before if stage.state not in ("Ran", "Cached")]
    if missing:
        return StageOutcome(node.name, "Skipped", note=f"needs {', '.join(missing)}")
    if not node.reasons and not any(stage.changed for stage in before if stage.name in node.follows):
        return StageOutcome(node.name, "Cached", note="up to date")
    logger = get_run_logger()
    if task_run.run_count > 1:
        logger.info("waiting %g s before another try", context.settings.retry_delay)
        context.runner.stopping.wait(context.settings.retry_delay)
    if node.reasons:
        logger.info("out of date: %s", "; ".join(node.reasons))
    try:
        with gpu_slot(node.stage in context.on_gpu, context.runner.stopping, logger.info):
            return _run(node, context, logger)
    except StageStopped:
        return StageOutcome(node.name, "Stopped", note="the run was stopped", changed=True)


def _run(
    node: Node, context: RunContext, logger: "logging.Logger | logging.LoggerAdapter[logging.Logger]"
) -> StageOutcome:
    start = time.monotonic()
    done = context.runner.run(node.name, lambda line: logger.log(level_of(line), "%s", line))
    # Without the time in a queue, where it went to another machine.
    seconds = done.seconds if done.note else time.monotonic() - start
    if done.outcome == "unchanged":
        return StageOutcome(node.name, "Cached", seconds, "unchanged")
    if done.outcome == "restored":
        return StageOutcome(node.name, "Cached", seconds, done.note or "restored from DVC's cache", changed=True)
    registered = newly_registered(context.graph.root) if node.always else None
    if registered and registered.trial:
        return StageOutcome(node.name, "Ran", seconds, f"trial ({registered.trial}): nothing registered", changed=True)
    if registered and registered.reachable and not registered.new:
        return StageOutcome(node.name, "Cached", seconds, "nothing new", changed=True)
    note = "" if registered is None or registered.reachable else "the registry did not answer; the next run catches up"
    note = note or "; ".join(node.reasons) or "what it reads changed"
    return StageOutcome(node.name, "Ran", seconds, f"{note}; {done.note}" if done.note else note, changed=True)


def level_of(line: str) -> int:
    """The log level of a stage's line: Prefect's page colours and filters by it."""
    return logging.WARNING if "WARNING: " in line else logging.INFO


def _is_transient(task: Task[..., State], run: TaskRun, state: State) -> bool:
    """Return whether a failure may be transient."""
    failure = state.data
    return isinstance(failure, StageFailed) and failure.is_transient


def _reason(failure: StageFailed) -> str:
    """The most informative of the last lines: the one before DVC's own."""
    own = [line for line in failure.tail if not line.startswith("ERROR: failed to reproduce")]
    return own[-1] if own else f"status {failure.status}"
