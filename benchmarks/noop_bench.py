"""Cost of `dvc repro` when nothing has changed: a benchmark of six datasets and three seeds, the real dvc.yaml."""

import tempfile
from pathlib import Path

from benchmarks.measuring import Measurement, children_seconds, limit_row
from benchmarks.tiny_benchmark import DATASETS, SEEDS, command, make

TARGET_S = 15.0


def measure(repetitions: int = 2) -> list[Measurement]:
    """One row; the first `dvc repro` registers the students and does not count."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "tiny"
        make(folder)
        command(folder, "dvc", "repro")
        seconds = [_repro(folder) for _ in range(repetitions)]
    title = f"dvc repro with nothing to do, {len(DATASETS)} datasets, {len(SEEDS)} seeds"
    return [limit_row(title, "CPU s", seconds, TARGET_S)]


def _repro(folder: Path) -> float:
    """CPU seconds of one `dvc repro` and of what it starts. RuntimeError if a stage other than register ran."""
    before = children_seconds()
    said = command(folder, "dvc", "repro")
    ran = [line for line in said.splitlines() if line.startswith("Running stage") and "'register'" not in line]
    if ran:
        raise RuntimeError(f"nothing has changed, but dvc repro ran {len(ran)} stages: {ran[0]}")
    return children_seconds() - before
