"""plan: the stages that would run, with reasons and last durations. Changes nothing."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from flows.filters import select
from flows.graph import Graph, Node, read_graph, statuses_for
from flows.options import RunOptions
from flows.worktree import overridden
from reporting.tables import aligned

State = Literal["run", "may run", "restore", "cached"]
COMPUTED = ("run", "may run")
SHOWN = 3  # reasons of a stage; a merge that touches a shared module can give it dozens
COORDINATES = ("name", "stage", "dataset", "method", "seed")
HEADINGS = ("would", "stage", "last time", "why")


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a plan."""

    node: Node
    state: State
    """run; may run, if an upstream stage comes out different; restore, from DVC's cache; cached: up to date."""
    after: tuple[str, ...]
    """Direct upstream stages that run or may run."""


def make_plan(graph: Graph) -> list[PlannedStage]:
    """Plan each stage of a graph in topological order."""
    planned: dict[str, PlannedStage] = {}
    for node in graph.nodes.values():
        after = tuple(need for need in node.follows if need in planned and planned[need].state in COMPUTED)
        planned[node.name] = PlannedStage(node, _state(node, after), after)
    return list(planned.values())


def _state(node: Node, after: tuple[str, ...]) -> State:
    if node.reasons and not node.restores:
        return "run"
    if after:
        return "may run"
    return "restore" if node.restores else "cached"


def main(options: RunOptions, *, as_json: bool = False) -> int:
    """Print the plan of a run with these options; return the exit status."""
    profile = Path(options.profile) if options.profile else None
    with overridden(Path.cwd(), profile, options.overrides, keep=False, restore=False) as tree:
        graph = read_graph(tree, statuses=statuses_for(options.pools))
    graph = select(graph, datasets=options.datasets, seeds=options.seeds, methods=options.methods)
    plan = make_plan(graph)
    if options.pools and not as_json:
        from flows.fleet.parent import served_lines

        print("\n".join(served_lines(Path.cwd(), options.pools)))
    print(json.dumps(_content(plan), indent=2) if as_json else "\n".join(_text(plan)))
    return 0


def _content(plan: list[PlannedStage]) -> dict[str, object]:
    """The plan as JSON."""
    seconds, unknown = _known_seconds(plan)
    stages = [
        {key: getattr(one.node, key) for key in COORDINATES}
        | {"state": one.state, "reasons": one.node.reasons, "after": one.after, "seconds": one.node.seconds}
        for one in plan
    ]
    return {"stages": stages, "counts": _counts(plan), "known_seconds": seconds, "never_timed": unknown}


def _text(plan: list[PlannedStage]) -> Iterator[str]:
    """The plan as text; stages that would not be computed are only counted."""
    rows = [
        (one.state, one.node.name, "" if one.node.seconds is None else duration(one.node.seconds), _why(one))
        for one in plan
        if one.state in COMPUTED
    ]
    if rows:
        yield from (*aligned([HEADINGS, *rows]), "")
    counts = _counts(plan)
    yield (
        f"{counts['run']} of {len(plan)} stages would run, {counts['may run']} may run after them, "
        f"{counts['restore']} come from DVC's cache, {counts['cached']} are up to date."
    )
    if rows:
        seconds, unknown = _known_seconds(plan)
        never = f"{unknown} of them {'was' if unknown == 1 else 'were'} never timed here"
        if seconds:
            yield f"Last time that took {duration(seconds)}, one after another{f'; {never}' if unknown else ''}."
        else:
            yield f"How long that takes is not known: {never}."


def _why(one: PlannedStage) -> str:
    """The reasons of a stage, or the upstream stages that may make it run."""
    if one.state == "may run":
        return f"after {_some(one.after)}"
    return _some(one.node.reasons, "; ")


def _some(words: tuple[str, ...], separator: str = ", ") -> str:
    """The first items, and the number of the rest."""
    more = len(words) - SHOWN
    return separator.join(words[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _counts(plan: list[PlannedStage]) -> dict[State, int]:
    counted = Counter(one.state for one in plan)
    return {state: counted[state] for state in get_args(State)}


def _known_seconds(plan: list[PlannedStage]) -> tuple[float, int]:
    """Sum of the last durations of what runs or may run: (seconds, stages without one)."""
    times = [one.node.seconds for one in plan if one.state in COMPUTED]
    return sum(time for time in times if time is not None), times.count(None)


def duration(seconds: float) -> str:
    """3.2 s, 2 min 10 s, 1 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
