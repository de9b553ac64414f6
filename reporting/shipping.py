""" "May I ship it?", and what is lost: the gate's tests of the student, classes, rows, calibration, size and speed.

Of each dataset the student that the gate would take of the main method (the best seed on selection), and
beside it the one of the best method, where that is another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from config.stages import Registry
from epoch_choice import SelectedBy, SelectionRule
from kinds import KINDS
from outputs import output_folder, read_record
from records.evaluated import EvaluateMetrics
from records.registered import ShownVersion, ShownVersions
from reporting.calibration import Calibration, calibrate
from reporting.classes import ClassLine, class_lines
from reporting.gather import DatasetOutputs
from reporting.lost_rows import SHOWN, ChangedRow, changed_rows
from reporting.statistics import Interval, paired_interval, score_interval, share_interval
from reporting.summarise import Summary
from reporting.tables import csv_text
from reporting.verdict.check_result import Verdict
from reporting.verdict.dev_rows import BASELINE, evidence_of
from reporting.verdict.own_checks import own_checks

Versions = tuple[dict[tuple[str, str, int], ShownVersion], str]
NOT_RUN = "not registered yet: `register` has not run"
OF_TRIAL = "not registered: a trial makes no version unless registry.trials is true"
NO_ANSWER = "the registry did not answer: what it holds is not known"
SHOWN_OF_VERSION = {"name", "version", "aliases", "gate", "pull"}
HEADER = (
    *("dataset", "method", "seed", "row_id", "what", "label"),
    *("teacher", "teacher_confidence", "student", "student_confidence"),
)
LONGEST = 300
"""Maximum characters of a row's text on the page."""


@dataclass(frozen=True)
class Shipping:
    """One student of one dataset."""

    dataset: str
    method: str
    seed: int
    metric: str
    scores: dict[str, float]
    """Primary metric on dev of teacher and student."""
    margin: Interval
    """Margin to its own teacher, this seed alone."""
    finetune: Interval | None
    """Margin to the fine-tuned student of its seed."""
    verdict: Verdict
    registered: ShownVersion | None
    unregistered: str
    """Reason why there is no version, or none is known; '' if there is one."""
    agreement: Interval
    """Share of dev rows with the teacher's prediction; for a regression the Pearson correlation of the two."""
    classes: list[ClassLine]
    calibration: dict[str, Calibration]
    """teacher and student; {} for a regression."""
    measured: EvaluateMetrics
    lost: list[ChangedRow] = field(default_factory=list)
    won: list[ChangedRow] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    """Row id -> text of the rows shown."""

    @property
    def fell(self) -> list[ClassLine]:
        """Classes on which the student is worse beyond the interval, the largest fall first."""
        return sorted((one for one in self.classes if one.fell), key=lambda one: one.change.difference)

    def tree(self) -> dict[str, object]:
        """The part for report.json; the rows themselves are in rows.csv."""
        memory, throughput, registered = self.measured.memory_bytes, self.measured.throughput, self.registered
        return {
            "dataset": self.dataset,
            "method": self.method,
            "seed": self.seed,
            "passed": self.verdict.passed,
            "verdict": self.verdict.text,
            "tests": [asdict(check) for check in self.verdict.checks],
            "scores": self.scores,
            "margin": asdict(self.margin),
            "margin_to_finetune": None if self.finetune is None else asdict(self.finetune),
            "registered": None if registered is None else registered.model_dump(include=SHOWN_OF_VERSION),
            "agreement": asdict(self.agreement),
            "classes": [{**asdict(one), "fell": one.fell} for one in self.classes],
            "calibration": {who: asdict(one) for who, one in self.calibration.items()},
            "rows_lost": len(self.lost),
            "rows_won": len(self.won),
            "size_bytes": self.measured.size_bytes.by_name,
            "memory_bytes": {} if memory is None else {who: part.model_dump() for who, part in memory.by_name.items()},
            "latency_ms": {who: times.model_dump() for who, times in self.measured.latency_ms.by_name.items()},
            "throughput": {} if throughput is None else throughput.model_dump(),
        }


def ship(outputs: Sequence[DatasetOutputs], summary: Summary, settings: Registry) -> dict[str, list[Shipping]]:
    """Judge the main method's candidate of every dataset, then the best student if it is another."""
    versions, main_method = read_versions(), summary.main_method

    def judged(one: DatasetOutputs, method: str) -> Shipping:
        seed = candidate(one, method, summary.seeds, summary.selected_by)
        return _shipping(one, method, seed, versions, settings, summary.level)

    found = {one.name: [judged(one, main_method)] for one in outputs}
    for one in outputs:
        best, main = summary.findings.best.get(one.name), found[one.name][0]
        # A student that is not told apart from the main method's says nothing new, unless that one can't be shipped.
        if best and best.method != main_method and (main_method not in best.not_apart or not main.verdict.passed):
            found[one.name].append(judged(one, best.method))
    return found


