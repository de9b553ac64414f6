"""The part of the graph for some datasets, seeds and methods, with everything it needs."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from errors import UserError
from flows.graph import Graph, Node

WHOLE = "report"  # demands every combination, so it can't be made from some of them
GATHERING = "register"  # takes what there is
LAST = "evaluate"  # the stage that it gathers


def select(
    graph: Graph, *, datasets: Sequence[str] = (), seeds: Sequence[int] = (), methods: Sequence[str] = ()
) -> Graph:
    """The stages of these datasets, seeds and methods and their upstream stages; an empty filter keeps all.

    With any filter, the report is left out and `register` needs only the evaluate stages that are kept. Raises
    UserError if a filter names what params.yaml does not list.
    """
    nodes = graph.nodes
    _check("--datasets", datasets, (node.dataset for node in nodes.values()))
    _check("--seeds", seeds, (node.seed for node in nodes.values()))
    _check("--methods", methods, (node.method for node in nodes.values()))
    if not (datasets or seeds or methods):
        return graph
    wanted = [
        node.name
        for node in nodes.values()
        if node.stage not in (WHOLE, GATHERING) and _matches(node, datasets, seeds, methods)
    ]
    kept = _with_needs(nodes, wanted)
    chosen: dict[str, Node] = {}
    for name, node in nodes.items():
        if node.stage == GATHERING:
            needs = (need for need in node.needs if need in kept and nodes[need].stage == LAST)
            chosen[name] = replace(node, needs=tuple(needs))
        elif name in kept:
            chosen[name] = node
    return replace(graph, nodes=chosen)


def _matches(node: Node, datasets: Sequence[str], seeds: Sequence[int], methods: Sequence[str]) -> bool:
    """Return whether the filters keep a stage; one without such a coordinate stays only if a kept stage needs it."""
    return (
        (not datasets or node.dataset in datasets)
        and (not seeds or node.seed in seeds)
        and (not methods or node.method in methods)
    )


def _with_needs(nodes: dict[str, Node], names: Iterable[str]) -> set[str]:
    """The names with those of all upstream stages."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += nodes[name].needs
    return found


def _check(option: str, given: Sequence[object], listed: Iterable[object]) -> None:
    known = list(dict.fromkeys(str(value) for value in listed if value is not None))
    for value in given:
        if str(value) not in known:
            near = difflib.get_close_matches(str(value), known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"those are {', '.join(known)}"
            raise UserError(f"{option} {value}: not in the pipeline; {hint}")
