"""A teacher that stays as it is, as a loss reads it: by its stored signals, its trajectory, or by running."""

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
    """Its stored outputs or its network; none of the three is a teacher without outputs.

    signals: of the rows trained on. trajectory: their logits (N, C) after each of its epochs. network: it runs, in eval
    mode.
    """

    signals: TeacherSignals | None = None
    trajectory: Sequence[Tensor] = ()
    network: Classifier | None = None

    @property
    def width(self) -> int | None:
        """Of its pooled vectors."""
        if self.network is not None:
            return self.network.hidden_size
        return None if self.signals is None else self.signals.pooled.shape[-1]

    def outputs(self, batch: Batch, phase: Phase, dataset: str) -> Outputs | None:
        """Its outputs on a train batch, as a phase's loss reads them."""
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
    """The same vectors with the logits (N, C) that another head (one linear layer) makes of the pooled ones."""
    logits = F.linear(signals.pooled, weight, bias)
    return replace(signals, logits=logits.reshape(signals.logits.shape))


@torch.no_grad()
def run_frozen(network: Classifier, batch: Batch, needs: Needs, dataset: str) -> Outputs:
    """One pass of a teacher that does not learn, with what the loss reads of it."""
    asked = {"layers": needs.teacher_layers, **needs.wider(1)}
    return run_shared(network, batch.inputs, dataset=dataset, choices=batch.choices, **asked)