def candidate(one: DatasetOutputs, method: str, seeds: Sequence[int], by: SelectedBy) -> int:
    """The best seed on selection, by the rule of `register`."""
    scores = {seed: one.evaluations[method, seed].metrics.selection for seed in seeds}
    return SelectionRule(by, one.headline).best(scores)


def read_versions() -> Versions:
    """(Dataset, method, seed -> version, reason if there is none: `register` has not run, or its registry was down).

    Raises UserError where the file is damaged.
    """
    folder = output_folder("register")
    if not (folder / ShownVersions.FILE).exists():
        return {}, NOT_RUN
    shown = read_record(ShownVersions, folder)
    found = {(one.dataset, one.method, one.seed): one for one in shown.students if one.version is not None}
    trial = OF_TRIAL if shown.trial else ""
    return found, trial if shown.reachable else NO_ANSWER


def _shipping(
    one: DatasetOutputs,
    method: str,
    seed: int,
    versions: Versions,
    settings: Registry,
    level: float,
) -> Shipping:
    rows, evidence, metric = one.dev(method, seed), evidence_of(one, method, seed), one.headline
    lost, won = changed_rows(one, rows)
    calibrated = {"teacher": rows.teacher, "student": rows.student} if KINDS[one.kind].has_classes else {}
    measured = one.evaluations[method, seed].metrics

    def against(other: NDArray[np.generic]) -> Interval:
        return paired_interval(metric, one.kind, rows.labels, [rows.student], [other], level)

    return Shipping(
        dataset=one.name,
        method=method,
        seed=seed,
        metric=metric,
        scores={"teacher": measured.teacher_dev[metric], "student": measured.dev[metric]},
        margin=against(rows.teacher),
        finetune=None if method == BASELINE or evidence.finetune is None else against(evidence.finetune),
        verdict=Verdict(own_checks(evidence, settings)),
        registered=(version := versions[0].get((one.name, method, seed))),
        unregistered="" if version else versions[1] or "not registered",
        agreement=_agreement(one, rows.student, rows.teacher, level),
        classes=class_lines(one, rows, level),
        calibration={who: calibrate(z, rows.labels, level, one.name) for who, z in calibrated.items()},
        measured=measured,
        lost=lost,
        won=won,
        texts=row_texts(one, [row.row_id for row in (*lost[:SHOWN], *won[:SHOWN])]),
    )


def _agreement(
    one: DatasetOutputs, student: NDArray[np.float64], teacher: NDArray[np.float64], level: float
) -> Interval:
    if not KINDS[one.kind].has_classes:
        return score_interval("pearson", one.kind, teacher[:, 0], [student], level)
    same = int((student.argmax(axis=1) == teacher.argmax(axis=1)).sum())
    return share_interval(same, len(student), level)


def row_texts(one: DatasetOutputs, row_ids: Sequence[str]) -> dict[str, str]:
    """The raw columns of dev rows, from the source stage; {} if they are not available."""
    path = output_folder("source", dataset=one.name) / "rows" / f"{'train' if one.dev_held_out else 'dev'}.parquet"
    try:
        kept = parquet.read_table(path, filters=[("distilflow_id", "in", list(row_ids))])
    except (OSError, KeyError, pa.ArrowException):
        return {}
    return {str(row.pop("distilflow_id")): _text(row) for row in kept.to_pylist()}


def _text(row: Mapping[str, object]) -> str:
    own = {name: str(value) for name, value in row.items() if not name.startswith("distilflow_") and value is not None}
    text = " | ".join(own.values()) if len(own) == 1 else " | ".join(f"{name}: {value}" for name, value in own.items())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\N{HORIZONTAL ELLIPSIS}"


def rows_csv(parts: Sequence[Shipping]) -> str:
    """All changed rows of these students as CSV, lost ones first."""
    rows = []
    for one in parts:
        for row in (*one.lost, *one.won):
            said = (row.teacher, _short(row.teacher_confidence), row.student, _short(row.student_confidence))
            rows.append((one.dataset, one.method, one.seed, row.row_id, row.what, row.label, *said))
    return csv_text(HEADER, rows)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
