"""Small datasets that the tests of this folder share, and where the shared real rows lie."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from data.checks import RawTable, check_table
from data.description import read_description, to_spec
from data.problems import Problems
from data.records import DatasetSpec, Row

ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("DISTILFLOW_SHARED", ROOT.parent / "shared"))
TOKENIZER = SHARED / "models" / "bert-base-uncased-tokenizer" / "tokenizer.json"
needs_shared = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason=f"no shared rows under {SHARED}")

SINGLE = {"kind": "single", "text": ["text"], "labels": ["bad", "good"]}
PAIR = {"kind": "pair", "text": ["first", "second"], "labels": ["no", "maybe", "yes"]}
CHOICE = {"kind": "choice", "text": ["premise"], "choices": ["one", "two"], "connective": "question"}
SCORE = {"kind": "regression", "text": ["first", "second"], "range": [0, 5]}


def spec_of(description: Mapping[str, object], **more: object) -> DatasetSpec:
    """The spec of a description given as a dictionary."""
    problems = Problems("made")
    described = read_description({**description, **more}, "dataset.yaml", problems)
    problems.raise_if_any()
    assert described is not None
    return to_spec(described, "own", "made")


def checked(spec: DatasetSpec, rows: Sequence[Mapping[str, object]], split: str = "train") -> list[Row]:
    """The rows of one file, or the UserError that lists what is wrong with them."""
    problems = Problems(spec.name)
    found = list(check_table(spec, RawTable("made.jsonl", split, list(enumerate(rows, start=1))), problems))
    problems.raise_if_any()
    return found


def single_rows(count: int, positives: float = 0.5) -> list[Row]:
    """Rows of SINGLE, all different; every class at its share."""
    return [
        Row(str(i), {"text": f"sentence number {i}"}, int((i * positives) % 1 + positives >= 1)) for i in range(count)
    ]
