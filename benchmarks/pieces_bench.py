"""Single pieces of the pipeline on real lengths, each against the least it could cost."""

from dataclasses import dataclass, field
from itertools import cycle

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from benchmarks.measuring import Measurement, Step, at_least_row, cpu_seconds, row_of, seconds_of
from benchmarks.workspace import HIDDEN, SEED, Workspace, network, save_network
from data.batches import Batch, batch_order, collate, draw_rows, useful_share
from data.tokens import TokenSplit
from epoch_choice import BY_LOSS
from methods.finetune import Finetune
from methods.interface import LossInputs, Method
from methods.kd import Kd
from methods.task_loss import per_row_task_loss, task_loss
from models.classifier import Classifier
from models.store import load_model
from training.curriculum.episodes import run_curriculum
from training.curriculum.types import CurriculumSettings, Probe, QuizDataset, TargetQuiz
from training.predict import Predictions
from training.quiz_batches import QuizBatches, fixed_batches
from training.resume_files import State
from training.supervised import make_optimizer
from training.teacher_signals import TeacherSignals, save_signals

BATCH, EVAL_BATCH = 8, 32
CURRICULUM_STEPS, PROBE_ROWS = 16, 32
TARGETS = {"kd": 1.10, "signals": 1.10, "meta_teacher": 1.5, "curriculum": 1.15, "useful": 0.93}


def sampled_batches(split: TokenSplit, count: int) -> list[Batch]:
    """Some batches of the first epoch, spread evenly over it."""
    order = batch_order(split.lengths, BATCH, seed=SEED, epoch=1, shuffle=True)
    return [collate(split, order[place]) for place in np.linspace(0, len(order) - 1, count).astype(int)]


def random_signals(split: TokenSplit) -> TeacherSignals:
    """Stored outputs of a teacher that never ran."""
    draw = torch.Generator().manual_seed(3)
    return TeacherSignals(
        torch.randn(len(split), 2, generator=draw), torch.randn(len(split), HIDDEN, generator=draw), {}
    )


def kd_rows(workspace: Workspace, repetitions: int) -> list[Measurement]:
    """A step of the student with and without the teacher's stored signals."""
    rows = []
    for dataset in ("rte", "mrpc"):
        split = workspace.split(dataset, "train")
        batches, signals = sampled_batches(split, repetitions + 1), random_signals(split)
        steps = {
            name: training_step(network("student", dataset), method, batches, signals)
            for name, method in (("kd", Kd(alpha=0.5, temperature=2.0)), ("finetune", Finetune()))
        }
        seconds = cpu_seconds(steps, repetitions)
        name = f"student's kd step on signals, {dataset} rows, against fine-tuning"
        rows.append(row_of(name, "CPU s", seconds["kd"], seconds["finetune"], TARGETS["kd"]))
    return rows


def training_step(model: Classifier, method: Method, batches: list[Batch], signals: TeacherSignals) -> Step:
    """One update a call, on the batches in turn; what the teacher says is looked up by row."""
    optimizer, drawn = make_optimizer(model, 1e-5, 0.01), cycle(batches)

    def step() -> None:
        batch = next(drawn)
        said = signals.of_rows(batch.rows, method.needs.teacher_layers) if method.needs.teacher == "signals" else None
        outputs = model(batch.inputs, dataset=model.dataset, choices=batch.choices, layers=method.needs.student_layers)
        parts = method.loss(LossInputs(outputs, said, batch.labels, "pair"))
        descend(model, optimizer, parts["loss"])
        for value in parts.values():
            value.item()

    return step


