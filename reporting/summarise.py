"""The numbers of the report: means over seeds, margins to the teacher with intervals, sizes, latency, cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from config.methods import BASELINE, CURRICULA, CURRICULUM
from config.stages import Registry
from epoch_choice import SelectedBy
from kinds import Kind
from metrics import compute_metrics
from reporting.effort import Effort, mean_effort
from reporting.findings import Findings, averaged, find
from reporting.gather import DEV, META_TEACHER, TEACHER, DatasetOutputs
from reporting.margins import Margin, margin_of, mean_margin
from reporting.statistics import LEVEL, Spread, mean_sd

LABELS = {
    TEACHER: "teacher",
    BASELINE: "student fine-tuned",
    META_TEACHER: "meta-teacher",
    CURRICULUM: "MPDistil student",
}
# A stored metric may differ by rounding from the one computed here again from the predictions, not by more.
AGREEMENT = 1e-4


@dataclass(frozen=True)
class ModelFacts:
    """Size and CPU latency of a model; means over seeds."""

    parameters: int
    size_bytes: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Cost:
    """The resources of one stage: means over seeds; device, threads and versions of the first seed."""

    duration_s: float
    cpu_s: float
    peak_memory_mb: float
    device: str
    threads: int
    versions: dict[str, str]


@dataclass(frozen=True)
class DatasetSummary:
    """One dataset. Columns are 'teacher', 'meta_teacher' and the methods; scores are fractions, not points."""

    name: str
    kind: Kind
    headline: str
    selected_on: str
    rows: dict[str, int]
    dropped: int
    dev_held_out: bool
    """True if dev was held out of train; else it is the benchmark's own."""
    dev_rows: int
    majority: float | None
    """Accuracy of the most frequent class; None for regression."""
    scores: dict[str, Spread]
    all_scores: dict[str, dict[str, dict[str, Spread]]]
    """Set -> metric -> column -> spread."""
    margins: dict[str, Margin]
    models: dict[str, ModelFacts]
    latency_setting: dict[str, int]
    costs: dict[str, Cost]
    """By stage."""
    efforts: dict[str, Effort]
    """Method -> mean over seeds."""
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Summary:
    """The whole report in numbers."""

    benchmark: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    columns: dict[str, str]
    """Column -> heading."""
    main_method: str
    selected_on: str
    datasets: list[DatasetSummary]
    average_scores: dict[str, Spread]
    average_margins: dict[str, Margin]
    efforts: dict[str, Effort]
    """Method -> mean over datasets."""
    level: float
    findings: Findings
    selected_by: SelectedBy = "loss"
    """Rule that chose epochs and episodes on selection."""
    points: int = 1
    """Settings tried for each teacher and student, the best on selection kept."""


def summarise(
    outputs: Sequence[DatasetOutputs],
    methods: Sequence[str],
    seeds: Sequence[int],
    *,
    benchmark: str,
    level: float = LEVEL,
    settings: Registry | None = None,
    selected_by: SelectedBy = "loss",
    points: int = 1,
) -> Summary:
    """All numbers of the report, with intervals of `level` (a fraction); `settings` are the gate's."""
    findings = find(outputs, methods, seeds, level, settings or Registry())
    datasets = [_dataset(one, methods, seeds, level, findings) for one in outputs]
    kept = [one for one in outputs if one.name not in findings.left_out]
    counted = [one for one in datasets if one.name not in findings.left_out]
    comparable = bool(kept) and averaged(outputs, kept)
    return Summary(
        benchmark=benchmark,
        methods=tuple(methods),
        seeds=tuple(seeds),
        columns=_columns(methods),
        main_method=CURRICULUM if CURRICULUM in methods else methods[-1],
        selected_on=DEV if any(one.selected_on == DEV for one in datasets) else "selection",
        datasets=datasets,
        average_scores=_average_scores(kept, methods, seeds) if comparable else {},
        average_margins={
            method: mean_margin(kept, method, seeds, [one.margins[method] for one in counted], level)
            for method in methods
            if comparable
        },
        efforts=_mean_efforts(
            {method: [one.efforts[method] for one in datasets if method in one.efforts] for method in methods}
        ),
        level=level,
        findings=findings,
        selected_by=selected_by,
        points=points,
    )


def _columns(methods: Sequence[str]) -> dict[str, str]:
    """The report's columns in order: the teacher, the students, and the meta-teacher before MPDistil's student."""
    columns = {TEACHER: LABELS[TEACHER]}
    distilled = [method for method in methods if method not in LABELS]
    for method in sorted(methods, key=lambda name: name in CURRICULA):
        if method in CURRICULA:
            columns[META_TEACHER] = LABELS[META_TEACHER]
        own = "student distilled" if len(distilled) == 1 else f"student {method}"
        columns[method] = LABELS.get(method, own)
    return columns


