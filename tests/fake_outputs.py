"""Writes outputs/ as the stages would leave it, with invented numbers, so that the report can be tested and looked at."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from data.records import DatasetSpec
from kinds import Kind
from metrics import compute_metrics
from outputs import output_folder, tokens_folder
from records.base import Record
from records.evaluated import EvaluateMetrics
from records.prepared import SplitManifest, SplitMetrics, SplitSummary
from records.stage_run import RunRecord
from records.trained import CurriculumMetrics, MetaTeacherMetrics, StudentMetrics, Updates

METHODS = ("finetune", "mse_kd", "mpdistil")
# How well each model separates the classes: the teacher best, the fine-tuned student worst.
SKILL = {"teacher": 1.6, "finetune": 0.9, "mse_kd": 1.2, "mpdistil": 1.35}
SKILL |= {"kd": 1.1, "rco": 1.05, "pkd": 1.15, "skd": 1.0, "prokd": 1.05, "prokt": 1.2, "metadistil": 1.4, "lgtm": 1.3}
TOOK = {"cpu_s": 1.0, "peak_memory_mb": 812.0}
MOVING = ("prokt", "metadistil", "lgtm")
FED_BACK = ("metadistil", "lgtm")


@dataclass(frozen=True)
class FakeDataset:
    """The facts about a dataset that the fake outputs need."""

    name: str
    kind: Kind
    label_names: tuple[str, ...]
    metrics: tuple[str, ...]
    dev_rows: int
    dev_held_out: bool = False


QUICKSTART = (
    FakeDataset("amounts", "pair", ("more", "less", "equal"), ("accuracy", "macro_f1"), 300),
    FakeDataset("likeness", "regression", (), ("pearson", "spearman"), 240),
    FakeDataset("scenes", "single", ("indoors", "outdoors"), ("matthews", "accuracy"), 320),
    FakeDataset("sequels", "choice", ("choice1", "choice2"), ("accuracy",), 100),
)


def write_outputs(
    datasets: Sequence[FakeDataset] = QUICKSTART,
    seeds: Sequence[int] = (42,),
    methods: Sequence[str] = METHODS,
    selected_on: str = "selection",
    episodes: int = 40,
    unlearned: Sequence[str] = (),
) -> None:
    """Write the outputs of all stages under the working directory; of datasets `unlearned` nobody learned anything."""
    names = [dataset.name for dataset in datasets]
    for number, dataset in enumerate(datasets):
        write_json(tokens_folder(dataset.name) / "spec.json", spec_of(dataset).to_json())
        rows = {"train": 800, "quiz": 100, "selection": 100, "dev": dataset.dev_rows}
        dropped = dict.fromkeys(("dropped_with_another_label", "dev_rows_in_train", "duplicate_inputs"), 0)
        dropped |= {"dropped_equal_to_dev": 2 * number, "inputs_with_two_labels": 0}
        write_record(tokens_folder(dataset.name), manifest_of(dataset, rows, dropped))
        counted = SplitMetrics(rows=rows, **dropped, unknown_tokens={}, points_per_row={}, warnings=())
        write_record(output_folder("split", dataset=dataset.name), counted)
        for seed in seeds:
            write_seed(dataset, names, seed, methods, selected_on, episodes, learned=dataset.name not in unlearned)


def spec_of(dataset: FakeDataset) -> DatasetSpec:
    return DatasetSpec(
        name=dataset.name,
        benchmark="quickstart",
        kind=dataset.kind,
        label_column="label",
        label_names=dataset.label_names,
        label_range=None,
        metrics=dataset.metrics,
        render={"text": ["text"], "choices": [], "connective": None, "mark": None, "truncate": "longest"},
    )


def manifest_of(dataset: FakeDataset, rows: dict[str, int], dropped: dict[str, int]) -> SplitManifest:
    splits = {name: SplitSummary(rows=count, classes={}, repaired_marks=0, sha256="0") for name, count in rows.items()}
    return SplitManifest(
        dataset=dataset.name,
        benchmark="quickstart",
        seed=0,
        selected_on="selection",
        dev_held_out=dataset.dev_held_out,
        dev_seed=None,
        **dropped,
        units=1000,
        largest_unit=1,
        splits=splits,
        max_length=64,
        truncated=dict.fromkeys(rows, 0),
        unknown_tokens=dict.fromkeys(rows, 0.0),
        vocabulary=1000,
        tokenizer_fingerprint="0",
    )


def write_seed(
    dataset: FakeDataset,
    names: Sequence[str],
    seed: int,
    methods: Sequence[str],
    selected_on: str,
    episodes: int,
    *,
    learned: bool = True,
) -> None:
    """Write everything of one dataset and seed."""
    generator = np.random.default_rng(seed * 1000 + len(dataset.name))
    labels = draw_labels(dataset, np.random.default_rng(len(dataset.name)))
    shared = generator.normal(size=(dataset.dev_rows, width(dataset)))
    known = labels if learned else np.random.default_rng(5).permutation(labels)
    teacher = predict(dataset, known, "teacher", shared, generator)
    write_training(output_folder("teacher", dataset=dataset.name, seed=seed), "teacher", dataset, generator, 10)
    write_run(output_folder("signals", dataset=dataset.name, seed=seed), "signals", 3)
    for method in methods:
        student = predict(dataset, known, method, shared, generator)
        folder = output_folder("student", dataset=dataset.name, method=method, seed=seed)
        if method == "mpdistil":
            write_curriculum(folder, dataset, names, generator, episodes)
            meta = output_folder("meta_teacher", dataset=dataset.name, seed=seed)
            scores = compute_metrics([*dataset.metrics, "loss"], teacher, labels, dataset.kind)
            found = {"selection": scores, "dev": scores}
            write_record(
                meta,
                MetaTeacherMetrics(
                    **found, loss="collaborative", best_epoch=5, parameters=130, selected_on="selection"
                ),
            )
            losses = [{"epoch": epoch, "selection_loss": 0.6 + 0.3 / (epoch + 1)} for epoch in range(6)]
            write_lines(meta / "curves.jsonl", losses)
            write_run(meta, "meta_teacher", 1)
        else:
            write_training(folder, method, dataset, generator, 10)
        if method == "lgtm":
            write_influence(folder, generator)
        evaluated = output_folder("evaluate", dataset=dataset.name, method=method, seed=seed)
        write_evaluation(evaluated, dataset, labels, student, teacher, selected_on)


def width(dataset: FakeDataset) -> int:
    return 1 if dataset.kind == "regression" else len(dataset.label_names)


def draw_labels(dataset: FakeDataset, generator: np.random.Generator) -> NDArray[np.generic]:
    if dataset.kind == "regression":
        return generator.uniform(0, 5, dataset.dev_rows)
    return generator.integers(0, len(dataset.label_names), dataset.dev_rows)


def predict(
    dataset: FakeDataset,
    labels: NDArray[np.generic],
    who: str,
    shared: NDArray[np.float64],
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Logits (N, C) of a model whose errors are partly those of the others (`shared`)."""
    noise = 0.8 * shared + 0.6 * generator.normal(size=shared.shape)
    if dataset.kind == "regression":
        return labels[:, None] + 2 * noise / SKILL[who]
    return SKILL[who] * np.eye(width(dataset))[labels.astype(int)] + noise


