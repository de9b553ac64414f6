"""Kinds of datasets: one row each, and nothing else that branches on one."""

import ast
from typing import get_args

import numpy as np
import pytest
import torch
from source_imports import ROOT, product_files

from kinds import KINDS, LOWER_IS_BETTER, Kind, KindSpec, kind_named
from methods.task_loss import per_row_task_loss
from metrics import compute_metrics


def named_kinds(node: ast.AST) -> set[str]:
    """Names of kinds among the strings of an expression."""
    strings = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return strings & KINDS.keys()


def branches_on_a_kind(source: str) -> bool:
    """Return whether a name of a kind is compared, matched, or looked up in a table of several."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare | ast.MatchValue) and named_kinds(node):
            return True
        if isinstance(node, ast.Dict) and len(set().union(*(named_kinds(key) for key in node.keys if key))) > 1:
            return True
    return False


def test_nothing_branches_on_a_kind() -> None:
    found = [str(path.relative_to(ROOT)) for path in product_files() if branches_on_a_kind(path.read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        'x = 1 if kind == "regression" else 2',
        'if kind in ("choice", "pair"): pass',
        'x = {"pair": 1, "single": 2}[kind]',
    ],
)
def test_a_branch_on_a_kind_is_seen(source: str) -> None:
    assert branches_on_a_kind(source)


def test_every_kind_has_a_row_and_another_name_is_refused_with_the_names() -> None:
    assert tuple(KINDS) == get_args(Kind)
    assert [kind_named(name) for name in KINDS] == list(KINDS)
    with pytest.raises(ValueError, match="kind 'ordinal' is not allowed; allowed: single, pair, choice, regression"):
        kind_named("ordinal")


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_losses_of_rows_are_those_that_torch_trains_with(kind: KindSpec) -> None:
    generator = np.random.default_rng(3)
    columns = kind.columns(("a", "b", "c"))
    logits = generator.normal(size=(7, columns))
    labels = generator.integers(0, columns, 7) if kind.has_classes else generator.normal(size=7)
    ours = per_row_task_loss(torch.from_numpy(logits), torch.from_numpy(labels), kind.name)
    assert kind.row_losses(logits, labels) == pytest.approx(ours.numpy(), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "labels", "constant", "score"),
    [
        ("pair", [0, 2, 2, 1, 2], 2.0, 0.6),
        ("choice", [1, 0, 1], 1.0, 2 / 3),
        ("regression", [1.0, 2.0, 6.0], 3.0, -14 / 3),
    ],
)
def test_the_constant_is_the_best_answer_that_reads_no_text(
    name: str, labels: list[float], constant: float, score: float
) -> None:
    kind, given = KINDS[name], np.array(labels)
    assert kind.constant(given) == constant
    assert kind.constant_score(given) == pytest.approx(score)
    logits = kind.constant_logits(constant, (len(given), kind.columns(("a", "b", "c"))))
    metric = "accuracy" if kind.has_classes else "mse"
    own = compute_metrics([metric], logits, given, kind.name)[metric]
    assert own == pytest.approx(-score if metric in LOWER_IS_BETTER else score)


def test_a_choice_has_one_unit_and_a_column_a_candidate_and_a_regression_one_of_each() -> None:
    names = ("a", "b", "c")
    assert {name: (kind.outputs(names), kind.columns(names)) for name, kind in KINDS.items()} == {
        "single": (3, 3),
        "pair": (3, 3),
        "choice": (1, 3),
        "regression": (1, 1),
    }
