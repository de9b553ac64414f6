"""Evidence for one student, read from the files under outputs/ alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow.parquet as parquet

from checksums import check_unchanged, combined, digest_of, file_sums
from config.parameters import Parameters
from data.records import DatasetSpec
from outputs import OUTPUTS, evaluate_folder, read_json, read_record, read_rows, student_model, tokens_folder
from records.evaluated import PREDICTIONS, EvaluateMetrics
from records.prepared import SplitManifest
from records.stage_run import RunRecord
from records.trained import CurveRow, EpisodeRow
from registry.names import model_name
from reporting.statistics import Interval, paired_interval
from reporting.verdict.dev_rows import DevRows, read_dev_rows

# Digits of a metric that count in the key: another machine's arithmetic differs in later ones.
DIGITS = 4
KEYED = ("rows", "truncated", "selected_on", "majority_dev", "parameters", "size_bytes")
"""Fields of evaluate's metrics.json in the key, besides the scores. No measurements that vary, such as latency,
nor what a later release adds, which would make every student a new one."""
CURVES = {CurveRow: "epoch", EpisodeRow: "episode"}
"""Record of a curve -> its column of steps."""


@dataclass(frozen=True)
class EvaluatedStudent:
    """One evaluated student, and the folders with its evidence."""

    benchmark: str
    dataset: str
    method: str
    seed: int
    metrics: EvaluateMetrics
    student_hash: str
    evaluate_hash: str
    methods: tuple[str, ...] = ()
    """Methods of params.yaml: with finetune among them, a student must not be worse than finetune's."""

    @property
    def name(self) -> str:
        """Name of its registered model."""
        return model_name(self.benchmark, self.dataset, self.method)

    @property
    def title(self) -> str:
        return f"{self.dataset} {self.method} {self.seed}"

    @property
    def key(self) -> str:
        """The same for a student that was registered before: its name, seed, weights and what evaluate found."""
        return digest_of([self.name, str(self.seed), self.student_hash, self.evaluate_hash])

    @property
    def model(self) -> Path:
        return student_model(self.dataset, self.method, self.seed)

    @property
    def folder(self) -> Path:
        """The student stage's output."""
        return self.model.parent

    @property
    def evaluated(self) -> Path:
        """The evaluate stage's output."""
        return evaluate_folder(self.dataset, self.method, self.seed)

    @property
    def tokens(self) -> Path:
        return tokens_folder(self.dataset)

    @property
    def predictions(self) -> Path:
        return self.evaluated / PREDICTIONS

    @cached_property
    def spec(self) -> DatasetSpec:
        return DatasetSpec.from_json(read_json(self.tokens / "spec.json"))

    @cached_property
    def manifest(self) -> SplitManifest:
        """The split stage's account of the rows."""
        return read_record(SplitManifest, self.tokens)

    @property
    def headline(self) -> str:
        """The primary metric."""
        return self.spec.metrics[0]

    @property
    def selected_on(self) -> str:
        """'selection', or 'dev' under the papers' protocol; every number is then labelled."""
        return self.metrics.selected_on

    @property
    def selection(self) -> dict[str, float]:
        """Loss and metrics on selection."""
        return {name: self.score("selection", name) for name in ("loss", *self.spec.metrics)}

    @cached_property
    def dev_rows(self) -> DevRows:
        """Evidence for the gate's tests."""
        return read_dev_rows(
            self.dataset,
            self.method,
            self.seed,
            metric=self.headline,
            kind=self.spec.kind,
            methods=self.methods,
        )

    @property
    def margin_points(self) -> float:
        """Primary metric on dev, student minus teacher, in points; higher is better."""
        return self.dev_rows.scale * (self.score("dev", self.headline) - self.score("teacher_dev", self.headline))

    @property
    def parameters(self) -> int:
        return self.metrics.parameters.student

    def score(self, rows: str, metric: str) -> float:
        """One of evaluate's scores; `rows` is selection, dev, teacher_dev, ..."""
        return self.metrics.scores[rows][metric]

    def margin_interval(self, level: float) -> Interval:
        """Student minus teacher on dev in the primary metric (fractions), over rows."""
        rows = self.dev_rows
        return paired_interval(rows.metric, rows.kind, rows.labels, [rows.student], [rows.teacher], level)


def find_students(parameters: Parameters) -> tuple[list[EvaluatedStudent], list[str]]:
    """(evaluated students of params.yaml, one line for each missing one)."""
    found: list[EvaluatedStudent] = []
    missing: list[str] = []
    for dataset in parameters.datasets:
        for method in parameters.methods.names:
            for seed in parameters.seeds:
                one = _student(parameters.benchmark, dataset, method, seed, parameters.methods.names)
                if isinstance(one, EvaluatedStudent):
                    found.append(one)
                else:
                    missing.append(f"{dataset} {method} {seed}: {one}")
    return found, missing


def _student(benchmark: str, dataset: str, method: str, seed: int, methods: tuple[str, ...]) -> EvaluatedStudent | str:
    """One student, or a line with what it lacks."""
    model = student_model(dataset, method, seed)
    evaluated = evaluate_folder(dataset, method, seed)
    files = (model / "config.json", *(evaluated / name for name in (EvaluateMetrics.FILE, PREDICTIONS, RunRecord.FILE)))
    for path in (*files, tokens_folder(dataset) / "spec.json"):
        if not path.is_file():
            return f"{path} is missing"
    sums = file_sums(model)
    check_unchanged(model, sums, OUTPUTS)
    check_unchanged(evaluated, file_sums(evaluated), OUTPUTS)
    student_hash = combined(model, sums)
    if read_record(RunRecord, evaluated).input_hashes.get(str(model)) != student_hash:
        return f"{evaluated} is of another student than {model}"
    metrics = read_record(EvaluateMetrics, evaluated)
    return EvaluatedStudent(
        benchmark, dataset, method, seed, metrics, student_hash, _evaluate_hash(evaluated, metrics), methods
    )


def _evaluate_hash(evaluated: Path, metrics: EvaluateMetrics) -> str:
    """Predicted rows and scores, without values that vary between machines and runs.

    The weights are in the key already; so what was predicted shows in the scores.
    """
    table = parquet.read_table(evaluated / PREDICTIONS, columns=["set", "row_id", "label"])
    rows = [table.column(name).to_pylist() for name in ("set", "row_id", "label")]
    scores = {key: value for key, value in metrics.tree().items() if key in metrics.scores or key in KEYED}
    return digest_of([json.dumps(rows), json.dumps(_rounded(scores), sort_keys=True)])


def _rounded(value: object) -> object:
    """Numbers rounded to DIGITS digits, at every depth."""
    if isinstance(value, Mapping):
        return {str(key): _rounded(part) for key, part in value.items()}
    return round(value, DIGITS) + 0.0 if isinstance(value, float) else value


def curves(student: EvaluatedStudent) -> list[tuple[str, int, float]]:
    """(name, step, value) of every number in the student's curves."""
    points: list[tuple[str, int, float]] = []
    for kind, counter in CURVES.items():
        if (student.folder / kind.FILE).is_file():
            rows = [row.numbers for row in read_rows(kind, student.folder)]
            points += [
                (f"curves/{name}", int(row[counter]), value)
                for row in rows
                for name, value in row.items()
                if name != counter
            ]
    return points
