"""Peak memory of source and split with two million rows: pairs of sentences of the length of QQP's."""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.measuring import Measurement, limit_row
from benchmarks.stages_here import ROOT, link_data, write_params
from benchmarks.tiny_benchmark import VALUES
from data.quickstart import vocabulary

ROWS = 2_000_000
LIMIT_GB = 1.5
# A process counts the memory of the one that started it as its own: a small one stands between.
LAUNCHER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss, used.ru_utime + used.ru_stime)
"""
WORDS = 10
"""Of each of the two sentences."""


def measure(rows: int = ROWS) -> list[Measurement]:
    """Peak resident memory of both stages, each a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_workspace(folder, rows)
        return [
            limit_row(f"{stage}, {rows:,} rows: peak memory", "GB", [peak_gigabytes(folder, stage)[0]], LIMIT_GB)
            for stage in ("source", "split")
        ]


def write_workspace(folder: Path, rows: int) -> None:
    """Write a dataset `many` of generated pairs, and a params.yaml with it."""
    link_data(folder)
    own = folder / "rows" / "many"
    own.mkdir(parents=True)
    description = {"kind": "pair", "text": ["first", "second"], "label": "label", "labels": ["no", "yes"]}
    (own / "dataset.yaml").write_text(yaml.safe_dump({**description, "metrics": ["accuracy"]}), encoding="utf-8")
    draw, words = random.Random(0), vocabulary()  # noqa: S311
    with (own / "train.jsonl").open("w", encoding="utf-8") as file:
        for number in range(rows):
            first, second = (" ".join(draw.choices(words, k=WORDS)) for _ in range(2))
            file.write(json.dumps({"first": first, "second": second, "label": number % 2}) + "\n")
    write_params(folder, {**VALUES, "datasets": ["many"], "split.max_length": 64})


def peak_gigabytes(folder: Path, stage: str) -> tuple[float, float]:
    """(peak resident GB, CPU seconds) of one stage on the dataset `many`; RuntimeError if it fails."""
    command = [sys.executable, "-c", LAUNCHER, sys.executable, "-m", f"tasks.{stage}", "--dataset", "many"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the stage {stage} ended with {done.returncode}: {done.stderr}")
    kilobytes, seconds = done.stdout.splitlines()[-1].split()
    return float(kilobytes) * 1024 / 1e9, float(seconds)
