"""The supervised loop of teachers and students: epochs over train, the best epoch on selection kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import nn

from data.batches import Batch, batch_order, collate
from data.tokens import TokenSplit
from epoch_choice import BY_LOSS, SelectedBy, SelectionRule, of_row
from errors import UserError
from kinds import Kind
from metrics import compute_metrics
from models.model_outputs import Outputs
from progress import watched
from training.data_parallel import average_gradients, draw_own_dropout, is_part, run_shared
from training.fsdp import gathered, load_optimizer, load_weights, split_as, split_while_training
from training.precision import training_precision
from training.predict import predict
from training.resume import Checkpoints, Resumable, Saved
from training.resume_files import State

# What a method makes of a batch: the total under "loss", its parts under other names.
BatchLoss = Callable[[Outputs, Batch], Mapping[str, torch.Tensor]]
# The same for an epoch, from 1: a method's loss may change from one to the next.
EpochLoss = Callable[[int], BatchLoss]


class Diverged(UserError):
    """A loss, its gradient or a score that is not finite."""


def check_finite(value: float | torch.Tensor, what: str, way_out: str) -> None:
    """Raise Diverged, with the way out, if a value is NaN or infinite."""
    number = value.item() if isinstance(value, torch.Tensor) else value
    if not math.isfinite(number):
        raise Diverged(f"{what} is {number}; {way_out}")


def check_scores(scores: Mapping[str, float], whose: str) -> None:
    """Raise Diverged if a selection score is not finite."""
    check_finite(scores["loss"], f"{whose}: the loss on selection", "its weights diverged; lower a learning rate")


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of one run. `warmup` is the share of steps in which the learning rate rises; then it falls linearly.

    `patience`: epochs without a better one on selection after which it ends. The learning rate falls as over all `epochs`:
    a run that ends early is the beginning of one that does not.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    clip_norm: float | None
    seed: int
    eval_batch_size: int
    selected_by: SelectedBy
    patience: int | None


@dataclass(frozen=True)
class Target:
    """The dataset that a model is trained for."""

    name: str
    kind: Kind
    metrics: tuple[str, ...]

    def choice(self, by: SelectedBy) -> SelectionRule:
        """The choice of its epochs."""
        return SelectionRule(by, self.metrics[0])


def make_optimizer(parameters_of: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW without decay on biases and normalisation weights, which decay would shrink."""
    trained = [value for value in parameters_of.parameters() if value.requires_grad]

    def group(decays: bool, parts: bool) -> list[nn.Parameter]:
        return [value for value in trained if (value.ndim > 1) is decays and is_part(value) is parts]

    groups = [
        {"params": group(decays, parts), "weight_decay": weight_decay if decays else 0.0}
        for parts in (False, True)
        for decays in (True, False)
    ]
    # Fused: the same update in one pass over memory, eight times faster on a CPU. It takes no whole tensors among parts.
    return torch.optim.AdamW([one for one in groups if one["params"]], lr=learning_rate, fused=True)


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
    patient_from: int = 1,
    after_epoch: AfterEpoch | None = None,
    checkpoints: Checkpoints | None = None,
    title: str = "training",
) -> list[dict[str, float]]:
    """Train a network (`Classifier`, or one with the same forward) in place.

    It ends with the weights of the epoch that is the best on selection by `settings.selected_by`.

    Args:
        epoch_loss: of an epoch, from the model's outputs and the batch to the total and its parts.
        layers: hidden-state indices whose sequence vectors the loss reads.
        wider: further arguments of the forward pass (tokens, attentions).
        may_be_kept: whether an epoch's weights may be those that the model ends with.
        patient_from: the epoch from which `settings.patience` counts.
        after_epoch: called with the model as each epoch leaves it, before its row is added to the curves.
        checkpoints: keep the run's state, and begin where an interrupted run of the same stood.

    Returns:
        one row per epoch: epoch (from 1), learning_rate, train_<part>, selection_loss, selection_<metric>, best (0 or 1).

    Raises:
        Diverged: the loss or its gradient became NaN or infinite; says at which step and what to change.
    """
    size, asked = settings.eval_batch_size, {"layers": layers, **(wider or {})}
    with split_while_training(model, accelerator) as network:
        run = SupervisedRun(network, settings, target, len(train_split), accelerator, after_epoch)
        with (checkpoints or Checkpoints()).watching(run) as after_step:
            while run.epoch <= settings.epochs and not run.best.has_waited(settings.patience, patient_from):
                epoch, where = run.epoch, f"{title}, epoch {run.epoch}/{settings.epochs}"
                network.train()
                batch_loss = epoch_loss(epoch)
                order = batch_order(
                    train_split.lengths, settings.batch_size, seed=settings.seed, epoch=epoch, shuffle=True
                )
                for indices in watched(order[run.step :], total=len(order), done=run.step, title=where, unit="steps"):
                    batch = collate(train_split, indices).to(accelerator.device)
                    given = {"dataset": target.name, "choices": batch.choices}
                    with training_precision(accelerator):
                        outputs = run_shared(network, batch.inputs, **given, **asked)
                    run.take_step(batch_loss(outputs, batch), rows=len(indices), where=where)
                    after_step()
                scores = score(network, selection_split, target, batch_size=size, device=accelerator.device)
                check_scores(scores, where)
                run.end_epoch(scores, may_be_kept(epoch))
        return run.best.restored()


