"""Measurement of each step's rewards in the curriculum: when, with which student, on which rows.

A step calls `after_backward` (the action's gradient is there, the student has not moved), reads the paper's two levels when
it has moved, and calls `after_step` with them. The levels and `gain` read the *updated* student in eval mode; `alignment`
compares two gradients of the student as it was when the action was chosen. The levels are read at every step, whatever the
policy learns from: they are what curricula with different rewards can be compared by.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from data.batches import Batch
from errors import UserError
from kinds import Kind
from methods.curriculum_rewards import Reward, alignment_reward, binary_reward, gain_reward, real_reward
from methods.task_loss import per_row_task_loss, true_class_score
from models.model_outputs import Outputs
from training.curriculum.types import CurriculumStudent, Probe, TargetQuiz
from training.data_parallel import average, run_shared
from training.precision import scoring_precision
from training.resume import Resumable

Level = Literal["binary", "real"]


class StepReward(Resumable):
    """The reward of one step, for the policy; computed in two phases."""

    def after_backward(self) -> None:
        return

    def after_step(self, levels: Mapping[Level, Tensor]) -> Tensor | float:
        raise NotImplementedError

    def moved_otherwise(self) -> None:
        """Called when the student has moved by no action: what is read next is not that one's doing."""
        return


class Levels:
    """Eq. 4 and Eq. 5: the present student against the meta-teacher, on the step's quiz batch of the target."""

    def __init__(self, student: CurriculumStudent, target: TargetQuiz, kind: Kind, device: torch.device) -> None:
        self._student, self._target, self._kind, self._device = student, target, kind, device

    @torch.no_grad()
    def of(self, batch: Batch) -> dict[Level, Tensor]:
        """Both rewards of the paper, from one forward pass in eval mode."""
        batch = batch.to(self._device)
        self._student.eval()
        with scoring_precision(self._device):
            outputs = run_shared(self._student, batch.inputs, dataset=self._target.name, choices=batch.choices)
        scores = true_class_score(outputs.logits, batch.labels, self._kind)
        theirs = self._target.meta_scores[batch.rows.to(self._target.meta_scores.device)]
        theirs = theirs.to(scores.device, scores.dtype)
        return {"binary": binary_reward(scores, theirs), "real": real_reward(scores, theirs)}


class LevelReward(StepReward):
    """One of the paper's two rewards."""

    def __init__(self, name: Level) -> None:
        self._name: Level = name

    def after_step(self, levels: Mapping[Level, Tensor]) -> Tensor:
        return levels[self._name]


class ProbeReader:
    """The present student's outputs on the probe, cached until the student changes."""

    def __init__(self, probe: Probe, student: CurriculumStudent, target: str, kind: Kind, device: torch.device) -> None:
        if not probe.batches:
            raise UserError("the probe has no rows: give it some of selection, or use another reward")
        self._batches = [batch.to(device) for batch in probe.batches]
        self._rows = sum(len(batch.labels) for batch in self._batches)
        self._student, self._target, self._kind, self._device = student, target, kind, device
        self._reading: tuple[float, Tensor] | None = None

    def student_moved(self) -> None:
        self._reading = None

    def loss(self) -> float:
        """Mean task loss over the probe's rows, eval mode."""
        return self._read()[0]

    def mean_pooled(self) -> Tensor:
        """Mean pooled vector (H,) over the probe, eval mode: the state of families without a square last layer."""
        return self._read()[1]

    def gradient(self, parameters: Sequence[nn.Parameter]) -> list[Tensor | None]:
        """Gradient of `loss()` by each parameter, leaving `.grad` unchanged."""
        self._student.eval()
        total: list[Tensor | None] = [None] * len(parameters)
        with scoring_precision(self._device):
            for batch in self._batches:
                loss = per_row_task_loss(self._run(batch).logits, batch.labels, self._kind).sum() / self._rows
                parts = torch.autograd.grad(loss, list(parameters), allow_unused=True)
                total = [_add(old, new) for old, new in zip(total, parts, strict=True)]
        average([part for part in total if part is not None])
        return total

    @torch.no_grad()
    def _read(self) -> tuple[float, Tensor]:
        if self._reading is None:
            self._student.eval()
            losses, vectors = [], []
            with scoring_precision(self._device):
                for batch in self._batches:
                    outputs = self._run(batch)
                    losses.append(per_row_task_loss(outputs.logits, batch.labels, self._kind))
                    vectors.append(outputs.pooled)
            self._reading = (torch.cat(losses).mean().item(), torch.cat(vectors).mean(0))
        return self._reading

    def _run(self, batch: Batch) -> Outputs:
        return run_shared(self._student, batch.inputs, dataset=self._target, choices=batch.choices)


class GainReward(StepReward):
    """Fall of the probe's loss since it was last asked for, which is over one action: "after" of one is "before" of the
    next, so it costs one forward an action."""

    VALUES = ("_before",)

    def __init__(self, probe: ProbeReader) -> None:
        self._probe = probe
        self._before = probe.loss()

    def after_step(self, levels: Mapping[Level, Tensor]) -> float:
        before, self._before = self._before, self._probe.loss()
        return gain_reward(before, self._before)

    def moved_otherwise(self) -> None:
        self._before = self._probe.loss()


class AlignmentReward(StepReward):
    """Cosine between the action's gradient and the probe's, both at the student before the step."""

    def __init__(self, probe: ProbeReader, shared: Sequence[nn.Parameter]) -> None:
        self._probe, self._shared = probe, shared
        self._cosine = torch.zeros(())

    def after_backward(self) -> None:
        self._cosine = alignment_reward([p.grad for p in self._shared], self._probe.gradient(self._shared))

    def after_step(self, levels: Mapping[Level, Tensor]) -> Tensor:
        return self._cosine


def make_reward(name: Reward, student: CurriculumStudent, target: str, probe: ProbeReader | None) -> StepReward:
    """The reward called `name`. Raises UserError on an unknown one, or without a needed probe."""
    if name in ("binary", "real"):
        return LevelReward(name)
    if name not in ("gain", "alignment"):
        raise UserError(f"reward {name!r}: allowed are {', '.join(get_args(Reward))}")
    if probe is None:
        raise UserError(f"reward {name} needs a probe: rows of {target} that the student never trains on")
    if name == "gain":
        return GainReward(probe)
    in_heads = {id(parameter) for parameter in student.heads.parameters()}
    return AlignmentReward(probe, [p for p in student.parameters() if id(p) not in in_heads and p.requires_grad])


def check_probe(probe: Probe, target: TargetQuiz) -> None:
    """Raise UserError if the student trains on a row of the probe: the policy would learn to memorise."""
    overlap = sorted(probe.row_ids & target.trained_ids)
    if overlap:
        raise UserError(
            f"{target.name}: {len(overlap)} rows of the probe are rows that the student trains on "
            f"(first: {overlap[0]!r}); take the probe from selection, or hold an exam out of the quiz"
        )


def _add(old: Tensor | None, new: Tensor | None) -> Tensor | None:
    return new if old is None else old if new is None else old + new
