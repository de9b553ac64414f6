"""The supervised loop: epochs over train, the best epoch on selection kept. Teachers and students both train here."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn

from data.batches import Batch, batch_order, collate
from data.tokens import TokenSplit
from methods.task_loss import Kind
from models.outputs import Outputs
from training.metrics import compute_metrics
from training.predict import predict
from training.progress import watched

# What a method makes of a batch: the total under "loss", its parts under other names.
BatchLoss = Callable[[Outputs, Batch], Mapping[str, torch.Tensor]]
# The same for an epoch, from 1: a method's loss may change from one to the next.
EpochLoss = Callable[[int], BatchLoss]


class Diverged(ValueError):
    """The loss is no number any more."""


@dataclass(frozen=True)
class TrainingSettings:
    """One supervised run. `warmup` is the share of steps in which the learning rate rises; it falls linearly after."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    clip_norm: float | None
    seed: int
    eval_batch_size: int = 32


@dataclass(frozen=True)
class Target:
    """The dataset that a model is trained for."""

    name: str
    kind: Kind
    metrics: tuple[str, ...]


def make_optimizer(parameters_of: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW without decay on biases and normalisation weights, which decay would pull off their scale."""
    decayed = [value for value in parameters_of.parameters() if value.ndim > 1 and value.requires_grad]
    others = [value for value in parameters_of.parameters() if value.ndim <= 1 and value.requires_grad]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    # Fused: the same update in one pass over memory, eight times faster on a CPU.
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True)


def score(
    model: nn.Module, split: TokenSplit, target: Target, *, batch_size: int, device: torch.device
) -> dict[str, float]:
    """Mean task loss (key 'loss') and the target's metrics on a split."""
    logits = predict(model, split, dataset=target.name, batch_size=batch_size, device=device).logits
    return compute_metrics(("loss", *target.metrics), logits, split.labels, target.kind)


def train(
    model: nn.Module,
    train_split: TokenSplit,
    selection_split: TokenSplit,
    target: Target,
    epoch_loss: EpochLoss,
    settings: TrainingSettings,
    *,
    accelerator: Accelerator,
    layers: tuple[int, ...] = (),
    wider: Mapping[str, tuple[int, ...]] | None = None,
    may_be_kept: Callable[[int], bool] = lambda epoch: True,
    after_epoch: Callable[[int], None] | None = None,
    title: str = "training",
) -> list[dict[str, float]]:
    """Train a network (`Classifier`, or one with the same forward) in place.

    It ends with the weights of the epoch with the lowest selection loss (ties: the earliest).

    Args:
        epoch_loss: of an epoch, from the model's outputs and the batch to the total and its parts.
        layers: hidden-state indices whose sequence vectors the loss reads.
        wider: further arguments of the forward pass (tokens, attentions).
        may_be_kept: whether an epoch's weights may be those that the model ends with.
        after_epoch: called with the model as each epoch leaves it.

    Returns:
        one row per epoch: epoch (from 1), learning_rate, train_<part>, selection_loss, selection_<metric>, best (0 or 1).

    Raises:
        Diverged: the loss became NaN or infinite; says at which step and what to change.
    """
    optimizer = make_optimizer(model, settings.learning_rate, settings.weight_decay)
    schedule = make_schedule(optimizer, settings, len(train_split))
    prepared, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    best = BestEpoch(model)
    for epoch in range(1, settings.epochs + 1):
        model.train()
        batch_loss = epoch_loss(epoch)
        order = batch_order(train_split.lengths, settings.batch_size, seed=settings.seed, epoch=epoch, shuffle=True)
        sums: dict[str, float] = {}
        for indices in watched(
            order, total=len(order), title=f"{title}, epoch {epoch}/{settings.epochs}", unit="steps"
        ):
            batch = collate(train_split, indices).to(accelerator.device)
            outputs = prepared(batch.inputs, dataset=target.name, choices=batch.choices, layers=layers, **(wider or {}))
            parts = batch_loss(outputs, batch)
            _step(parts["loss"], prepared, optimizer, accelerator, settings, where=f"{title}, epoch {epoch}")
            schedule.step()
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(indices)
        scores = score(model, selection_split, target, batch_size=settings.eval_batch_size, device=accelerator.device)
        row = {f"train_{name}": total / len(train_split) for name, total in sums.items()}
        best.add({"epoch": epoch, "learning_rate": schedule.get_last_lr()[0], **row}, scores, may_be_kept(epoch))
        if after_epoch is not None:
            after_epoch(epoch)
    return best.restored()


class BestEpoch:
    """The rows of the curves, and the weights of the epoch with the lowest selection loss (ties: the earliest)."""

    def __init__(self, model: nn.Module) -> None:
        self._model, self._weights = model, dict[str, torch.Tensor]()
        self._curves: list[dict[str, float]] = []
        self._chosen = 0

    def add(self, row: Mapping[str, float], scores: Mapping[str, float], may_be_kept: bool = True) -> None:
        """One epoch's row, and the selection scores of the model as it is."""
        self._curves.append({**row, **{f"selection_{name}": value for name, value in scores.items()}})
        better = not self._weights or scores["loss"] < self._curves[self._chosen]["selection_loss"]
        if may_be_kept and better:
            self._chosen, self._weights = len(self._curves) - 1, copy.deepcopy(self._model.state_dict())

    def restored(self) -> list[dict[str, float]]:
        """Give the model the best epoch's weights; the curves, with `best` 1 in that epoch's row and 0 in others."""
        self._model.load_state_dict(self._weights)
        return [{**row, "best": int(i == self._chosen)} for i, row in enumerate(self._curves)]


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings, rows: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """The learning rate over all steps of a run on so many rows."""
    steps = settings.epochs * math.ceil(rows / settings.batch_size)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, _rise_and_fall(steps, settings.warmup))


def _step(
    loss: torch.Tensor,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    settings: TrainingSettings,
    *,
    where: str,
) -> None:
    if not torch.isfinite(loss):
        raise Diverged(
            f"{where}: the loss is {loss.item()}; lower the learning rate ({settings.learning_rate:g}) or clip_norm"
        )
    optimizer.zero_grad()
    accelerator.backward(loss)
    if settings.clip_norm is not None:
        accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)
    optimizer.step()


def _rise_and_fall(steps: int, warmup: float) -> Callable[[int], float]:
    rising = round(steps * warmup)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (steps - step) / max(1, steps - rising))

    return factor
