"""dist: correlations of outputs (Huang et al., NeurIPS 2022, arXiv:2205.10536, Eq. 8 to 11).

    L = alpha * task + beta * tau^2 * inter + gamma * tau^2 * intra
    inter = 1 - mean over rows of Pearson(p_S[i, :], p_T[i, :])          (within a row, between classes)
    intra = 1 - mean over classes of Pearson(p_S[:, j], p_T[:, j])       (within a class, between rows)

Regression has one output and neither is defined: refused.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from errors import UserError
from methods.interface import LossInputs, Needs, same_shape
from methods.task_loss import task_loss

TINY = 1e-8
"""Lower bound of a product of norms: constant rows have no correlation, here 0."""


@dataclass(frozen=True)
class Dist:
    """Parameters of the loss; the paper's are alpha 1, beta 1, gamma 1 with tau 1 (4 on some pairs)."""

    alpha: float
    beta: float
    gamma: float
    temperature: float

    @property
    def needs(self) -> Needs:
        return Needs(teacher="signals")

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; parts are `task`, `inter` (with more than two classes) and `intra`."""
        same_shape("dist", given.student.logits, given.teacher.logits, "logits")
        if given.student.logits.shape[1] < 2:
            raise UserError("dist: correlations between classes need classes; a regression has none, use kd")
        ours = torch.softmax(given.student.logits / self.temperature, -1)
        theirs = torch.softmax(given.teacher.logits.to(ours.dtype) / self.temperature, -1)
        task = task_loss(given.student.logits, given.labels, given.kind)
        # A batch of one row has no correlation between rows: 0, with a graph.
        intra = 1 - pearson(ours.T, theirs.T).mean() if len(ours) > 1 else ours.sum() * 0
        total = self.alpha * task + self.gamma * self.temperature**2 * intra
        parts = {"task": task.detach(), "intra": intra.detach()}
        # With two classes a row's correlation is 1 or -1 whatever the values: no gradient, so it is left out.
        if ours.shape[1] > 2:
            inter = 1 - pearson(ours, theirs).mean()
            total = total + self.beta * self.temperature**2 * inter
            parts["inter"] = inter.detach()
        return {"loss": total, **parts}


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of each row of two (M, N) -> (M,)."""
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp_min(TINY)
