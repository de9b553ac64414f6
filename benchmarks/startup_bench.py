"""Cost of a stage beyond importing torch and transformers: a whole run of the teacher stage on next to no work."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.measuring import Measurement, children_seconds, limit_row
from benchmarks.memory_bench import write_workspace
from benchmarks.stages_here import ROOT, run_here

TARGET_S = 1.5
ROWS = 120
# `import transformers` alone imports nothing: its names are looked up when they are first used.
IMPORTS = "import torch; from transformers import AutoModelForSequenceClassification, PreTrainedModel"


def measure(repetitions: int = 5) -> list[Measurement]:
    """One row: the difference, in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_workspace(folder, ROWS)
        for stage in ("source", "split"):
            run_here(folder, stage, dataset="many")
        stage = ["-m", "tasks.teacher", "--dataset", "many", "--seed", "1"]
        found = [(_seconds(folder, stage), _seconds(folder, ["-c", IMPORTS])) for _ in range(repetitions + 1)][1:]
    beyond = [whole - imports for whole, imports in found]
    row = limit_row("start-up of a stage beyond importing torch and transformers", "CPU s", beyond, TARGET_S)
    return [row, replace(row, name="  the imports", value=statistics.median(x for _, x in found), target=None, ok=True)]


def _seconds(folder: Path, arguments: Sequence[str]) -> float:
    """CPU seconds of an interpreter of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    before = children_seconds()
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, check=True)
    return children_seconds() - before
