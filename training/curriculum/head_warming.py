"""Training of the other datasets' heads before the first episode (ours, not the paper's).

A fresh head knows nothing of its dataset, so what its first batches send into the shared layers is noise. Warmed, it is
trained for some steps on the student as it comes in: eval mode, so that no dropout is drawn, float32, and only the head
moves. The student's answers on the target stay what they were.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from torch import nn

from methods.task_loss import task_loss
from training.curriculum.types import CurriculumStudent, HeadWarming, QuizDataset
from training.data_parallel import average_gradients, run_shared
from training.precision import scoring_precision
from training.supervised import check_finite


def warm_heads(student: CurriculumStudent, warming: HeadWarming, accelerator: Accelerator) -> None:
    """Train the heads of `warming.datasets` in place, one after the other. Raises Diverged if a loss becomes no number."""
    student.eval()
    for dataset in warming.datasets:
        _warm(student, dataset, warming, accelerator)


def _warm(student: CurriculumStudent, dataset: QuizDataset, warming: HeadWarming, accelerator: Accelerator) -> None:
    own = list(student.heads[dataset.name].parameters())
    # No decay: a head of a few hundred numbers that is trained so shortly needs none.
    optimizer = torch.optim.AdamW(own, lr=warming.learning_rate, weight_decay=0.0)
    with _alone(student.parameters(), own), scoring_precision(accelerator.device):
        for _ in range(warming.steps):
            batch = dataset.batches.next_batch().to(accelerator.device)
            outputs = run_shared(student, batch.inputs, dataset=dataset.name, choices=batch.choices)
            loss = task_loss(outputs.logits, batch.labels, dataset.kind)
            slower = f"lower curriculum.head_learning_rate ({warming.learning_rate:g})"
            check_finite(loss, f"curriculum: the loss of {dataset.name}'s head", slower)
            loss.backward()
            average_gradients(own)
            optimizer.step()
            optimizer.zero_grad()


@contextmanager
def _alone(parameters: Iterable[nn.Parameter], own: Iterable[nn.Parameter]) -> Generator[None]:
    """Take gradients by the parameters in `own` only."""
    kept = {id(parameter) for parameter in own}
    others = [one for one in parameters if one.requires_grad and id(one) not in kept]
    for one in others:
        one.requires_grad_(False)
    try:
        yield
    finally:
        for one in others:
            one.requires_grad_(True)
