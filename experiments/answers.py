"""Answers on dev rows as text within a row of results: class numbers, or a regression's numbers, in order of row id.

Compressed, because a row of results has a thousand of them; with them every interval over rows is made of the rows of
docs/results alone.
"""

import base64
import zlib
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator

from experiments.result_rows import Count, RowPart, Text
from kinds import KINDS, Array, Floats, Kind, kind_named
from reporting.evaluations import PairedPredictions

DIGITS = 4
"""Decimals that a regression's numbers keep."""


class DevAnswers(RowPart):
    """A student and its teacher on N dev rows, with the labels."""

    kind: Annotated[Kind, BeforeValidator(kind_named)]
    classes: Count
    """C; 1 for a regression."""
    labels: Text
    student: Text
    teacher: Text

    @property
    def truth(self) -> Array:
        """Labels (N,)."""
        return unpacked(self.labels).astype(KINDS[self.kind].label_type)

    def logits(self, who: str) -> Floats:
        """Logits (N, C) that give the answers: one at the class that was answered, or the number itself."""
        values = unpacked(getattr(self, who))
        return np.eye(self.classes)[values.astype(np.int64)] if KINDS[self.kind].has_classes else values[:, None]


def answers_of(rows: PairedPredictions, kind: Kind) -> dict[str, object]:
    """The field of a row of results."""
    has_classes = KINDS[kind].has_classes

    def said(logits: Floats) -> str:
        return packed(logits.argmax(axis=1) if has_classes else logits[:, 0])

    return {
        "kind": kind,
        "classes": rows.student.shape[1],
        "labels": packed(rows.labels),
        "student": said(rows.student),
        "teacher": said(rows.teacher),
    }


def packed(values: Array) -> str:
    """Numbers (N,) as text."""
    text = " ".join(f"{value:.{DIGITS}f}".rstrip("0").rstrip(".") for value in values.astype(np.float64))
    return base64.b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")


def unpacked(text: str) -> Floats:
    """The reverse of `packed`. Raises ValueError for a text that it did not make."""
    try:
        return np.array([float(word) for word in zlib.decompress(base64.b64decode(text, validate=True)).split()])
    except zlib.error as error:
        raise ValueError(f"answers are damaged ({error})") from None