class AfterEpoch(Saved, Protocol):
    """Called with the network after each epoch; its collected values are part of a run's state."""

    def __call__(self, epoch: int, network: nn.Module) -> None: ...


class SupervisedRun(Resumable):
    """Mutable state of training a network: the content of a checkpoint, and the step."""

    PARTS = ("_schedule", "best", "_after_epoch")
    VALUES = ("epoch", "step", "_sums")

    def __init__(
        self,
        model: nn.Module,
        settings: TrainingSettings,
        target: Target,
        rows: int,
        accelerator: Accelerator,
        after_epoch: AfterEpoch | None,
    ) -> None:
        optimizer = make_optimizer(model, settings.learning_rate, settings.weight_decay)
        schedule = make_schedule(optimizer, settings, rows)
        self._model, self._settings, self._rows, self._accelerator = model, settings, rows, accelerator
        # The model is not prepared: gradients are averaged by hand (training.data_parallel), precision goes by pass.
        self._optimizer, self._schedule = accelerator.prepare_optimizer(optimizer), schedule
        draw_own_dropout()
        self.best, self._after_epoch = BestEpoch(model, target.choice(settings.selected_by)), after_epoch
        self.epoch, self.step, self._sums = 1, 0, dict[str, float]()

    def take_step(self, parts: Mapping[str, torch.Tensor], *, rows: int, where: str) -> None:
        """One update of the network by a batch's loss. Raises Diverged."""
        loss, settings, where = parts["loss"], self._settings, f"{where}, step {self.step + 1}"
        slower = f"lower the learning rate ({settings.learning_rate:g}) or clip_norm ({settings.clip_norm})"
        check_finite(loss, f"{where}: the loss", slower)
        self._optimizer.zero_grad()
        self._accelerator.backward(loss)
        average_gradients(self._model.parameters())
        if settings.clip_norm is not None:
            norm = self._accelerator.clip_grad_norm_(self._model.parameters(), settings.clip_norm)
            if norm is not None and self._accelerator.scaler is None:  # which skips such steps of 16-bit gradients
                check_finite(norm, f"{where}: the norm of the gradient", slower)
        self._optimizer.step()
        self._schedule.step()
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.item() * rows
        self.step += 1

    def end_epoch(self, scores: Mapping[str, float], may_be_kept: bool) -> None:
        """Add the epoch's row. A signal before its last line finds the state of the last step."""
        means = {f"train_{name}": total / self._rows for name, total in self._sums.items()}
        if self._after_epoch is not None:
            self._after_epoch(self.epoch, self._model)
        row = {"epoch": self.epoch, "learning_rate": float(self._schedule.get_last_lr()[0]), **means}
        self.best.add(row, scores, may_be_kept)
        self.epoch, self.step, self._sums = self.epoch + 1, 0, {}

    def state_dict(self) -> State:
        own: State = {"model": self._model.state_dict(), "optimizer": self._optimizer.state_dict()}
        return gathered(own | super().state_dict())

    def load_state_dict(self, state: State) -> None:
        load_weights(self._model, state["model"])
        load_optimizer(self._optimizer, state["optimizer"])
        super().load_state_dict(state)


class BestEpoch(Resumable):
    """The rows of the curves, and the weights of the best epoch on selection."""

    VALUES = ("_weights", "_curves", "_chosen")

    def __init__(self, model: nn.Module, choice: SelectionRule = BY_LOSS) -> None:
        self._model, self._choice, self._weights = model, choice, dict[str, torch.Tensor]()
        self._curves: list[dict[str, float]] = []
        self._chosen = 0

    def add(self, row: Mapping[str, float], scores: Mapping[str, float], may_be_kept: bool = True) -> None:
        """One epoch's row, and the present model's selection scores."""
        self._curves.append({**row, **{f"selection_{name}": value for name, value in scores.items()}})
        better = not self._weights or self._choice.is_better(scores, of_row(self._curves[self._chosen]))
        if may_be_kept and better:
            self._chosen, self._weights = len(self._curves) - 1, copy.deepcopy(self._model.state_dict())

    def has_waited(self, patience: int | None, first: int = 1) -> bool:
        """Return whether the last `patience` epochs, none before `first`, brought no improvement; None: never."""
        return patience is not None and len(self._curves) - max(self._chosen + 1, first - 1) >= patience

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self._weights = split_as(self._weights, self._model.state_dict())

    def restored(self) -> list[dict[str, float]]:
        """Load the best epoch's weights; return the curves, with `best` 1 in that epoch's row and 0 in others."""
        self._model.load_state_dict(self._weights)
        return [{**row, "best": int(i == self._chosen)} for i, row in enumerate(self._curves)]


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings, rows: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """The learning rate over all steps of a run on the given number of rows."""
    steps = settings.epochs * math.ceil(rows / settings.batch_size)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, _rise_and_fall(steps, settings.warmup))


def _rise_and_fall(steps: int, warmup: float) -> Callable[[int], float]:
    rising = round(steps * warmup)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (steps - step) / max(1, steps - rising))

    return factor
