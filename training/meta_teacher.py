"""Training of the meta-teacher on the quiz rows: MPDistil's stage 3, on stored vectors, in seconds.

Teacher and student are frozen, so both inputs are constants. Epoch 0, the teacher's own head, is a candidate:
the meta-teacher can never be worse on `selection` than the teacher it came from.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from kinds import Kind
from methods.meta_teacher import MetaLoss, MetaTeacher, meta_teacher_loss
from methods.task_loss import task_loss, true_class_score
from seeds import drawing_from, torch_generator
from training.supervised import check_finite


@dataclass(frozen=True)
class PooledRows:
    """Inputs from both models: vectors (N*K, H_T) and (N*K, H_S), candidates of a row adjacent, labels (N,)."""

    teacher: Tensor
    student: Tensor
    labels: Tensor


@dataclass(frozen=True)
class MetaTeacherSettings:
    """`patience` is in epochs without improvement on selection; `label_range` bounds a regression's losses."""

    loss: MetaLoss
    learning_rate: float
    weight_decay: float
    epochs: int
    batch_size: int
    dropout: float
    max_grad_norm: float
    patience: int
    label_range: tuple[float, float] | None
    seed: int


@dataclass(frozen=True)
class MetaTeacherResult:
    """The best epoch's module in eval mode, one curve row per epoch, true-class scores of the quiz rows (N,): of T'(h_T) and
    of T'(h_S)."""

    module: MetaTeacher
    best_epoch: int
    curves: list[dict[str, float]]
    quiz_scores: Tensor
    student_scores: Tensor


def train_meta_teacher(
    quiz: PooledRows,
    selection: PooledRows,
    head_weight: Tensor,
    head_bias: Tensor | None,
    *,
    kind: Kind,
    choices: int = 1,
    settings: MetaTeacherSettings,
    accelerator: Accelerator,
) -> MetaTeacherResult:
    """Train T' from the teacher's head (C, H_T), (C,) and keep the epoch with the lowest selection loss.

    The selection loss is the mean task loss of T'(h_T); ties go to the earliest epoch. A student that saved a
    projection is passed in projected. The same seed gives the same bits, whatever ran before.
    """
    device = accelerator.device
    quiz, selection = _on(device, quiz), _on(device, selection)
    with drawing_from(settings.seed, "projection and dropout", device=device):
        module = MetaTeacher(
            head_weight,
            head_bias,
            student_width=quiz.student.shape[-1],
            choices=choices,
            dropout=settings.dropout,
        ).to(device)
        curves, best_epoch = _Fit(module, quiz, selection, kind, settings, accelerator).run()
    module.eval()
    with torch.no_grad():
        own = true_class_score(module(quiz.teacher), quiz.labels, kind).cpu()
        students = true_class_score(module.of_student(quiz.student), quiz.labels, kind).cpu()
        return MetaTeacherResult(module, best_epoch, curves, own, students)


@dataclass(frozen=True)
class _Fit:
    """Training of a module on the quiz rows; all processes do the same on the same rows."""

    module: MetaTeacher
    quiz: PooledRows
    selection: PooledRows
    kind: Kind
    settings: MetaTeacherSettings
    accelerator: Accelerator

    def run(self) -> tuple[list[dict[str, float]], int]:
        """Train in place, ending with the best epoch's weights; return the curves, and that epoch."""
        module, settings = self.module, self.settings
        rate, decay = settings.learning_rate, settings.weight_decay
        optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=decay)
        shuffle = torch_generator(settings.seed, "order of rows")
        curves = [{"epoch": 0.0, **self._selection_losses()}]
        best_epoch, best = 0, copy.deepcopy(module.state_dict())
        for epoch in range(1, settings.epochs + 1):
            train_loss = self._epoch(optimizer, shuffle, f"meta-teacher, epoch {epoch}")
            curves.append({"epoch": float(epoch), "train_loss": train_loss, **self._selection_losses()})
            if curves[epoch]["selection_loss"] < curves[best_epoch]["selection_loss"]:
                best_epoch, best = epoch, copy.deepcopy(module.state_dict())
            if epoch - best_epoch >= settings.patience:
                break
        module.load_state_dict(best)
        return curves, best_epoch

    def _epoch(self, optimizer: torch.optim.Optimizer, shuffle: torch.Generator, where: str) -> float:
        """One pass over the quiz rows -> mean loss of its rows."""
        module, settings = self.module, self.settings
        module.train()
        total, slower = 0.0, f"lower meta_teacher.learning_rate ({settings.learning_rate:g})"
        for step, rows in enumerate(_batches(self.quiz, module.choices, settings.batch_size, shuffle), start=1):
            logits = module(rows.teacher), module.of_student(rows.student)
            loss = meta_teacher_loss(settings.loss, *logits, rows.labels, self.kind, settings.label_range)
            check_finite(loss, f"{where}, step {step}: the loss", slower)
            optimizer.zero_grad()
            self.accelerator.backward(loss)
            norm = self.accelerator.clip_grad_norm_(module.parameters(), settings.max_grad_norm)
            if norm is not None and self.accelerator.scaler is None:
                check_finite(norm, f"{where}, step {step}: the norm of the gradient", slower)
            optimizer.step()
            total += loss.item() * len(rows.labels)
        return total / len(self.quiz.labels)

    @torch.no_grad()
    def _selection_losses(self) -> dict[str, float]:
        """The loss that chooses the epoch, and that of the student's vectors through the same head."""
        module, rows = self.module.eval(), self.selection
        return {
            "selection_loss": task_loss(module(rows.teacher), rows.labels, self.kind).item(),
            "selection_loss_of_student": task_loss(module.of_student(rows.student), rows.labels, self.kind).item(),
        }


def _batches(quiz: PooledRows, choices: int, size: int, shuffle: torch.Generator) -> Iterator[PooledRows]:
    count = len(quiz.labels)
    teacher, student = (vectors.view(count, choices, -1) for vectors in (quiz.teacher, quiz.student))
    for rows in torch.randperm(count, generator=shuffle).split(size):
        rows = rows.to(quiz.labels.device)
        yield PooledRows(teacher[rows].flatten(0, 1), student[rows].flatten(0, 1), quiz.labels[rows])


def _on(device: torch.device, rows: PooledRows) -> PooledRows:
    """Move to the device in float32: stored vectors may be 16 bit."""
    return PooledRows(rows.teacher.to(device).float(), rows.student.to(device).float(), rows.labels.to(device))
