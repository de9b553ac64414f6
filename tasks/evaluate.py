"""evaluate: predictions, metrics, size, memory, CPU latency and throughput of one student and its teacher.

    python -m tasks.evaluate --dataset rte --method mpdistil --seed 42

Reads: the dataset's tokens, the student, the teacher and its signals. Writes: outputs/evaluate/<dataset>/<method>/<seed>
with predictions.parquet (selection and dev rows by id, both models' logits and losses), metrics.json, run.json.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kinds import KINDS
from metrics import compute_metrics, row_losses
from models.classifier import Classifier
from outputs import signals_folder, student_model, teacher_model
from records.base import Both
from records.evaluated import COLUMNS, PREDICTIONS, Bytes, EvaluateMetrics, Latency, Memory, Percentiles, Throughput
from tasks.runtime.stage import Stage, run_stage
from tasks.runtime.stage_datasets import TokenisedDataset, open_dataset
from tasks.runtime.torch_setup import start_torch
from tasks.student_training.initial_models import parameter_count
from training.latency import Timing, measure_latency, measure_throughput
from training.memory import measure_memory
from training.predict import predict
from training.teacher_signals import open_signals


def evaluate(stage: Stage) -> None:
    """Score one student, and its teacher on the same rows."""
    given, dataset = stage.parameters, open_dataset(stage, stage.dataset)
    accelerator = start_torch(stage)
    folder = stage.read(student_model(stage.dataset, stage.method, stage.seed))
    teacher_folder = stage.read(teacher_model(stage.dataset, stage.seed))
    signals = stage.read(signals_folder(stage.dataset, stage.seed))
    model = _as_stock(dataset.load(folder, attention=given.models.attention)).to(accelerator.device)
    tables: list[pa.Table] = []
    scores: dict[str, dict[str, float]] = {}
    rows: dict[str, int] = {}
    truncated: dict[str, int] = {}
    for name in ("selection", *dataset.spec.dev_sets):
        split = dataset.split(name)
        own = predict(
            model, split, dataset=stage.dataset, batch_size=given.evaluate.batch_size, device=accelerator.device
        ).logits
        teacher = open_signals(signals, name, rows=len(split)).logits.numpy()
        tables.append(_table(name, split.row_ids, split.labels, own, teacher, dataset))
        wanted = ("loss", *dataset.spec.metrics)
        scores[name] = compute_metrics(wanted, own, split.labels, dataset.spec.kind)
        scores[f"teacher_{name}"] = compute_metrics(wanted, teacher, split.labels, dataset.spec.kind)
        rows[name], truncated[name] = len(split), split.truncated
    metric = dataset.spec.metrics[0]
    stage.headline = f"{metric} {scores['dev'][metric]:.3f} on dev (teacher {scores['teacher_dev'][metric]:.3f})"
    if not stage.writes:
        return
    pq.write_table(pa.concat_tables(tables), stage.folder / PREDICTIONS)
    models = {
        "student": model.cpu(),
        "teacher": _as_stock(dataset.load(teacher_folder, attention=given.models.attention)),
    }
    constant, majority = _plain_baselines(dataset)
    latency, throughput, memory = _costs(stage, dataset, models)
    stage.write(
        EvaluateMetrics(
            **scores,
            rows=rows,
            truncated=truncated,
            selected_on=dataset.selected_on,
            constant=constant,
            majority_dev=majority,
            parameters=Both[int](**{who: parameter_count(one, stage.dataset) for who, one in models.items()}),
            size_bytes=Both(student=_weights(folder), teacher=_weights(teacher_folder)),
            latency_ms=latency,
            throughput=throughput,
            memory_bytes=memory,
        )
    )


def _as_stock(model: Classifier) -> Classifier:
    """The network as users will load it: the evidence is its bits and its latency."""
    model.first_token_only = False
    return model


def _table(
    name: str, row_ids: list[str], labels: np.ndarray, own: np.ndarray, teacher: np.ndarray, dataset: TokenisedDataset
) -> pa.Table:
    """Table of the rows: label, logits (C) and task loss of both models."""
    kind = dataset.spec.kind
    columns = (
        [name] * len(row_ids),
        row_ids,
        pa.array(np.asarray(labels, dtype=np.float64)),
        own.astype(np.float64).tolist(),
        teacher.astype(np.float64).tolist(),
        row_losses(own, labels, kind),
        row_losses(teacher, labels, kind),
    )
    return pa.table(dict(zip(COLUMNS, columns, strict=True)))


def _plain_baselines(dataset: TokenisedDataset) -> tuple[float, float | None]:
    """Compute the constant baseline: train's most frequent class, with its accuracy on dev, or train's mean (regression)."""
    kind = KINDS[dataset.spec.kind]
    constant = kind.constant(np.asarray(dataset.split("train").labels))
    right = np.asarray(dataset.split("dev").labels) == constant
    return constant, float(right.mean()) if kind.has_classes else None


def _weights(folder: Path) -> int:
    """Size of a model's weights on disk in bytes."""
    return (folder / "model.safetensors").stat().st_size


def _costs(
    stage: Stage, dataset: TokenisedDataset, models: dict[str, Classifier]
) -> tuple[Latency, Throughput, Memory]:
    """CPU latency and throughput, timed alternately, and the memory of a pass at the throughput's batch."""
    given, batch = stage.parameters.evaluate, stage.parameters.evaluate.throughput_batch
    length, threads = min(given.latency_length, dataset.manifest.max_length), given.latency_threads
    timing = Timing(
        stage.dataset,
        dataset.spec.choices,
        dataset.manifest.vocabulary,
        length,
        threads=threads,
        repeats=given.latency_repeats,
    )
    latency = measure_latency(models, timing, given.latency_batch)
    throughput = measure_throughput(models, timing, batch)
    memory = {
        who: Bytes(**measure_memory(model, timing.inputs(batch), dataset=stage.dataset, choices=timing.choices))
        for who, model in models.items()
    }
    times = {who: Percentiles(**values) for who, values in latency.items()}
    return (
        Latency(**times, batch=given.latency_batch, length=length, threads=threads, repeats=given.latency_repeats),
        Throughput(**throughput, batch=batch, length=length, threads=threads),
        Memory(**memory, batch=batch, length=length),
    )


if __name__ == "__main__":
    run_stage("evaluate", evaluate)
