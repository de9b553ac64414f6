"""mse_kd: MPDistil's student distillation (Sengupta et al., ICLR 2024, Eq. 1).

    L = alpha * task + (1 - alpha) * MSE(softmax(z_T / tau), softmax(z_S / tau)) + beta * MSE(h_T, h_S)

z are logits (B, C), h the sequence vectors of matched layers and the pooled vector, each divided by its L2
norm over the width. Regression has no softmax: its soft term is MSE(z_T, z_S), and tau is not read.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from errors import UserError
from methods.interface import LossInputs, Needs
from methods.layer_mapping import LayerPairs
from methods.soft_targets import hidden_loss, probability_error, temperature_of
from methods.task_loss import task_loss


@dataclass(frozen=True)
class MseKd:
    """Parameters of Eq. 1. `layers` are the pairs of `match_layers`, for the depths of the two models.

    `alpha_on: soft` puts alpha on the soft term and 1 - alpha on the task loss, as the authors' code does.
    """

    alpha: float
    beta: float
    temperature: float
    temperature_squared: bool
    alpha_on: Literal["task", "soft"]
    layers: LayerPairs

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1 or self.beta < 0 or self.temperature <= 0:
            raise UserError(
                f"mse_kd: alpha must be in [0, 1], beta 0 or more, temperature above 0, "
                f"but they are {self.alpha}, {self.beta}, {self.temperature}"
            )
        if self.alpha_on not in ("task", "soft"):
            raise UserError(f"mse_kd: alpha_on is {self.alpha_on!r}; allowed are task and soft")

    @property
    def needs(self) -> Needs:
        if self.beta == 0:
            return Needs(teacher="signals")
        return Needs(teacher="signals", layers=self.layers, pooled=True)

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; parts are `task`, `soft` and, if beta is not 0, `hidden` (before their weights)."""
        task = task_loss(given.student.logits, given.labels, given.kind)
        # Eq. 1 prints norms; the text calls them mean squared errors.
        soft = probability_error(given.student.logits, given.teacher.logits, given.kind, self.temperature)
        if self.temperature_squared:  # not in the paper: an option
            soft = soft * temperature_of(given.kind, self.temperature) ** 2
        on_task = self.alpha if self.alpha_on == "task" else 1 - self.alpha
        total = on_task * task + (1 - on_task) * soft
        parts = {"task": task.detach(), "soft": soft.detach()}
        if self.beta > 0:
            # Of unit vectors, which the text leaves open: with its beta of 80-100 nothing else is stable.
            hidden = hidden_loss(given.student, given.teacher, self.layers, given.projection)
            total = total + self.beta * hidden
            parts["hidden"] = hidden.detach()
        return {"loss": total, **parts}
