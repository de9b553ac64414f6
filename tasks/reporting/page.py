"""The page for people: one HTML file with its pictures inside, made from page.html.j2."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.reporting import analysis_text, comparison_text, shipping_text, wording
from tasks.reporting.analysis import Analysis
from tasks.reporting.comparison import Comparison
from tasks.reporting.drawing import DPI, smoothing
from tasks.reporting.gather import DatasetOutputs
from tasks.reporting.records import Records
from tasks.reporting.shipping import Shipping
from tasks.reporting.summarise import DatasetSummary, Summary
from tasks.reporting.tables import MOST_COLUMNS, Table, split_columns
from training.running.metrics import LOWER_IS_BETTER

TEMPLATES = Path(__file__).parent / "templates"
LEADING = "margins"


@dataclass(frozen=True)
class Studied:
    """What is shown beside the summary: all methods side by side, and what the papers ask of their own methods."""

    comparison: Comparison
    analysis: Analysis
    records: list[Records]


def render_page(
    summary: Summary,
    outputs: Sequence[DatasetOutputs],
    figures: Mapping[str, bytes],
    shipped: Mapping[str, Sequence[Shipping]],
    studied: Studied | None = None,
) -> str:
    """The whole page as HTML. `figures` are PNG bytes by the names that the drawing functions give them."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["capitalize_first"] = _capital  # Jinja's own makes the rest of the text small
    episodes = max((len(one) for dataset in outputs for one in dataset.episodes.values()), default=0)
    return environment.get_template("page.html.j2").render(
        summary=summary,
        wording=wording,
        said=shipping_text,
        shipped=shipped,
        alarms=shipping_text.alarms(summary.findings),
        best=shipping_text.best_lines(summary),
        main_table=_main_table(summary),
        margin_table=_margin_table(summary),
        metric_tables=metric_tables(summary),
        cost_tables=split_columns(_cost_table(summary), MOST_COLUMNS),
        rows_table=_rows_table(summary),
        dev_text=dev_text(summary),
        warnings=[
            f"{one.name}: {text}"
            for one in summary.datasets
            for text in one.warnings
            if one.name not in summary.findings.left_out or summary.findings.left_out[one.name] not in text
        ],
        versions=_versions(summary),
        latency_setting=wording.latency_setting_text(summary.datasets[0].latency_setting),
        figures={name: _data_address(picture) for name, picture in figures.items()},
        widths={name: round(96 / DPI * _pixels(picture)) for name, picture in figures.items()},
        kinds={kind: _pictured(summary, figures, kind) for kind in ("curves", "rewards", "actions")},
        smoothing=smoothing(episodes),
        compared=_compared(studied),
        analysed=_analysed(studied, figures),
    )


def _compared(studied: Studied | None) -> dict[str, object]:
    """The comparison's tables and notes; {} with fewer than two methods."""
    if studied is None or len(studied.comparison.lines) < 2:
        return {}
    one = studied.comparison
    return {
        "margins": split_columns(comparison_text.margin_table(one), MOST_COLUMNS),
        "efforts": comparison_text.effort_table(one),
        "notes": comparison_text.notes(one),
        "baseline": one.baseline,
    }


def _analysed(studied: Studied | None, figures: Mapping[str, bytes]) -> dict[str, object]:
    """The analyses that there are records for; {} if there are none."""
    if studied is None:
        return {}
    one, metrics = studied.analysis, studied.comparison.datasets
    return {
        "correlation": analysis_text.correlation_text(one),
        "rewards": analysis_text.reward_table(one, studied.records),
        "first_proposition": analysis_text.first_proposition_table(one),
        "second_proposition": analysis_text.second_proposition_table(one),
        "shares": analysis_text.share_table(one),
        "entropy": analysis_text.entropy_table(one),
        "temperature": analysis_text.temperature_table(one, metrics),
        "influence": [trend.dataset for trend in one.trends],
        "pictures": sorted(name for name in figures if name.startswith("analysis-")),
    }


def _data_address(picture: bytes) -> Markup:
    return Markup("data:image/png;base64," + base64.b64encode(picture).decode("ascii"))  # noqa: S704 (base64 needs no escaping)


def _pixels(picture: bytes) -> int:
    """The width that a PNG's header gives."""
    return int.from_bytes(picture[16:20], "big")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _pictured(summary: Summary, figures: Mapping[str, bytes], kind: str) -> list[str]:
    """Datasets that have a picture of this kind."""
    return [one.name for one in summary.datasets if f"{kind}-{one.name}" in figures]


def _main_table(summary: Summary) -> Table:
    """Dataset, scores of every column, margin, parameters, latency; the mean over datasets last."""
    header = [
        "dataset",
        *wording.shown_columns(summary).values(),
        f"margin [{100 * summary.level:g} %]",
        "parameters",
        "latency, ms",
    ]
    rows = [_main_row(summary, one) for one in summary.datasets]
    averaged = len(rows) > 1 and bool(summary.average_scores)
    if averaged:
        shown = wording.shown_columns(summary)
        scores = [wording.score_text(summary.average_scores.get(column), "accuracy") for column in shown]
        margin = wording.margin_text(summary.average_margins[summary.main_method], "accuracy").replace(" [", "\n[")
        rows.append([shipping_text.mean_of(summary).replace(" over ", "\nover "), *scores, margin, "", ""])
    return Table(header, rows, strong=averaged)


