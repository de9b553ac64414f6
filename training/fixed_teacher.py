"""A fixed teacher for a loss: its stored signals, its trajectory, or the running network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from data.batches import Batch
from methods.interface import Needs, Phase
from models.classifier import Classifier
from models.model_outputs import Outputs
from training.data_parallel import run_shared
from training.teacher_signals import TeacherSignals


@dataclass(frozen=True)
class FixedTeacher:
    """Stored outputs or a network; with none of the three, a teacher without outputs.

    signals: of the rows trained on. trajectory: their logits (N, C) after each of its epochs. network: it runs, in eval
    mode.
    """

    signals: TeacherSignals | None = None
    trajectory: Sequence[Tensor] = ()
    network: Classifier | None = None

    @property
    def width(self) -> int | None:
        """Width of its pooled vectors."""
        if self.network is not None:
            return self.network.hidden_size
        return None if self.signals is None else self.signals.pooled.shape[-1]

    def outputs(self, batch: Batch, phase: Phase, dataset: str) -> Outputs | None:
        """Its outputs on a train batch for a phase's loss."""
        if self.network is not None:
            return run_frozen(self.network, batch, phase.method.needs, dataset)
        if self.signals is None:
            return None
        said = self.signals.of_rows(batch.rows, phase.method.needs.teacher_layers)
        if phase.teacher_epoch is None:
            return said
        logits = self.trajectory[phase.teacher_epoch - 1][batch.rows.cpu()].to(batch.rows.device)
        return Outputs(logits=logits, pooled=said.pooled, vectors=said.vectors)


def reworded(signals: TeacherSignals, weight: Tensor, bias: Tensor | None) -> TeacherSignals:
    """Replace the logits by another head's (one linear layer) on the pooled vectors: (N, C)."""
    logits = F.linear(signals.pooled, weight, bias)
    return replace(signals, logits=logits.reshape(signals.logits.shape))


@torch.no_grad()
def run_frozen(network: Classifier, batch: Batch, needs: Needs, dataset: str) -> Outputs:
    """One pass of a frozen teacher, with the outputs that the loss reads."""
    asked = {"layers": needs.teacher_layers, **needs.wider(1)}
    return run_shared(network, batch.inputs, dataset=dataset, choices=batch.choices, **asked)
