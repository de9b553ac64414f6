"""MetaDistil's and LGTM's steps with exact gradients, against the same steps with the plain formulations."""

from collections.abc import Callable, Iterator
from itertools import cycle

from benchmarks.measuring import Measurement, Step, added_peak_bytes, cpu_seconds, row_of
from benchmarks.plain_steps import double_backward_step, finite_difference_step
from benchmarks.problem import Shape
from data.batches import Batch
from methods.co_training import Pair
from methods.lgtm import Influence, Lgtm
from methods.metadistil import MetaDistil

MEGABYTE = 2**20
TIME, MEMORY = {1: 1.10, 10: 1.0}, {1: 0.85, 10: 0.5}
"""MetaDistil's targets by the number of quiz batches."""
LGTM_TIME = 0.70

Run = Callable[[Pair, Batch, Iterator[Batch]], object]


def measure(shape: Shape, repetitions: int) -> list[Measurement]:
    """All rows of the methods whose teacher trains."""
    rows: list[Measurement] = []
    for quiz_batches in TIME:
        rows += metadistil_rows(shape, quiz_batches, max(2, repetitions // quiz_batches))
    return [*rows, *lgtm_rows(shape, repetitions)]


def metadistil_rows(shape: Shape, quiz_batches: int, repetitions: int) -> list[Measurement]:
    """Time and added memory of a step with a given number of quiz batches, against double backward."""
    # Section 5.1's comparison of both updates is a measurement of the paper, not a part of the step.
    method = MetaDistil(
        alpha=0.5,
        beta=0.0,
        temperature=2.0,
        layers=(),
        pilot=True,
        quiz_batches=quiz_batches,
        teacher_starts="finetuned",
        teacher_warmup=0.0,
        same_masks=False,
        analysis_every=10**9,
    )

    def plain(pair: Pair, batch: Batch, quiz: Iterator[Batch]) -> object:
        return double_backward_step(method, pair, batch, [next(quiz) for _ in range(quiz_batches)])

    steps = {"ours": on(shape, method.step), "plain": on(shape, plain)}
    seconds = cpu_seconds(steps, repetitions)
    peaks = {name: [added_peak_bytes(step) / MEGABYTE] for name, step in steps.items()}
    name = f"metadistil, {quiz_batches} quiz batch{'es' * (quiz_batches > 1)}, against double backward"
    return [
        row_of(f"{name}: time", "CPU s", seconds["ours"], seconds["plain"], TIME.get(quiz_batches)),
        row_of(f"{name}: added memory", "MiB", peaks["ours"], peaks["plain"], MEMORY.get(quiz_batches)),
    ]


def lgtm_rows(shape: Shape, repetitions: int) -> list[Measurement]:
    """Time and added memory of a step, against the finite difference as printed; and with a teacher's pass shared."""
    method = Lgtm(
        alpha=0.6,
        teacher_alpha=0.6,
        influence=Influence(weight=1.0, form="mixed"),
        auxiliary="kl",
        quiz_batches=1,
        teacher_starts="pretrained",
        same_masks=False,
    )

    def printed(pair: Pair, batch: Batch, quiz: Iterator[Batch]) -> object:
        return finite_difference_step(method, pair, batch, [next(quiz)])

    def shared(pair: Pair, batch: Batch, quiz: Iterator[Batch]) -> object:
        return finite_difference_step(method, pair, batch, [next(quiz)], shared=True)

    steps = {"ours": on(shape, method.step), "printed": on(shape, printed), "shared": on(shape, shared)}
    seconds = cpu_seconds(steps, repetitions)
    peaks = {name: [added_peak_bytes(steps[name]) / MEGABYTE] for name in ("ours", "printed")}
    name = "lgtm, against its finite difference"
    return [
        row_of(f"{name} as printed: time", "CPU s", seconds["ours"], seconds["printed"], LGTM_TIME),
        row_of(f"{name} as printed: added memory", "MiB", peaks["ours"], peaks["printed"], None),
        row_of(f"{name} with a shared teacher pass: time", "CPU s", seconds["ours"], seconds["shared"], None),
    ]


def on(shape: Shape, run: Run) -> Step:
    """The step with networks, batches and optimisers of its own."""
    pair = shape.pair()
    batch, *quiz = shape.batches(5, seed=4)
    drawn = cycle(quiz)
    return lambda: run(pair, batch, drawn)