def _dataset(
    one: DatasetOutputs, methods: Sequence[str], seeds: Sequence[int], level: float, findings: Findings
) -> DatasetSummary:
    evaluations = [one.evaluations[method, seed].metrics for method in methods for seed in seeds]
    by_column = {
        column: values for column in (TEACHER, *methods, META_TEACHER) if (values := one.values(column, seeds, methods))
    }
    majorities = [e.majority_dev for e in evaluations if e.majority_dev is not None]
    return DatasetSummary(
        name=one.name,
        kind=one.kind,
        headline=one.headline,
        selected_on=DEV if any(e.selected_on == DEV for e in evaluations) else "selection",
        rows=one.rows,
        dropped=one.dropped,
        dev_held_out=one.dev_held_out,
        dev_rows=len(one.dev(methods[0], seeds[0]).row_ids),
        majority=majorities[0] if majorities else None,
        scores={column: mean_sd(values) for column, values in by_column.items()},
        all_scores=_all_scores(one, methods, seeds),
        margins={method: margin_of(one, method, seeds, level) for method in methods},
        models={TEACHER: _facts(one, TEACHER, [(method, seed) for method in methods for seed in seeds])}
        | {method: _facts(one, "student", [(method, seed) for seed in seeds]) for method in methods},
        latency_setting=evaluations[0].latency_ms.setting,
        costs=_costs(one, seeds),
        efforts=_mean_efforts(
            {
                method: [one.efforts[method, seed] for seed in seeds if (method, seed) in one.efforts]
                for method in methods
            }
        ),
        warnings=_warnings(one, methods, seeds, findings),
    )


def _all_scores(
    one: DatasetOutputs, methods: Sequence[str], seeds: Sequence[int]
) -> dict[str, dict[str, dict[str, Spread]]]:
    """Every metric of every set of rows: set -> metric -> column -> spread."""
    found: dict[str, dict[str, dict[str, Spread]]] = {}
    for rows in (DEV, "dev_mismatched", "selection"):
        for metric in (*one.metrics, "loss"):
            for column in (TEACHER, *methods, META_TEACHER):
                if values := one.values(column, seeds, methods, rows, metric):
                    found.setdefault(rows, {}).setdefault(metric, {})[column] = mean_sd(values)
    return found


def _average_scores(
    outputs: Sequence[DatasetOutputs], methods: Sequence[str], seeds: Sequence[int]
) -> dict[str, Spread]:
    """Mean primary metric over datasets for each seed, then mean and deviation over seeds."""
    found: dict[str, Spread] = {}
    for column in (TEACHER, *methods, META_TEACHER):
        table = [one.values(column, seeds, methods) for one in outputs]
        if all(len(values) == len(seeds) for values in table):
            found[column] = mean_sd([float(value) for value in np.mean(table, axis=0)])
    return found


def _facts(one: DatasetOutputs, who: str, keys: Sequence[tuple[str, int]]) -> ModelFacts:
    measured = [one.evaluations[key].metrics for key in keys]
    first, times = measured[0], [e.latency_ms.by_name[who] for e in measured]
    p50, p95 = (float(np.mean(values)) for values in ([t.p50 for t in times], [t.p95 for t in times]))
    return ModelFacts(first.parameters.by_name[who], first.size_bytes.by_name[who], p50, p95)


def _mean_efforts(by_method: Mapping[str, Sequence[Effort]]) -> dict[str, Effort]:
    means = {method: mean_effort(efforts) for method, efforts in by_method.items()}
    return {method: effort for method, effort in means.items() if effort is not None}


def _costs(one: DatasetOutputs, seeds: Sequence[int]) -> dict[str, Cost]:
    found: dict[str, Cost] = {}
    for stage in dict.fromkeys(stage for stage, _ in one.runs):
        runs = [one.runs[stage, seed] for seed in seeds if (stage, seed) in one.runs]
        duration, cpu, memory = np.mean([(run.duration_s, run.cpu_s, run.peak_memory_mb) for run in runs], axis=0)
        first = runs[0]
        found[stage] = Cost(float(duration), float(cpu), float(memory), first.device, first.threads, first.versions)
    return found


def _warnings(one: DatasetOutputs, methods: Sequence[str], seeds: Sequence[int], findings: Findings) -> list[str]:
    """Warnings about this dataset's numbers; split's own warnings first."""
    found = list(one.warnings)
    for method in methods:
        for seed in seeds:
            rows, stored = one.dev(method, seed), one.evaluations[method, seed].metrics.dev[one.headline]
            again = compute_metrics([one.headline], rows.student, rows.labels, one.kind)[one.headline]
            if abs(again - stored) > AGREEMENT:
                found.append(f"{method}, seed {seed}: metrics.json says {stored:.4f}, its predictions {again:.4f}")
    if why := findings.left_out.get(one.name):
        found.append(f"{why}: there is nothing to distil; left out of means and of tests over datasets")
    return found