def _main_row(summary: Summary, one: DatasetSummary) -> list[str]:
    scores = [wording.score_text(one.scores.get(column), one.headline) for column in wording.shown_columns(summary)]
    models = [one.models["teacher"], one.models[summary.main_method]]
    arrow = f" {wording.ARROW} "
    sizes = arrow.join(wording.count_text(model.parameters) for model in models)
    p50 = arrow.join(wording.milliseconds_text(model.p50_ms) for model in models)
    p95 = arrow.join(wording.milliseconds_text(model.p95_ms) for model in models)
    margin = wording.margin_text(one.margins[summary.main_method], one.headline).replace(" [", "\n[")
    return [f"{one.name}\n{one.headline}", *scores, margin, sizes, f"p50 {p50}\np95 {p95}"]


def _margin_table(summary: Summary) -> Table:
    """Every student's margin: interval over rows, spread over seeds, the rows behind it, what may be said."""
    behind_it = "rows behind it" if len(summary.seeds) == 1 else "rows behind it, mean over seeds"
    header = ["dataset", "student", f"margin [{100 * summary.level:g} %]", "sd over seeds", behind_it, "reading"]
    rows: list[list[str]] = []
    for one in summary.datasets:
        for method in summary.methods:
            margin = one.margins[method]
            sd = margin.over_seeds.sd
            spread = "one seed" if sd is None else wording.number_text(sd, one.headline)
            reading = "less is better" if one.headline in LOWER_IS_BETTER else wording.verdict_text(margin)
            text, behind = wording.margin_text(margin, one.headline), wording.rows_text(margin, one.headline)
            rows.append([one.name, summary.columns[method], text, spread, behind, reading])
    return Table(header, rows, names=2)


def metric_tables(summary: Summary) -> list[tuple[str, Table]]:
    """Every metric on every set of rows: a table a dataset, a line a model, so that many methods still fit a page."""
    tables = []
    for one in summary.datasets:
        columns = [(of_set, metric) for of_set, metrics in one.all_scores.items() for metric in metrics]
        rows = [
            [
                label,
                *(wording.score_text(one.all_scores[of_set][metric].get(column), metric) for of_set, metric in columns),
            ]
            for column, label in summary.columns.items()
        ]
        tables.append((one.name, Table(["", *(f"{of_set}\n{metric}" for of_set, metric in columns)], rows)))
    return tables


def dev_text(summary: Summary) -> str:
    """Whether dev is the benchmark's own or was held out of train, by dataset where they differ."""
    held_out = [one.name for one in summary.datasets if one.dev_held_out]
    own = [one.name for one in summary.datasets if not one.dev_held_out]
    if not held_out:
        return "Dev is the benchmark's own validation set"
    if not own:
        return "Dev was held out of the train rows, as there is no validation set"
    return (
        f"Dev is the benchmark's own validation set of {', '.join(own)}; of {', '.join(held_out)} it was held out of the "
        "train rows, as there is none"
    )


def _cost_table(summary: Summary) -> Table:
    """Wall time of each stage, mean over seeds; CPU time and the highest memory beside it."""
    rows: list[list[str]] = []
    for stage in dict.fromkeys(stage for one in summary.datasets for stage in one.costs):
        costs = [one.costs[stage] for one in summary.datasets if stage in one.costs]
        times = [
            wording.duration_text(one.costs[stage].duration_s) if stage in one.costs else "" for one in summary.datasets
        ]
        cpu = wording.duration_text(sum(cost.cpu_s for cost in costs))
        memory = max(cost.peak_memory_mb for cost in costs)
        rows.append([stage.replace("_", "-") if stage == "meta_teacher" else stage, *times, cpu, f"{memory:.0f} MB"])
    header = ["stage", *(one.name for one in summary.datasets), "CPU time, all datasets", "peak memory"]
    return Table(header, rows)


def _rows_table(summary: Summary) -> Table:
    """Rows of each split, rows dropped, and what one point is in rows."""
    splits = list(dict.fromkeys(split for one in summary.datasets for split in one.rows))
    rows = [
        [
            one.name,
            one.kind,
            *(f"{one.rows[split]:.0f}" if split in one.rows else "" for split in splits),
            "held out" if one.dev_held_out else "its own",
            f"{one.dropped:.0f}",
            f"{one.dev_rows / 100:.2g}" if one.headline == "accuracy" else f"\N{EN DASH} ({one.headline})",
            "" if one.majority is None else wording.number_text(one.majority, "accuracy"),
        ]
        for one in summary.datasets
    ]
    return Table(
        [
            "dataset",
            "kind",
            *splits,
            "dev rows are",
            "dropped, equal to dev",
            "dev rows in one point",
            "majority class, accuracy",
        ],
        rows,
        names=2,
    )


def _versions(summary: Summary) -> str:
    """Device, threads and package versions of the stages, as their records say."""
    costs = [cost for one in summary.datasets for cost in one.costs.values()]
    devices = ", ".join(sorted({f"{c.device} ({c.threads} thread{'s' * (c.threads != 1)})" for c in costs}))
    packages = sorted({f"{name} {version}" for c in costs for name, version in c.versions.items()})
    return f"{devices}; {', '.join(packages)}"
