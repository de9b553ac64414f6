"""The page for people: one HTML file with its pictures inside, made from page.html.j2."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reporting import analysis_text, comparison_text, losses_text, page_tables, shipping_text, wording
from reporting.analysis import Analysis
from reporting.comparison import Comparison
from reporting.drawing import DPI, smoothing
from reporting.gather import DatasetOutputs
from reporting.method_records import Records
from reporting.shipping import Shipping
from reporting.summarise import Summary
from reporting.tables import MOST_COLUMNS, split_columns

TEMPLATES = Path(__file__).parent / "templates"
LEADING = "margins"


@dataclass(frozen=True)
class Studied:
    """The sections beside the summary: all methods side by side, and the papers' analyses of their own methods."""

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
        lost=losses_text,
        shipped=shipped,
        alarms=shipping_text.alarms(summary.findings),
        best=shipping_text.best_lines(summary),
        main_table=page_tables.main_table(summary),
        margin_table=page_tables.margin_table(summary),
        metric_tables=page_tables.metric_tables(summary),
        cost_tables=split_columns(page_tables.cost_table(summary), MOST_COLUMNS),
        rows_table=page_tables.rows_table(summary),
        dev_text=page_tables.dev_text(summary),
        warnings=shipping_text.warnings(summary),
        versions=page_tables.versions(summary),
        latency_setting=wording.latency_setting_text(**summary.datasets[0].latency_setting),
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
