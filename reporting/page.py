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
from reporting.tables import split_columns

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Studied:
    """The sections besides the summary: all methods side by side, and the papers' analyses of their own methods."""

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
    # Jinja's own makes the rest of the text small.
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    episodes = max((len(one) for dataset in outputs for one in dataset.episodes.values()), default=0)
    return environment.get_template("page.html.j2").render(
        summary=summary,
        wording=wording,
        said=shipping_text,
        lost=losses_text,
        shipped=shipped,
        tables=page_tables,
        compared=comparison_text,
        analysed=analysis_text,
        split_columns=split_columns,
        latency_setting=wording.latency_setting_text(**summary.datasets[0].latency_setting),
        figures={name: _data_address(picture) for name, picture in figures.items()},
        # A PNG's header gives its width in pixels.
        widths={name: round(96 / DPI * int.from_bytes(figures[name][16:20], "big")) for name in figures},
        kinds={
            kind: [one.name for one in summary.datasets if f"{kind}-{one.name}" in figures]
            for kind in ("curves", "rewards", "actions")
        },
        smoothing=smoothing(episodes),
        comparison=studied.comparison if studied and len(studied.comparison.lines) > 1 else None,
        studied=studied,
        pictures=any(name.startswith("analysis-") for name in figures),
    )


def _data_address(picture: bytes) -> Markup:
    return Markup("data:image/png;base64," + base64.b64encode(picture).decode("ascii"))  # noqa: S704 (base64 needs no escaping)