def write_training(folder: Path, who: str, dataset: FakeDataset, generator: np.random.Generator, epochs: int) -> None:
    """curves.jsonl, metrics.json, run.json of a teacher or a trained student."""
    lines = []
    for epoch in range(1, epochs + 1):
        level = SKILL[who] / 2 * (1 - np.exp(-epoch / 3))
        row = {
            "epoch": epoch,
            "train_loss": 1 - level / 1.1,
            "selection_loss": 1 - level + 0.02 * epoch + generator.normal(0, 0.02),
        }
        row |= {f"selection_{metric}": 0.5 + level / 2 + generator.normal(0, 0.01) for metric in dataset.metrics}
        row |= {"task": 1 - level, "soft": 0.1, "hidden": 0.01} if who == "mse_kd" else {}
        if who == "metadistil":
            row |= {
                "train_real_beats_pilot": 0.4 + 0.02 * epoch,
                "train_teacher_comes_nearer": 0.9 if epoch < 6 else 0.5,
            }
        lines.append(row)
    write_lines(folder / "curves.jsonl", marked(lines))
    updates = Updates(student=200, student_kept=160, teacher=200 if who in MOVING else 0)
    write_record(folder, student_metrics(updates, train_rows=800, other_rows=0, feedback_rows=100 * (who in FED_BACK)))
    write_run(folder, "teacher" if who == "teacher" else "student", 60 * SKILL[who])


def student_metrics(updates: Updates, **more: Any) -> StudentMetrics:
    own: dict[str, Any] = {"selection": {}, "selected_on": "selection", "parameters": 1, "updates": updates}
    return StudentMetrics(**own, **TOOK, **more)


