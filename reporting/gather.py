"""All outputs about a dataset under outputs/, read for the report and `compare`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from config.methods import CURRICULA, CURRICULUM
from data.records import DatasetSpec
from errors import UserError
from kinds import LOWER_IS_BETTER, Kind
from outputs import (
    evaluate_folder,
    has_record,
    output_folder,
    read_json,
    read_record,
    read_rows,
    student_folder,
    tokens_folder,
)
from records.base import Scores
from records.prepared import SplitManifest, SplitMetrics
from records.stage_run import RunRecord
from records.trained import CurveRow, EpisodeRow, MetaTeacherMetrics
from reporting.effort import Effort, effort_of
from reporting.evaluations import Evaluation, PairedPredictions, read_evaluation

DEV = "dev"
TEACHER = "teacher"
META_TEACHER = "meta_teacher"
"""Columns of scores besides the methods."""


@dataclass(frozen=True)
class DatasetOutputs:
    """All outputs about one dataset. Keys are (method, seed) or seed."""

    name: str
    kind: Kind
    label_names: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: dict[str, int]
    """Split -> rows."""
    dropped: int
    """Train rows dropped because they equal a dev row."""
    warnings: tuple[str, ...] = ()
    """Warnings of split."""
    dev_held_out: bool = False
    """True if dev was held out of train because the dataset has none of its own."""
    evaluations: dict[tuple[str, int], Evaluation] = field(default_factory=dict)
    curves: dict[tuple[str, int], list[dict[str, float]]] = field(default_factory=dict)
    meta_teacher: dict[int, dict[str, Scores]] = field(default_factory=dict)
    episodes: dict[int, list[EpisodeRow]] = field(default_factory=dict)
    runs: dict[tuple[str, int], RunRecord] = field(default_factory=dict)
    """(Stage, or stage and method; seed) -> duration, memory and machine."""
    efforts: dict[tuple[str, int], Effort] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The primary metric."""
        return self.metrics[0]

    @property
    def sign(self) -> float:
        """-1.0 if lower is better for the primary metric, else 1.0."""
        return -1.0 if self.headline in LOWER_IS_BETTER else 1.0

    def values(
        self, column: str, seeds: Sequence[int], methods: Sequence[str], rows: str = DEV, metric: str | None = None
    ) -> list[float]:
        """A metric (default: the primary one on dev) of a column, one value per seed; [] if it was not measured.

        The teacher's are those that it was given beside the first of `methods`.
        """
        if column == META_TEACHER:
            scores = [self.meta_teacher.get(seed, {}).get(rows, {}) for seed in seeds]
        elif column == TEACHER:
            scores = [self.evaluations[methods[0], seed].metrics.scores.get(f"teacher_{rows}", {}) for seed in seeds]
        else:
            scores = [self.evaluations[column, seed].metrics.scores.get(rows, {}) for seed in seeds]
        return [score[metric or self.headline] for score in scores if (metric or self.headline) in score]

    def dev(self, method: str, seed: int) -> PairedPredictions:
        """One evaluation's predictions on dev. Raises UserError if it has none."""
        predictions = self.evaluations[method, seed].predictions
        if DEV not in predictions:
            raise UserError(f"evaluate {self.name} {method} {seed}: predictions.parquet holds no dev rows")
        return predictions[DEV]


def gather(datasets: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> list[DatasetOutputs]:
    """All outputs of the pipeline. Raises UserError if one required by `methods` is missing or damaged."""
    return [_dataset(name, methods, seeds) for name in datasets]


def gather_evaluated(datasets: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> list[DatasetOutputs]:
    """Read every evaluated combination with its training effort; others are left out."""
    found = [_described(name) for name in datasets]
    for one in found:
        for method in methods:
            for seed in seeds:
                if evaluate_folder(one.name, method, seed).exists():
                    _add_evaluation(one, method, seed)
    return found


def _dataset(name: str, methods: Sequence[str], seeds: Sequence[int]) -> DatasetOutputs:
    outputs = _described(name)
    for seed in seeds:
        _add_seed(outputs, methods, seed)
    return outputs


def _described(name: str) -> DatasetOutputs:
    """Facts about a dataset known before any training."""
    folder, counts = tokens_folder(name), read_record(SplitMetrics, output_folder("split", dataset=name))
    spec, manifest = DatasetSpec.from_json(read_json(folder / "spec.json")), read_record(SplitManifest, folder)
    return DatasetOutputs(
        name=name,
        kind=spec.kind,
        label_names=spec.label_names,
        metrics=spec.metrics,
        rows=counts.rows,
        dropped=counts.dropped_equal_to_dev,
        warnings=counts.warnings,
        dev_held_out=manifest.dev_held_out,
    )


def _add_seed(outputs: DatasetOutputs, methods: Sequence[str], seed: int) -> None:
    """Read one seed's teacher, signals, meta-teacher, students and evaluations into `outputs`."""
    for stage in ("teacher", "signals"):
        folder = output_folder(stage, dataset=outputs.name, seed=seed)
        if has_record(folder):  # a supplied teacher may leave no record of training
            outputs.runs[stage, seed] = read_record(RunRecord, folder)
        if stage == "teacher" and (folder / CurveRow.FILE).exists():
            outputs.curves["teacher", seed] = [row.numbers for row in read_rows(CurveRow, folder)]
    if CURRICULUM in methods:
        _add_curriculum(outputs, seed)
    for method in methods:
        if method not in CURRICULA:
            student = student_folder(outputs.name, method, seed)
            outputs.curves[method, seed] = [row.numbers for row in read_rows(CurveRow, student)]
            outputs.runs[f"student {method}", seed] = read_record(RunRecord, student)
        _add_evaluation(outputs, method, seed)


def _add_evaluation(outputs: DatasetOutputs, method: str, seed: int) -> None:
    """Read one student's evaluation and training effort."""
    evaluated = evaluate_folder(outputs.name, method, seed)
    outputs.evaluations[method, seed] = read_evaluation(evaluated, outputs.kind)
    outputs.runs[f"evaluate {method}", seed] = read_record(RunRecord, evaluated)
    effort = effort_of(outputs.name, method, seed)
    if effort is not None:
        outputs.efforts[method, seed] = effort


def _add_curriculum(outputs: DatasetOutputs, seed: int) -> None:
    """Read the meta-teacher and the episodes of one seed."""
    folder = output_folder("meta_teacher", dataset=outputs.name, seed=seed)
    outputs.meta_teacher[seed] = read_record(MetaTeacherMetrics, folder).scores
    outputs.runs["meta_teacher", seed] = read_record(RunRecord, folder)
    folder = student_folder(outputs.name, CURRICULUM, seed)
    outputs.episodes[seed] = read_rows(EpisodeRow, folder)
    outputs.runs["curriculum", seed] = read_record(RunRecord, folder)
