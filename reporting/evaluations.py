"""Output of evaluate for one student beside its teacher: scores, sizes, speed, memory, predictions row by row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from errors import UserError
from kinds import KINDS, Kind
from reporting.reading import must_exist, numbers, read_object

WHO = ("student", "teacher")


@dataclass(frozen=True)
class Predictions:
    """One model pair on one set of rows, in order of row id."""

    row_ids: list[str]
    labels: NDArray[np.generic]
    """(N,) class numbers, or floats for regression."""
    student: NDArray[np.float64]
    """(N, C) logits."""
    teacher: NDArray[np.float64]
    """(N, C) logits."""


@dataclass(frozen=True)
class Evaluation:
    """One student beside its teacher. Scores: set (dev, teacher_dev, selection, ...) -> metric -> value."""

    scores: dict[str, dict[str, float]]
    majority_dev: float | None
    parameters: dict[str, float]
    size_bytes: dict[str, float]
    latency_ms: dict[str, dict[str, float]]
    """student and teacher -> p50, p95."""
    latency_setting: dict[str, float]
    """batch, length, threads, repeats."""
    selected_on: str
    predictions: dict[str, Predictions]
    constant: float | None = None
    """Constant baseline: train's most frequent class, or mean; None in records of an earlier time, as all below."""
    throughput: dict[str, float] = field(default_factory=dict)
    """student and teacher -> rows a second; batch, length, threads."""
    memory_bytes: dict[str, dict[str, float]] = field(default_factory=dict)
    """student and teacher -> weights, activations of a pass at the throughput's batch."""


def read_evaluation(folder: Path, kind: Kind) -> Evaluation:
    """From metrics.json and predictions.parquet. Raises UserError where they are missing or damaged."""
    metrics = read_object(folder / "metrics.json")
    sets = ("dev", "selection", "dev_mismatched")
    names = [name for base in sets for name in (base, f"teacher_{base}") if name in metrics]
    if "dev" not in names or "teacher_dev" not in names:
        raise UserError(f"{folder / 'metrics.json'}: 'dev' and 'teacher_dev' are needed, found: {', '.join(names)}")
    latency = metrics.get("latency_ms")
    timed = latency if isinstance(latency, Mapping) else {}
    majority, constant, memory = (metrics.get(key) for key in ("majority_dev", "constant", "memory_bytes"))
    return Evaluation(
        scores={name: numbers(metrics[name]) for name in names},
        majority_dev=float(majority) if isinstance(majority, int | float) else None,
        parameters=numbers(metrics.get("parameters")),
        size_bytes=numbers(metrics.get("size_bytes")),
        latency_ms={who: numbers(timed.get(who)) for who in WHO},
        latency_setting=numbers(timed),
        selected_on=str(metrics.get("selected_on", "selection")),
        predictions=_predictions(folder / "predictions.parquet", kind),
        constant=float(constant) if isinstance(constant, int | float) else None,
        throughput=numbers(metrics.get("throughput")),
        memory_bytes={who: numbers(memory.get(who)) for who in WHO} if isinstance(memory, Mapping) else {},
    )


def _predictions(path: Path, kind: Kind) -> dict[str, Predictions]:
    """Predictions by set, rows in order of their id, so that those of two seeds can be paired."""
    must_exist(path)
    table = parquet.read_table(path)
    columns = {
        name: table.column(name).to_pylist() for name in ("set", "row_id", "label", "student_logits", "teacher_logits")
    }
    found: dict[str, Predictions] = {}
    for name in dict.fromkeys(columns["set"]):
        rows = [row for row, of_set in enumerate(columns["set"]) if of_set == name]
        rows.sort(key=lambda row: str(columns["row_id"][row]))
        row_ids = [str(columns["row_id"][row]) for row in rows]
        if len(set(row_ids)) != len(row_ids):
            raise UserError(f"{path}: set {name} holds a row id twice; predictions can't be paired by row")
        labels = np.array([columns["label"][row] for row in rows], dtype=KINDS[kind].label_type)
        student, teacher = (
            np.array([columns[f"{who}_logits"][row] for row in rows], dtype=np.float64)
            for who in ("student", "teacher")
        )
        found[name] = Predictions(row_ids, labels, student, teacher)
    return found
