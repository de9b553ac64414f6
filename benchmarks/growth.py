"""Growth of time and memory with rows, length, layers, episodes and quiz batches: small tables, and a JSON file.

    OMP_NUM_THREADS=1 python -m benchmarks.growth [--output FILE] [--pages FILE]

CPU seconds at one thread. Memory of a step is what its tensors take beyond what was there before; that of a stage is the
peak of its process. `--pages` writes the tables into a page, between the two marks that it has.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.fixed_teacher_bench import step_of
from benchmarks.gradients_bench import metadistil_rows
from benchmarks.measuring import added_peak_bytes, cpu_seconds, seconds_of
from benchmarks.memory_bench import peak_gigabytes, write_workspace
from benchmarks.pieces_bench import BATCH, curriculum_run, recorded_sources
from benchmarks.problem import Shape
from benchmarks.workspace import make_workspace
from data.batches import draw_rows
from methods.finetune import Finetune
from reporting.tables import Table, markdown_table
from tasks.runtime.malloc import keep_freed_memory
from training.quiz_batches import fixed_batches

OUTPUT = Path("outputs/growth.json")
BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"
MEGABYTE = 2**20
SHAPE = Shape(length=64, classes=2)


@dataclass(frozen=True)
class Growth:
    """One table: the quantity that grows, the columns, and one line per size."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[float, ...], ...]

    def markdown(self) -> str:
        """The table in Markdown."""
        body = [[_shown(value) for value in line] for line in self.lines]
        return f"**{self.title}**\n\n{markdown_table(Table(self.columns, body, names=0))}"


def rows_table(sizes: Sequence[int] = (20_000, 80_000, 320_000)) -> Growth:
    """The two stages that process every raw row."""
    lines = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            write_workspace(Path(name), size)
            source, split = (peak_gigabytes(Path(name), stage) for stage in ("source", "split"))
        lines.append((size, source[1], 1000 * source[0], split[1], 1000 * split[0]))
    return Growth(
        "Rows (pairs of ten words each)",
        ("rows", "source, CPU s", "source, peak MB", "split, CPU s", "split, peak MB"),
        tuple(lines),
    )


def length_table(lengths: Sequence[int] = (32, 64, 128, 256, 512)) -> Growth:
    """A training step of the student."""
    return _steps(
        "Length (a training step of 3 layers, 8 rows)", "tokens", [(n, replace(SHAPE, length=n)) for n in lengths]
    )


def layer_table(depths: Sequence[int] = (1, 2, 3, 6, 12)) -> Growth:
    """A training step of networks of several depths."""
    return _steps(
        "Layers (a training step, 8 rows of 64 tokens)",
        "layers",
        [(n, replace(SHAPE, student_layers=n)) for n in depths],
    )


def _steps(title: str, what: str, shapes: Sequence[tuple[int, Shape]]) -> Growth:
    lines = []
    for size, shape in shapes:
        step = step_of(shape, Finetune())
        seconds = statistics.median(cpu_seconds({"step": step}, 3)["step"])
        lines.append((size, seconds, added_peak_bytes(step) / MEGABYTE))
    return Growth(title, (what, "CPU s", "added MiB"), tuple(lines))


def episode_table(counts: Sequence[int] = (1, 2, 4)) -> Growth:
    """Whole runs of the curriculum, without the scoring of selection after each episode."""
    with tempfile.TemporaryDirectory() as name:
        workspace = make_workspace(Path(name), None, share=1 / 4)
        quiz, selection = workspace.split("rte", "quiz"), workspace.split("rte", "selection")
    probe = fixed_batches(selection, draw_rows(len(selection), 32, 0), 32)
    lines = []
    for count in counts:
        run = partial(curriculum_run, quiz, recorded_sources(quiz, 1), probe, 4, count)
        lines.append((count, seconds_of(run), added_peak_bytes(run) / MEGABYTE))
    return Growth(
        f"Episodes (of 4 steps of {BATCH} rows, gain, probe of 32)", ("episodes", "CPU s", "added MiB"), tuple(lines)
    )


def quiz_table(counts: Sequence[int] = (1, 2, 5, 10)) -> Growth:
    """MetaDistil's step, beside one with double backward."""
    lines = []
    for count in counts:
        time, memory = metadistil_rows(replace(SHAPE, batch=8), count, 1)
        lines.append((count, time.value, memory.value, time.floor, memory.floor))
    columns = ("quiz batches", "CPU s", "added MiB", "double backward, CPU s", "double backward, added MiB")
    return Growth("Quiz batches (a step of metadistil, 6 and 3 layers, 8 rows of 64 tokens)", columns, tuple(lines))


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description="Measure the growth of time and memory."
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="JSON file to write")
    parser.add_argument("--pages", type=Path, help="page to write the tables into")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    tables: list[Growth] = []
    for make in (length_table, layer_table, episode_table, quiz_table, rows_table):
        tables.append(make())
        print(tables[-1].markdown(), flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps([asdict(table) for table in tables], indent=2) + "\n", encoding="utf-8")
    if options.pages is not None:
        put_between(options.pages, "\n".join(table.markdown() for table in tables))
    return 0


def put_between(page: Path, text: str) -> None:
    """Replace the text between a page's markers. Raises ValueError if it has none."""
    content = page.read_text(encoding="utf-8")
    if content.count(BEGIN) != 1 or content.count(END) != 1:
        raise ValueError(f"{page}: needs the marks {BEGIN} and {END}, once each")
    before, _, rest = content.partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}{END}{rest.partition(END)[2]}", encoding="utf-8")


def _shown(value: float) -> str:
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
