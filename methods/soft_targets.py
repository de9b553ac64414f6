"""Distances between student and teacher outputs, shared by many methods.

Nothing is detached here: a teacher that stays as it is comes without a graph, and one that moves needs its gradient.
Regression has no softmax: every term is the squared error of the outputs, and no temperature is read.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinds import KINDS, Kind
from methods.interface import same_shape
from methods.layer_mapping import LayerPairs
from models.model_outputs import Outputs


def temperature_of(kind: Kind, temperature: float) -> float:
    """The effective temperature: 1 without a softmax."""
    return temperature if KINDS[kind].has_classes else 1.0


def divergence(student: Tensor, teacher: Tensor, kind: Kind, temperature: float) -> Tensor:
    """tau^2 KL(p_T || p_S), mean over rows; mean squared error for regression: two (B, C) -> scalar."""
    return per_row_divergence(student, teacher, kind, temperature).mean()


def per_row_divergence(student: Tensor, teacher: Tensor, kind: Kind, temperature: float) -> Tensor:
    """tau^2 KL(p_T || p_S) of each row, squared error for regression: two (B, C) -> (B,)."""
    same_shape("soft targets", student, teacher, "logits")
    teacher = teacher.to(student.dtype)
    if not KINDS[kind].has_classes:
        return (student[:, 0] - teacher[:, 0]) ** 2
    ours = torch.log_softmax(student / temperature, dim=-1)
    theirs = torch.log_softmax(teacher / temperature, dim=-1)
    return temperature**2 * F.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)


def per_row_cross_entropy(student: Tensor, teacher: Tensor, kind: Kind) -> Tensor:
    """CE(p_T, p_S) of each row, squared error for regression: two (B, C) -> (B,)."""
    same_shape("soft targets", student, teacher, "logits")
    teacher = teacher.to(student.dtype)
    if not KINDS[kind].has_classes:
        return (student[:, 0] - teacher[:, 0]) ** 2
    return -(torch.softmax(teacher, -1) * torch.log_softmax(student, -1)).sum(-1)


def probability_error(student: Tensor, teacher: Tensor, kind: Kind, temperature: float) -> Tensor:
    """Mean squared error between softened probabilities, or between outputs for regression: two (B, C) -> scalar."""
    same_shape("soft targets", student, teacher, "logits")
    teacher = teacher.to(student.dtype)
    if not KINDS[kind].has_classes:
        return F.mse_loss(student, teacher)
    return F.mse_loss(torch.softmax(student / temperature, dim=-1), torch.softmax(teacher / temperature, dim=-1))


def hidden_loss(student: Outputs, teacher: Outputs, layers: LayerPairs, projection: nn.Module | None) -> Tensor:
    """Mean over the matched layers and the pooled vector of the MSE between unit vectors -> scalar."""
    pairs = [(student.vectors[s], teacher.vectors[t]) for s, t in layers]
    pairs.append((student.pooled, teacher.pooled))
    return torch.stack([_unit_mse(ours, theirs, projection) for ours, theirs in pairs]).mean()


def _unit_mse(student: Tensor, teacher: Tensor, projection: nn.Module | None) -> Tensor:
    """(B, H_S) and (B, H_T) -> scalar; the student's vector is projected first if a projection is given."""
    if projection is not None:
        student = projection(student)
    same_shape("soft targets", student, teacher, "vectors (unequal widths need a projection)")
    # Stored vectors are 16 bit: they are normalised in the student's precision.
    teacher = teacher.to(student.dtype)
    return F.mse_loss(F.normalize(student, dim=-1), F.normalize(teacher, dim=-1))