def descend(model: Classifier, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One update, as the training loop makes it."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def forward_pass(model: Classifier, split: TokenSplit) -> Step:
    """A forward pass over a split, in batches of equal lengths that lie ready."""
    order = batch_order(split.lengths, EVAL_BATCH, seed=0, epoch=0, shuffle=False)
    batches = [collate(split, indices) for indices in order]
    model.eval()

    @torch.no_grad()
    def run() -> None:
        for batch in batches:
            model(batch.inputs, dataset=model.dataset, choices=batch.choices)

    return run


def signals_rows(workspace: Workspace, repetitions: int) -> list[Measurement]:
    """The signals stage without loading its teacher, against a forward pass over its rows, in a small workspace."""
    teacher = network("teacher").eval()
    save_network(workspace, teacher, "teacher", "rte", str(SEED))
    passes = [forward_pass(teacher, workspace.split("rte", name)) for name in ("train", "quiz", "selection", "dev")]
    folder = workspace.folder / "outputs" / "teacher" / "rte" / str(SEED) / "model"
    values, floors = [], []
    for _ in range(repetitions):
        whole = seconds_of(lambda: workspace.stage("signals", seed=SEED))
        values.append(whole - seconds_of(lambda: load_model(folder)))
        floors.append(sum(seconds_of(one) for one in passes))
    rows = sum(len(workspace.split("rte", name)) for name in ("train", "quiz", "selection", "dev"))
    name = f"signals stage less loading, {rows} rte rows, against a forward pass"
    return [row_of(name, "CPU s", values, floors, TARGETS["signals"])]


def meta_teacher_rows(workspace: Workspace, repetitions: int) -> list[Measurement]:
    """The meta-teacher stage at 10 epochs, everything but imports, against the student's pass over the quiz split."""
    student = network("student").eval()
    save_network(workspace, network("teacher"), "teacher", "rte", str(SEED))
    save_network(workspace, student, "student", "rte", "mse_kd", str(SEED))
    folder = workspace.folder / "outputs"
    # A stage refuses files that its record does not know: that of real signals does not fit random ones.
    (folder / "signals" / "rte" / str(SEED) / "run.json").unlink(missing_ok=True)
    for name in ("quiz", "selection", "dev"):
        said = random_signals(workspace.split("rte", name))
        made = Predictions(said.logits.numpy(), said.pooled.numpy(), {})
        save_signals(folder / "signals" / "rte" / str(SEED) / "signals", name, made)
        if name == "selection":
            save_signals(folder / "student" / "rte" / "mse_kd" / str(SEED) / "seen", name, made)
    quiz = forward_pass(student, workspace.split("rte", "quiz"))
    workspace.stage("meta_teacher", seed=SEED)  # its imports
    values = [
        (seconds_of(lambda: workspace.stage("meta_teacher", seed=SEED)), seconds_of(quiz)) for _ in range(repetitions)
    ]
    name = f"meta-teacher stage, 10 epochs, less imports, against a pass over {len(workspace.split('rte', 'quiz'))} quiz rows"
    return [row_of(name, "CPU s", *zip(*values, strict=True), TARGETS["meta_teacher"])]


@dataclass
class Recorded:
    """Quiz batches that record which ones were served."""

    batches: QuizBatches
    given: list[Batch] = field(default_factory=list)

    def next_batch(self) -> Batch:
        self.given.append(self.batches.next_batch())
        return self.given[-1]

    def state_dict(self) -> State:
        return self.batches.state_dict()

    def load_state_dict(self, state: State) -> None:
        self.batches.load_state_dict(state)


def curriculum_rows(workspace: Workspace, repetitions: int) -> list[Measurement]:
    """A step of the curriculum with `gain`, against a training step and a forward pass of the probe."""
    quiz, selection = workspace.split("rte", "quiz"), workspace.split("rte", "selection")
    probe = fixed_batches(selection, draw_rows(len(selection), PROBE_ROWS, 0), EVAL_BATCH)
    values, floors = [], []
    for repetition in range(repetitions):
        sources = recorded_sources(quiz, repetition)
        values.append(curriculum_seconds(quiz, probe, sources))
        replayed = sources[0].given[1:] + sources[1].given
        floors.append(seconds_of(_floor(replayed, probe)) / len(replayed))
    name = f"curriculum step with gain, probe of {PROBE_ROWS}, against a training step and a pass of the probe"
    return [row_of(name, "CPU s", values, floors, TARGETS["curriculum"])]


def recorded_sources(quiz: TokenSplit, seed: int) -> list[Recorded]:
    """Two actions."""
    return [Recorded(QuizBatches(quiz, BATCH, seed=seed + number)) for number in range(2)]


def curriculum_seconds(quiz: TokenSplit, probe: list[Batch], sources: list[Recorded]) -> float:
    """CPU seconds of one step.

    What is done once a run (the first reading of the probe, copies of the weights) is no part of a step.
    """
    whole = seconds_of(lambda: curriculum_run(quiz, sources, probe, CURRICULUM_STEPS))
    once = seconds_of(lambda: curriculum_run(quiz, recorded_sources(quiz, 9), probe, 1))
    return (whole - once) / (CURRICULUM_STEPS - 1)


def curriculum_run(
    quiz: TokenSplit, sources: list[Recorded], probe: list[Batch], steps: int, episodes: int = 1
) -> None:
    """A curriculum of a new student with a given number of steps per episode."""
    student = network("student")
    student.add_head("other", 2, seed=0)
    passes = QuizBatches(quiz, BATCH, seed=5)
    run_curriculum(
        student,
        [QuizDataset(name, "pair", source) for name, source in zip(("rte", "other"), sources, strict=True)],
        TargetQuiz("rte", passes.one_pass, torch.zeros(len(quiz)), frozenset()),
        lambda: {"loss": 0.0},
        settings=CurriculumSettings(
            episodes=episodes,
            max_steps_per_episode=steps,
            update="step",
            sampler="policy",
            reward="gain",
            credit=None,
            student_lr=3e-5,
            weight_decay=0.01,
            clip_norm=1.0,
            choice=BY_LOSS,
            patience=None,
            gain_steps=1,
            seed=0,
        ),
        accelerator=Accelerator(),
        probe=Probe(probe, frozenset({"a row of selection"})),
    )


def _floor(batches: list[Batch], probe: list[Batch]) -> Step:
    """The same number of training steps, each followed by a forward pass of the probe."""
    student = network("student")
    optimizer = make_optimizer(student, 3e-5, 0.01)

    def run() -> None:
        for batch in batches:
            student.train()
            outputs = student(batch.inputs, dataset="rte", choices=batch.choices)
            descend(student, optimizer, task_loss(outputs.logits, batch.labels, "pair"))
            student.eval()
            _probe_loss(student, probe)

    return run


@torch.no_grad()
def _probe_loss(student: Classifier, probe: list[Batch]) -> Tensor:
    losses = [per_row_task_loss(student(one.inputs, dataset="rte").logits, one.labels, "pair") for one in probe]
    return torch.cat(losses).mean()


def useful_rows(workspace: Workspace) -> list[Measurement]:
    """Share of non-padding tokens in an epoch's batches."""
    lengths = workspace.split("rte", "train").lengths
    return [
        at_least_row(
            f"useful share of the tokens, rte, batch {size}",
            "share",
            [
                useful_share(lengths, batch_order(lengths, size, seed=SEED, epoch=epoch, shuffle=True))
                for epoch in (1, 2, 3)
            ],
            TARGETS["useful"],
        )
        for size in (8, 16, 32)
    ]
