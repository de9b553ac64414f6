"""MPDistil as commonly written: the reference that `make bench` measures the product against.

The same networks, losses and optimiser, but every batch is padded to the longest input allowed and drawn without regard
to lengths, the teacher runs at every step that reads what it says, `gain` measures the probe before and after a step, and
the last layer works on every token, as a stock network's does.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from benchmarks.measuring import Step
from benchmarks.pieces_bench import descend
from benchmarks.workspace import network
from data.batches import Batch, batch_order, collate
from data.tokens import TokenSplit
from methods.interface import LossInputs
from methods.mse_kd import MseKd
from methods.task_loss import per_row_task_loss, task_loss
from models.classifier import Classifier
from training.supervised import make_optimizer

LENGTH = 128


def stock_network(kind: str) -> Classifier:
    """A teacher or student in which every layer processes all tokens."""
    model = network(kind)
    model.first_token_only = False
    return model


def padded(batch: Batch, pad_id: int) -> Batch:
    """The same rows, padded to the longest input allowed."""
    fill = {"input_ids": pad_id, "attention_mask": 0, "token_type_ids": 0}
    inputs = {
        name: F.pad(value, (0, LENGTH - value.shape[1]), value=fill[name]) for name, value in batch.inputs.items()
    }
    return Batch(inputs, batch.labels, batch.rows, batch.choices)


def padded_batches(split: TokenSplit, count: int, batch_size: int) -> list[Batch]:
    """Some batches of random rows."""
    # Rows that look equally long are not grouped.
    order = batch_order(split.lengths * 0, batch_size, seed=0, epoch=1, shuffle=True)
    return [padded(collate(split, indices), split.pad_id) for indices in order[:count]]


def online_step(student: Classifier, teacher: Classifier, method: MseKd, batches: Iterator[Batch]) -> Step:
    """One update of the student after a pass of the teacher."""
    optimizer = make_optimizer(student, 1e-5, 0.01)
    teacher.eval()

    def step() -> None:
        batch = next(batches)
        with torch.no_grad():
            said = teacher(batch.inputs, dataset="rte", layers=method.needs.teacher_layers)
        outputs = student.train()(batch.inputs, dataset="rte", layers=method.needs.student_layers)
        descend(student, optimizer, method.loss(LossInputs(outputs, said, batch.labels, "pair"))["loss"])

    return step


def curriculum_step(student: Classifier, probe: list[Batch], batches: Iterator[Batch]) -> Step:
    """One update, and the probe's loss before and after it."""
    optimizer = make_optimizer(student, 1e-5, 0.01)

    def step() -> None:
        before = probe_loss(student, probe)
        batch = next(batches)
        outputs = student.train()(batch.inputs, dataset="rte")
        descend(student, optimizer, task_loss(outputs.logits, batch.labels, "pair"))
        before - probe_loss(student, probe)

    return step


def forward_step(models: list[Classifier], batches: Iterator[Batch]) -> Step:
    """One batch through some networks that do not train."""

    @torch.no_grad()
    def step() -> None:
        batch = next(batches)
        for model in models:
            model.eval()(batch.inputs, dataset="rte")

    return step


@torch.no_grad()
def probe_loss(student: Classifier, probe: list[Batch]) -> float:
    """Mean task loss over the probe."""
    student.eval()
    losses = [per_row_task_loss(student(one.inputs, dataset="rte").logits, one.labels, "pair") for one in probe]
    return torch.cat(losses).mean().item()
