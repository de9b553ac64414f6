"""Outputs of a model for the rows of a split, in the split's order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from data.batches import batch_order, collate
from data.tokens import TokenSplit
from errors import UserError
from training import interrupts
from training.data_parallel import run_shared
from training.precision import scoring_precision


@dataclass(frozen=True)
class Predictions:
    """Outputs for N rows, K encoded inputs each (K candidates of a choice row, else 1), in eval mode.

    logits: (N, C) float32. pooled: (N*K, H) float32. vectors: layer -> (N*K, H) float16 sequence vectors.
    """

    logits: np.ndarray
    pooled: np.ndarray
    vectors: dict[int, np.ndarray]


@dataclass
class SoFar:
    """Outputs for the first batches of a split, from which an interrupted pass resumes."""

    batches: int = 0
    parts: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, said: Mapping[str, torch.Tensor]) -> None:
        """Append one batch, by output, (rows of the batch, ...)."""
        for name, value in said.items():
            self.parts.setdefault(name, []).append(value.cpu().numpy())
        self.batches += 1


@torch.no_grad()
def predict(
    model: nn.Module,
    split: TokenSplit,
    *,
    dataset: str,
    batch_size: int,
    device: torch.device,
    layers: tuple[int, ...] = (),
    so_far: SoFar | None = None,
    after_batch: Callable[[], None] = lambda: None,
) -> Predictions:
    """Run a network (`Classifier`, or one with the same forward) over a split, in float32. Batches are grouped by length, results put back into the split's order.

    Several processes share the rows of each batch, every row once; all of them get the results of all rows.

    Args:
        layers: hidden-state indices whose sequence vectors are kept (0: embeddings, n: after layer n).
        so_far: what an interrupted call of the same said; further batches are added to it.
        after_batch: called when one was.
    """
    if len(split) == 0:
        raise UserError(f"{dataset}: a split without rows; there is nothing to predict")
    was_training = model.training
    model.eval()
    order = batch_order(split.lengths, batch_size, seed=0, epoch=0, shuffle=False)
    so_far = so_far or SoFar()
    for indices in order[so_far.batches :]:
        interrupts.check()
        batch = collate(split, indices).to(device)
        with scoring_precision(device):
            outputs = run_shared(model, batch.inputs, dataset=dataset, choices=batch.choices, layers=layers)
        named = {"logits": outputs.logits, "pooled": outputs.pooled}
        named |= {f"vectors.{layer}": outputs.vectors[layer].half() for layer in layers}
        so_far.add({name: value.reshape(len(indices), -1) for name, value in named.items()})
        after_batch()
    model.train(was_training)
    back = np.argsort(np.concatenate([np.asarray(indices) for indices in order]), kind="stable")
    whole = {name: np.concatenate(parts)[back] for name, parts in so_far.parts.items()}
    encoded = len(split) * split.choices
    return Predictions(
        whole["logits"],
        whole["pooled"].reshape(encoded, -1),
        {layer: whole[f"vectors.{layer}"].reshape(encoded, -1) for layer in layers},
    )