def marked(rows: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """The rows with 1 under 'best' where the selection loss is lowest, else 0."""
    losses = [float(str(row["selection_loss"])) for row in rows]
    return [{**row, "best": int(loss == min(losses))} for row, loss in zip(rows, losses, strict=True)]


def write_curriculum(
    folder: Path, dataset: FakeDataset, names: Sequence[str], generator: np.random.Generator, episodes: int
) -> None:
    """episodes.jsonl of a policy that comes to prefer the target."""
    lines = []
    for episode in range(episodes + 1):
        logits = np.array([2.0 * episode / episodes * (name == dataset.name) for name in names])
        counts = generator.multinomial(8, np.exp(logits) / np.exp(logits).sum())
        reward = 0.02 * np.exp(-episode / 20) + generator.normal(0, 0.01)
        row = {
            "episode": episode,
            "selection_loss": 0.5 - 0.001 * episode + generator.normal(0, 0.005),
            "reward": reward,
        }
        row |= {f"selection_{metric}": 0.8 + 0.001 * episode for metric in dataset.metrics}
        lines.append(row | {f"share_{name}": count / 8 for name, count in zip(names, counts.tolist(), strict=True)})
    came_in = {"reward": None} | {f"share_{name}": None for name in names}
    steps = [
        {
            "episode": row["episode"],
            "step": step,
            "action": names[step % len(names)],
            "reward": row["reward"],
            "reward_binary": 0.5,
            "reward_real": 0.125,
        }
        for row in lines[1:]
        for step in range(8)
    ]
    write_lines(folder / "steps.jsonl", steps)
    share = {name: float(np.mean([row[f"share_{name}"] for row in lines])) for name in names}
    metrics = CurriculumMetrics(
        selection={},
        selected_on="selection",
        selected_by="loss",
        parameters=1,
        updates=Updates(student=8 * episodes, student_kept=8, teacher=0),
        train_rows=900,
        other_rows=300,
        feedback_rows=0,
        best_episode=1,
        sampler="policy",
        reward="gain",
        cumulative_share=share,
        similarity_of_consecutive=(0.5, 0.6, 0.7),
        distance_of_consecutive=(3.0, 1.0, 2.0),
    )
    write_record(folder, metrics)
    write_lines(folder / "episodes.jsonl", marked([lines[0] | came_in, *lines[1:]]))
    write_run(folder, "curriculum", 30)


def write_influence(folder: Path, generator: np.random.Generator) -> None:
    """influence.jsonl of 20 rows seen once an epoch of 20 updates; even rows are worth something, odd ones do harm."""
    lines = []
    for epoch in range(10):
        for row in range(20):
            worth = (0.02 if row % 2 == 0 else -0.01) * np.sin(np.pi * (epoch + 0.5) / 10) * (1 + row / 20)
            said = {"student": 0.4 + 0.04 * epoch, "teacher": 0.5 + 0.045 * epoch}
            lines.append({"step": 20 * epoch + row, "row": row, "influence": worth + generator.normal(0, 1e-3), **said})
    write_lines(folder / "influence.jsonl", lines)


def write_evaluation(
    folder: Path,
    dataset: FakeDataset,
    labels: NDArray[np.generic],
    student: NDArray[np.float64],
    teacher: NDArray[np.float64],
    selected_on: str,
) -> None:
    """predictions.parquet, metrics.json and run.json of one student."""
    names = [*dataset.metrics, "loss"]
    scores = {who: compute_metrics(names, z, labels, dataset.kind) for who, z in (("s", student), ("t", teacher))}
    latency = {"student": {"p50": 4.1, "p95": 5.0}, "teacher": {"p50": 8.2, "p95": 9.9}}
    majority = None if dataset.kind == "regression" else 1 / len(dataset.label_names)
    metrics = {
        **{"dev": scores["s"], "teacher_dev": scores["t"], "selection": scores["s"], "teacher_selection": scores["t"]},
        "rows": {"selection": dataset.dev_rows, "dev": dataset.dev_rows},
        "truncated": {"selection": 0, "dev": 0},
        "majority_dev": majority,
        "constant": 2.5 if dataset.kind == "regression" else 0.0,
        "throughput": {"student": 420.0, "teacher": 205.0, "batch": 32, "length": 64, "threads": 1},
        "memory_bytes": {
            "student": {"weights": 45_600_000, "activations": 31_000_000},
            "teacher": {"weights": 90_900_000, "activations": 31_000_000},
            "batch": 32,
            "length": 64,
        },
        "parameters": {"student": 11_400_000, "teacher": 22_713_216},
        "size_bytes": {"student": 45_600_000, "teacher": 90_900_000},
        "latency_ms": {**latency, "batch": 1, "length": 64, "threads": 1, "repeats": 30},
        "selected_on": selected_on,
    }
    write_record(folder, EvaluateMetrics.model_validate(metrics))
    write_run(folder, "evaluate", 5)
    columns = {
        "set": ["dev"] * dataset.dev_rows,
        "row_id": [f"{dataset.name}-{row}" for row in range(dataset.dev_rows)],
        "label": labels.tolist(),
        "student_logits": student.tolist(),
        "teacher_logits": teacher.tolist(),
        "student_loss": [0.0] * dataset.dev_rows,
        "teacher_loss": [0.0] * dataset.dev_rows,
    }
    parquet.write_table(pa.table(columns), folder / "predictions.parquet")


def write_run(
    folder: Path, stage: str, seconds: float, *, method: str | None = None, params: dict[str, object] | None = None
) -> None:
    write_record(
        folder,
        RunRecord(
            stage=stage,
            dataset=None,
            method=method,
            seed=None,
            params={"mpdistil": {"base": "mse_kd"}} if params is None else params,
            input_hashes={},
            code={},
            versions={"python": "3.11.2", "torch": "2.13.0", "transformers": "5.23.0"},
            device="cpu",
            threads=2,
            processes=1,
            started="2026-11-22T12:00:00+00:00",
            duration_s=seconds,
            cpu_s=1.9 * seconds,
            peak_memory_mb=812.0,
        ),
    )


def write_record(folder: Path, record: Record) -> None:
    write_json(folder / record.FILE, record.tree())


def write_json(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
