"""Reads what the stages left under outputs/: the only place that knows their file and field names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from errors import UserError
from kinds import Kind, kind_named
from outputs import output_folder, tokens_folder
from reporting.effort import CURRICULUM_METHOD, Effort, effort_of
from reporting.evaluations import Evaluation, read_evaluation
from reporting.reading import numbers, read_lines, read_object, texts


@dataclass(frozen=True)
class Cost:
    """What one stage took, from its run.json: seconds and megabytes."""

    duration_s: float
    cpu_s: float
    peak_memory_mb: float
    device: str
    threads: int
    versions: dict[str, str]


@dataclass(frozen=True)
class Episode:
    """One episode of the curriculum, from 0, the student that came in; `mean_reward` is None where there is none."""

    number: int
    selection: dict[str, float]
    mean_reward: float | None
    share: dict[str, float]
    """Dataset -> share of the steps; {} for the student that came in."""
    best: bool


@dataclass(frozen=True)
class DatasetOutputs:
    """Everything that the stages left about one dataset. Keys are (method, seed) or seed."""

    name: str
    kind: Kind
    label_names: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: dict[str, float]
    """Split -> rows."""
    dropped: float
    """Train rows that equal a dev row and were left out."""
    warnings: tuple[str, ...] = ()
    """Warnings of split."""
    dev_held_out: bool = False
    """Dev was held out of train, as the dataset has none of its own."""
    evaluations: dict[tuple[str, int], Evaluation] = field(default_factory=dict)
    curves: dict[tuple[str, int], list[dict[str, float]]] = field(default_factory=dict)
    meta_teacher: dict[int, dict[str, dict[str, float]]] = field(default_factory=dict)
    episodes: dict[int, list[Episode]] = field(default_factory=dict)
    costs: dict[tuple[str, int], Cost] = field(default_factory=dict)
    efforts: dict[tuple[str, int], Effort] = field(default_factory=dict)


def gather(datasets: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> list[DatasetOutputs]:
    """All outputs of the pipeline. Raises UserError if anything that `methods` calls for is missing or damaged."""
    return [_dataset(name, methods, seeds) for name in datasets]


def gather_evaluated(datasets: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> list[DatasetOutputs]:
    """Of every combination what was evaluated, and what its training took; those that were not are left out."""
    found = [_described(name) for name in datasets]
    for one in found:
        for method in methods:
            for seed in seeds:
                if output_folder("evaluate", dataset=one.name, method=method, seed=seed).exists():
                    _add_evaluation(one, method, seed)
    return found


def _dataset(name: str, methods: Sequence[str], seeds: Sequence[int]) -> DatasetOutputs:
    outputs = _described(name)
    for seed in seeds:
        _add_seed(outputs, methods, seed)
    return outputs


def _described(name: str) -> DatasetOutputs:
    """What is known of a dataset before any training."""
    folder = tokens_folder(name)
    spec, counts = read_object(folder / "spec.json"), read_object(output_folder("split", dataset=name) / "metrics.json")
    outputs = DatasetOutputs(
        name=name,
        kind=_kind(spec.get("kind"), folder / "spec.json"),
        label_names=texts(spec.get("label_names")),
        metrics=texts(spec.get("metrics")),
        rows=numbers(counts.get("rows")),
        dropped=numbers(counts).get("dropped_equal_to_dev", 0.0),
        warnings=texts(counts.get("warnings")),
        dev_held_out=bool(read_object(folder / "manifest.json").get("dev_held_out")),
    )
    if not outputs.metrics:
        raise UserError(f"{folder / 'spec.json'}: field 'metrics' names no metric; the first one is the headline")
    return outputs


def _add_seed(outputs: DatasetOutputs, methods: Sequence[str], seed: int) -> None:
    """Read one seed's teacher, signals, meta-teacher, students and evaluations into `outputs`."""
    for stage in ("teacher", "signals"):
        folder = output_folder(stage, dataset=outputs.name, seed=seed)
        if (folder / "run.json").exists():  # a supplied teacher may leave no record of training
            outputs.costs[stage, seed] = _cost(folder)
        if stage == "teacher" and (folder / "curves.jsonl").exists():
            outputs.curves["teacher", seed] = [numbers(row) for row in read_lines(folder / "curves.jsonl")]
    if CURRICULUM_METHOD in methods:
        _add_curriculum(outputs, seed)
    for method in methods:
        if method != CURRICULUM_METHOD:
            student = output_folder("student", dataset=outputs.name, method=method, seed=seed)
            outputs.curves[method, seed] = [numbers(row) for row in read_lines(student / "curves.jsonl")]
            outputs.costs[f"student {method}", seed] = _cost(student)
        _add_evaluation(outputs, method, seed)


def _add_evaluation(outputs: DatasetOutputs, method: str, seed: int) -> None:
    """Read one student's evaluation, and what its training took."""
    evaluated = output_folder("evaluate", dataset=outputs.name, method=method, seed=seed)
    outputs.evaluations[method, seed] = read_evaluation(evaluated, outputs.kind)
    outputs.costs[f"evaluate {method}", seed] = _cost(evaluated)
    effort = effort_of(outputs.name, method, seed)
    if effort is not None:
        outputs.efforts[method, seed] = effort


def _add_curriculum(outputs: DatasetOutputs, seed: int) -> None:
    """Read the meta-teacher and the episodes of one seed."""
    folder = output_folder("meta_teacher", dataset=outputs.name, seed=seed)
    metrics = read_object(folder / "metrics.json")
    outputs.meta_teacher[seed] = {key: numbers(value) for key, value in metrics.items() if isinstance(value, Mapping)}
    outputs.costs["meta_teacher", seed] = _cost(folder)
    folder = output_folder("curriculum", dataset=outputs.name, seed=seed)
    outputs.episodes[seed] = [_episode(row) for row in read_lines(folder / "episodes.jsonl")]
    outputs.costs["curriculum", seed] = _cost(folder)


def _episode(row: Mapping[str, object]) -> Episode:
    values = numbers(row)
    return Episode(
        number=int(values["episode"]),
        selection=_starting("selection_", values),
        mean_reward=values.get("reward"),
        share=_starting("share_", values),
        best=bool(row.get("best")),
    )


def _starting(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    """The values whose key starts with the prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}


def _cost(folder: Path) -> Cost:
    record = read_object(folder / "run.json")
    values, versions = numbers(record), record.get("versions")
    return Cost(
        duration_s=values.get("duration_s", 0.0),
        cpu_s=values.get("cpu_s", 0.0),
        peak_memory_mb=values.get("peak_memory_mb", 0.0),
        device=str(record.get("device", "")),
        threads=int(values.get("threads", 0)),
        versions={str(key): str(value) for key, value in versions.items()} if isinstance(versions, Mapping) else {},
    )


def _kind(value: object, path: Path) -> Kind:
    try:
        return kind_named(value)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
