"""Rewards of the curriculum: the value of one step of the student.

    binary     mean 1[p_y(S) > p_y(T')]          Eq. 4 of MPDistil, on a quiz batch of the target
    real       mean (p_y(S) - p_y(T'))           Eq. 5
    gain       loss(before) - loss(after)        ours: mean task loss of the target on rows never trained on
    alignment  cos(g_action, g_probe)            ours: gradients on the parameters that all datasets share

p_y is `true_class_score`: for a regression minus the absolute error, so that Eq. 4 and 5 hold as they stand.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from errors import UserError

Reward = Literal["binary", "real", "gain", "alignment"]


def binary_reward(student: Tensor, meta_teacher: Tensor) -> Tensor:
    """Share of rows on which the student beats the meta-teacher: two (B,) of true-class scores -> scalar in [0, 1]."""
    _check_rows(student, meta_teacher)
    return (student > meta_teacher).to(student.dtype).mean()


def real_reward(student: Tensor, meta_teacher: Tensor) -> Tensor:
    """Mean lead of the student over the meta-teacher: two (B,) of true-class scores -> scalar."""
    _check_rows(student, meta_teacher)
    return (student - meta_teacher).mean()


def gain_reward(before: float, after: float) -> float:
    """Fall of the probe's mean task loss over one step; the gains of an episode sum to first minus last."""
    return before - after


def alignment_reward(action: Sequence[Tensor | None], probe: Sequence[Tensor | None]) -> Tensor:
    """Cosine between two gradients, given parameter by parameter (None is zero) -> scalar in [-1, 1].

    0 where one of them vanishes: a step that does not move the shared parameters neither helps nor harms.
    """
    pairs = list(zip(action, probe, strict=True))
    dot = _sum([(a * b).sum() for a, b in pairs if a is not None and b is not None])
    norms = _squared_norm(action).sqrt() * _squared_norm(probe).sqrt()
    return dot / norms if norms > 0 else torch.zeros_like(norms)


def _squared_norm(gradient: Sequence[Tensor | None]) -> Tensor:
    return _sum([(g * g).sum() for g in gradient if g is not None])


def _sum(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum() if parts else torch.zeros(())


def _check_rows(student: Tensor, meta_teacher: Tensor) -> None:
    if student.ndim != 1 or student.shape != meta_teacher.shape:
        raise UserError(
            f"rewards compare two (B,) of scores, but they are {tuple(student.shape)} and {tuple(meta_teacher.shape)}"
        )
