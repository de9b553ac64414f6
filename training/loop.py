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
from models.classifier import Classifier
from models.outputs import Outputs
from training.metrics import compute_metrics
from training.predict import predict
from training.progress import watched

# What a method makes of a batch: the total under "loss", its parts under other names.
BatchLoss = Callable[[Outputs, Batch], Mapping[str, torch.Tensor]]


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
    model: Classifier, split: TokenSplit, target: Target, *, batch_size: int, device: torch.device
) -> dict[str, float]:
    """Mean task loss (key 'loss') and the target's metrics on a split."""
    logits = predict(model, split, dataset=target.name, batch_size=batch_size, device=device).logits
    return compute_metrics(("loss", *target.metrics), logits, split.labels, target.kind)


def train(
    model: Classifier,
    train_split: TokenSplit,
    selection_split: TokenSplit,
    target: Target,
    batch_loss: BatchLoss,
    settings: TrainingSettings,
    *,
    accelerator: Accelerator,
    layers: tuple[int, ...] = (),
    title: str = "training",
) -> list[dict[str, float]]:
    """Train in place; the model ends with the weights of the epoch with the lowest selection loss (ties: the earliest).

    Args:
        batch_loss: from the model's outputs and the batch to the total and its parts.
        layers: hidden-state indices whose sequence vectors the loss reads.

    Returns:
        one row per epoch: epoch (from 1), learning_rate, train_<part>, selection_loss, selection_<metric>, best (0 or 1).

    Raises:
        Diverged: the loss became NaN or infinite; says at which step and what to change.
    """
    optimizer = make_optimizer(model, settings.learning_rate, settings.weight_decay)
    steps = settings.epochs * math.ceil(len(train_split) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rise_and_fall(steps, settings.warmup))
    prepared, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    curves: list[dict[str, float]] = []
    best: dict[str, torch.Tensor] = {}
    for epoch in range(1, settings.epochs + 1):
        model.train()
        order = batch_order(train_split.lengths, settings.batch_size, seed=settings.seed, epoch=epoch, shuffle=True)
        sums: dict[str, float] = {}
        for indices in watched(
            order, total=len(order), title=f"{title}, epoch {epoch}/{settings.epochs}", unit="steps"
        ):
            batch = collate(train_split, indices).to(accelerator.device)
            outputs = prepared(batch.inputs, dataset=target.name, choices=batch.choices, layers=layers)
            parts = batch_loss(outputs, batch)
            _step(parts["loss"], prepared, optimizer, accelerator, settings, where=f"{title}, epoch {epoch}")
            schedule.step()
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(indices)
        scores = score(model, selection_split, target, batch_size=settings.eval_batch_size, device=accelerator.device)
        if not best or scores["loss"] < min(row["selection_loss"] for row in curves):
            best = copy.deepcopy(model.state_dict())
        row = {f"train_{name}": total / len(train_split) for name, total in sums.items()}
        row |= {f"selection_{name}": value for name, value in scores.items()}
        curves.append({"epoch": epoch, "learning_rate": schedule.get_last_lr()[0], **row})
    model.load_state_dict(best)
    chosen = min(range(len(curves)), key=lambda i: curves[i]["selection_loss"])
    return [{**row, "best": int(i == chosen)} for i, row in enumerate(curves)]


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
