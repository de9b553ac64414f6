"""report: one page for people, one JSON for programs, and the files for DVC's metrics and plots.

    python -m tasks.report

Reads: what every stage left under outputs/, through reporting.gather, and the versions that `register` made of it.
Writes: outputs/report with report.html, table.txt and comparison.txt (the same for a terminal), rows.csv (the dev rows on
which teacher and student differ), report.json, metrics.json, plots/*.csv, figures/*.png, run.json.

Scores are fractions in the JSON files and points of 100 on the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic_core import to_jsonable_python

from outputs import OUTPUTS
from reporting.analysis import Analysis, analyse
from reporting.chosen import points_of
from reporting.comparison import Comparison, compare
from reporting.comparison_text import comparison_tree
from reporting.gather import DatasetOutputs, gather
from reporting.method_records import Records, read_records
from reporting.shipping import rows_csv, ship
from reporting.summarise import Summary, summarise
from tasks.runtime.stage import Stage, run_stage


def report(stage: Stage) -> None:
    """Make the report of everything that params.yaml lists."""
    from reporting.analysis_figures import draw_analysis  # matplotlib: imported once the numbers stand
    from reporting.comparison_figures import draw_comparison
    from reporting.comparison_text import terminal_text
    from reporting.figures import draw_figures
    from reporting.page import Studied, render_page
    from reporting.plots_data import metrics_tree, plot_files
    from reporting.shipping_figures import draw_shipping
    from reporting.shipping_text import final_line, terminal_head
    from reporting.wording import terminal_table

    parameters = stage.parameters
    outputs = gather(parameters.datasets, parameters.methods.names, parameters.seeds)
    stage.read(OUTPUTS / "evaluate")
    summary = summarise(
        outputs,
        parameters.methods.names,
        parameters.seeds,
        benchmark=parameters.benchmark,
        level=parameters.report.level,
        settings=parameters.registry,
        selected_by=parameters.selected_by,
        points=parameters.search.points,
    )
    shipped = ship(outputs, summary, parameters.registry)
    studied = Studied(*study(stage, outputs, summary.findings.left_out))
    figures = draw_figures(summary, outputs) | draw_analysis(studied.analysis, studied.records)
    figures |= draw_shipping(outputs, shipped)
    texts = {
        "table.txt": f"{terminal_head(summary, shipped)}\n{terminal_table(summary)}\n",
        "rows.csv": rows_csv([one for parts in shipped.values() for one in parts]),
    }
    if len(parameters.methods.names) > 1:
        figures |= draw_comparison(studied.comparison)
        texts["comparison.txt"] = terminal_text(studied.comparison) + "\n"
    _write(stage.folder, {"report.html": render_page(summary, outputs, figures, shipped, studied), **texts})
    _write(stage.folder / "plots", plot_files(summary, outputs))
    _write(stage.folder / "figures", {f"{name}.png": picture for name, picture in figures.items()})
    shipping = [one.tree() for parts in shipped.values() for one in parts]
    trees = {
        "shipping": shipping,
        "comparison": comparison_tree(studied.comparison),
        "analysis": to_jsonable_python(studied.analysis),
    }
    stage.write_json("report.json", report_tree(summary) | trees)
    stage.write_json("metrics.json", metrics_tree(summary))
    stage.headline = final_line(summary, shipped)


def study(
    stage: Stage, outputs: Sequence[DatasetOutputs], left_out: Mapping[str, str]
) -> tuple[Comparison, Analysis, list[Records]]:
    """The comparison of all methods, and the papers' analyses, from the records."""
    given = stage.parameters
    compared = compare(
        outputs,
        given.methods.names,
        benchmark=given.benchmark,
        points=points_of(given.datasets, given.methods.names, given.seeds),
        level=given.report.level,
        left_out=left_out,
    )
    records = read_records(given.datasets, given.methods.names, given.seeds)
    return compared, analyse(outputs, records), records


def report_tree(summary: Summary) -> dict[str, object]:
    """All numbers as JSON; scores are fractions."""
    from reporting.wording import rows_text, seeds_text, selected_text

    tree = asdict(summary)
    for one, written in zip(summary.datasets, tree["datasets"], strict=True):
        for method, margin in one.margins.items():
            written["margins"][method]["rows_behind_it"] = rows_text(margin, one.headline)
    notes = {"unit": "fractions (100 times them are points)", "seeds_note": seeds_text(summary.seeds)}
    return {**notes, "protocol": selected_text(summary.selected_on), **tree}


def _write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


if __name__ == "__main__":
    run_stage("report", report)
