"""The meta-teacher of MPDistil (section 3, Eq. 2 and 3): a small head on teacher and student vectors.

T' is dropout and one linear layer, started from the teacher's head. With z_T = T'(h_T), z_S = T'(h_S), p_y the
probability of the true class, e the error and SE the squared error of a regression:

    collaborative             -1/2 mean[log p_y(z_T) + log p_y(z_S)]    regression: 1/2 SE_T + 1/2 SE_S
    competitive               -mean[2 log p_y(z_T) - log p_y(z_S)]      regression: SE_T - 1/2 SE_S
    competitive_probability   CE(z_T) - mean[p_y(z_T) - p_y(z_S)]       regression: SE_T + mean[|e_T| - |e_S|]

`competitive_probability` is what the authors' code minimises.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from errors import UserError
from kinds import KINDS, Kind
from methods.task_loss import per_row_task_loss, task_loss, true_class_score

MetaLoss = Literal["collaborative", "competitive", "competitive_probability"]
LOG_FLOOR = math.log(1e-3)


def meta_teacher_loss(
    name: MetaLoss,
    teacher_logits: Tensor,
    student_logits: Tensor,
    labels: Tensor,
    kind: Kind,
    label_range: tuple[float, float] | None = None,
) -> Tensor:
    """The loss called `name`: logits T'(h_T) and T'(h_S), both (B, C), labels (B,) -> scalar.

    `label_range` bounds the competitive losses of a regression and must be given there.
    """
    if name == "collaborative":
        return collaborative(teacher_logits, student_logits, labels, kind)
    if name == "competitive":
        return competitive(teacher_logits, student_logits, labels, kind, label_range)
    if name == "competitive_probability":
        return competitive_probability(teacher_logits, student_logits, labels, kind, label_range)
    raise UserError(f"meta-teacher loss {name!r}: allowed are collaborative, competitive and competitive_probability")


def collaborative(teacher_logits: Tensor, student_logits: Tensor, labels: Tensor, kind: Kind) -> Tensor:
    """Eq. 2: half the task loss on the teacher's vectors plus half on the student's -> scalar, at least 0."""
    return 0.5 * (task_loss(teacher_logits, labels, kind) + task_loss(student_logits, labels, kind))


def competitive(
    teacher_logits: Tensor,
    student_logits: Tensor,
    labels: Tensor,
    kind: Kind,
    label_range: tuple[float, float] | None = None,
) -> Tensor:
    """Eq. 3, bounded -> scalar, at least log 1e-3 (classification) or -range^2 / 2 (regression)."""
    of_teacher = task_loss(teacher_logits, labels, kind)
    of_student = per_row_task_loss(student_logits, labels, kind)
    # Departure: Eq. 3 as printed has no lower bound, as the student's log can fall for ever. So its log is floored at log
    # 1e-3, and its error capped at the range of the labels.
    if not KINDS[kind].has_classes:
        return of_teacher - 0.5 * of_student.clamp(max=_width(label_range) ** 2).mean()
    return 2 * of_teacher - of_student.clamp(max=-LOG_FLOOR).mean()


def competitive_probability(
    teacher_logits: Tensor,
    student_logits: Tensor,
    labels: Tensor,
    kind: Kind,
    label_range: tuple[float, float] | None = None,
) -> Tensor:
    """The authors' loss, on probabilities (minus absolute errors for regression) -> scalar, bounded below."""
    own = true_class_score(teacher_logits, labels, kind).mean()
    of_student = true_class_score(student_logits, labels, kind)
    if not KINDS[kind].has_classes:
        of_student = of_student.clamp(min=-_width(label_range))
    return task_loss(teacher_logits, labels, kind) - own + of_student.mean()


def _width(label_range: tuple[float, float] | None) -> float:
    if label_range is None or not label_range[1] > label_range[0]:
        given = "none is given" if label_range is None else f"it is {label_range}"
        raise UserError(
            f"a competitive loss of a regression needs a label range (lowest, highest), but {given}: "
            "set 'range' in the dataset's dataset.yaml"
        )
    return label_range[1] - label_range[0]


class MetaTeacher(nn.Module):
    """T': dropout, one linear layer, and a projection of the student's vectors if their width differs.

    weight (C, H_T) and bias (C,) or None are the teacher's head. A student that was distilled with a
    projection of its own is given here already projected, so that `student_width` is the teacher's and
    nothing more is learned.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        *,
        student_width: int,
        choices: int = 1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        outputs, width = weight.shape
        self.choices = choices
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, outputs, bias=bias is not None)
        self.projection = nn.Linear(student_width, width) if student_width != width else None
        with torch.no_grad():
            self.head.weight.copy_(weight)
            if bias is not None:
                self.head.bias.copy_(bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """Vectors of the teacher's width (B*K, H_T) -> logits (B, C); candidates become C."""
        logits = self.head(self.dropout(pooled))
        return logits.view(-1, self.choices) if self.choices > 1 else logits

    def of_student(self, pooled: Tensor) -> Tensor:
        """The student's vectors (B*K, H_S) -> logits (B, C)."""
        return self(pooled if self.projection is None else self.projection(pooled))
