"""pkd: patient knowledge distillation (Sun et al., EMNLP 2019, arXiv:1908.09355, Eq. 7 and 8).

    L = alpha * task + (1 - alpha) * tau^2 * KL(p_T^tau || p_S^tau) + beta * MSE(h_T, h_S)

h are the sequence vectors of middle layers, each divided by its L2 norm; the last layer is left to the soft term.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.interface import LossInputs, Needs, same_shape
from methods.layer_mapping import LayerPairs
from methods.soft_targets import divergence
from methods.task_loss import task_loss
from models.model_outputs import Outputs


@dataclass(frozen=True)
class Pkd:
    """Parameters of the loss. `layers` are the pairs of `patient_layers`, for the depths of the two models."""

    alpha: float
    beta: float
    temperature: float
    layers: LayerPairs

    @property
    def needs(self) -> Needs:
        return Needs(teacher="signals", layers=self.layers)

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; parts are `task`, `soft` and `patient` (before their weights)."""
        task = task_loss(given.student.logits, given.labels, given.kind)
        soft = divergence(given.student.logits, given.teacher.logits, given.kind, self.temperature)
        patient = patient_loss(given.student, given.teacher, self.layers, given.projection)
        total = self.alpha * task + (1 - self.alpha) * soft + self.beta * patient
        return {"loss": total, "task": task.detach(), "soft": soft.detach(), "patient": patient.detach()}


def patient_loss(student: Outputs, teacher: Outputs, layers: LayerPairs, projection: nn.Module | None) -> Tensor:
    """Mean over the pairs of the MSE between unit sequence vectors (B*K, H) -> scalar."""
    terms: list[Tensor] = []
    for ours, theirs in layers:
        own = student.vectors[ours] if projection is None else projection(student.vectors[ours])
        other = teacher.vectors[theirs].to(own.dtype)
        same_shape("pkd", own, other, "vectors (unequal widths need a projection)")
        # The paper sums squares over the width; its authors' code takes the mean, and the published beta is for that.
        terms.append(F.mse_loss(F.normalize(own, dim=-1), F.normalize(other, dim=-1)))
    return torch.stack(terms).mean()
