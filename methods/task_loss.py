"""Task loss and score of the true class, for every kind of dataset.

A `choice` row reaches this file as its (B, C) candidate scores, so it reads like classification; a
`regression` row has one output. Shapes are checked before anything is computed: (B, 1) against (B,) would
silently broadcast to (B, B), which is a known bug of published distillation code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from errors import UserError
from kinds import KINDS, Kind


def per_row_task_loss(logits: Tensor, labels: Tensor, kind: Kind) -> Tensor:
    """Cross-entropy, or squared error for regression, of each row.

    logits (B, C), labels (B,) of class numbers or of values -> (B,). Raises UserError on any other shape.
    """
    _check_shapes(logits, labels, kind)
    if not KINDS[kind].has_classes:
        return (logits[:, 0] - labels.to(logits.dtype)) ** 2
    return F.cross_entropy(logits, labels, reduction="none")


def task_loss(logits: Tensor, labels: Tensor, kind: Kind) -> Tensor:
    """Mean of `per_row_task_loss`: logits (B, C), labels (B,) -> scalar."""
    return per_row_task_loss(logits, labels, kind).mean()


def true_class_score(logits: Tensor, labels: Tensor, kind: Kind) -> Tensor:
    """Return each row's score of the truth: probability of the true class, or minus the absolute error for regression.

    logits (B, C), labels (B,) -> (B,). This is y-bar of MPDistil's section 3, and what its rewards compare.
    """
    _check_shapes(logits, labels, kind)
    if not KINDS[kind].has_classes:
        return -(logits[:, 0] - labels.to(logits.dtype)).abs()
    return torch.softmax(logits, dim=-1).gather(1, labels[:, None])[:, 0]


def answer_score(logits: Tensor, labels: Tensor, kind: Kind) -> Tensor:
    """A row's prediction for a curve: the probability of the true class, or the number: (B, C), (B,) -> (B,)."""
    return true_class_score(logits, labels, kind) if KINDS[kind].has_classes else logits[:, 0]


def _check_shapes(logits: Tensor, labels: Tensor, kind: Kind) -> None:
    if logits.ndim != 2 or labels.ndim != 1 or logits.shape[0] != labels.shape[0]:
        raise UserError(
            f"{kind}: logits must be (B, C) and labels (B,), but they are {tuple(logits.shape)} and "
            f"{tuple(labels.shape)}; flatten the labels, do not rely on broadcasting"
        )
    outputs, has_classes = logits.shape[1], KINDS[kind].has_classes
    if not has_classes and outputs != 1:
        raise UserError(f"{kind}: logits must be (B, 1), but they have {outputs} outputs")
    if has_classes and outputs < 2:
        raise UserError(f"{kind}: logits must be (B, C) with C of 2 or more, but C is {outputs}")
