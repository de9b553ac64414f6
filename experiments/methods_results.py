"""The page on all methods: docs/results/methods.md made from the rows of docs/results/runs.jsonl that have a method.

    python -m experiments.methods_results docs/results/runs.jsonl docs/results/methods.md \
        --comparison "three seeds=outputs/methods/outputs/compare/comparison.md"

What `python -m reporting.compare` wrote about the same runs (paired intervals, wins, ranks) is put in where it is given, under
a title each; what a person noticed stands in NAME.notes.md beside the page and is put at its top. The paper's table is context: its rows
that are quoted from another paper are left out, because their models are not the paper's.

Exit status: 0, or 2 with one line that says which line of the file is wrong.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.methods import ROWS
from experiments.method_runs import MethodResult, latest_method_rows, read_method_rows
from experiments.result_rows import Setup
from experiments.results import MISSING, page_parser, paper_section, spread_text, write_page
from reporting.tables import Table, markdown_table

PAPER = Path("docs/results/paper-mpdistil-table2.json")
ABLATED = next(row for row in ROWS if row.ablation)
"""The method whose parts the papers take out; of its variants `grid` names the one without."""
INTRODUCTION = """\
# All methods on real rows: measurements

Made from [{runs}]({runs}) by `python -m experiments.methods_results`; edit neither by hand.

- Numbers are the primary metric on **dev** in points of 100: mean ± sample standard deviation over training seeds (none for
  one seed). The split is fixed. A margin is the student minus the fine-tuned teacher of the same seed.
- All methods had the same budget of student updates and batch size, rounded to whole epochs. The rows record the actual
  updates; MPDistil's include those of its base and of its curriculum.
- CPU time covers the method's own stages including their start-up; teacher and signals are made once and shared.
- Numbers in one table share profile, budget and selection. If a run was repeated, the row with the latest commit time
  counts; all rows stay in the file.
"""


def make_page(
    rows: Sequence[MethodResult],
    paper: Path,
    runs_name: str,
    *,
    notes: str = "",
    comparisons: Mapping[str, str] | None = None,
) -> str:
    """The whole page as Markdown; `comparisons`: title -> output of `reporting.compare`."""
    counted = latest_method_rows(rows)
    parts = [INTRODUCTION.format(runs=runs_name), *([notes] if notes else [])]
    for setup in dict.fromkeys(row.setup for row in counted):
        parts += _of_setup(setup, [row for row in counted if row.setup == setup])
    for title, comparison in (comparisons or {}).items():
        parts += [f"## Paired over rows, {title}: margins with intervals, wins, ranks", "", comparison]
    return "\n".join([*parts, paper_section(paper, "method", "{:+.1f}")])


def _of_setup(setup: Setup, rows: list[MethodResult]) -> list[str]:
    """All tables of one profile, budget and selection."""
    datasets = sorted({row.dataset for row in rows})
    methods = list(dict.fromkeys(row.method for row in rows))
    parts = [_heading(setup, rows), markdown_table(_margins(rows, methods, datasets))]
    shared = _on_shared_seeds(rows, datasets)
    if 0 < len(shared) < len(rows):
        parts += ["### The same on the seeds that all methods have", ""]
        parts += [markdown_table(_margins(shared, methods, datasets))]
    parts += ["### Scores, selection and effort", "", markdown_table(_details(rows, methods, datasets))]
    temperature = _temperature(rows, datasets)
    if temperature.rows:
        parts += ["### Pro-KD with and without its temperature", "", markdown_table(temperature)]
    return [*parts, _parameters(rows, methods)]


def _heading(setup: Setup, rows: list[MethodResult]) -> str:
    budget = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in json.loads(setup.budget).items())
    rows_of = {row.dataset: f"{row.dataset} {row.dev_rows / 100:.2g}" for row in rows}
    lines = [
        f"## Profile {setup.profile}, selected on {setup.selected_on}",
        "",
        f"- Budget: {budget}",
        f"- Grid: {_points(rows)}",
        f"- Machine: {'; '.join(sorted({row.machine for row in rows}))}",
        f"- Commits: {', '.join(sorted({row.commit[:10] for row in rows}))}",
        f"- Rows: {len(rows)}, {sum(row.cpu_s for row in rows) / 3600:.1f} h of CPU time for the students",
        f"- Dev rows behind one point: {', '.join(rows_of[name] for name in sorted(rows_of))}",
        "",
        "```sh",
        *sorted({row.command for row in rows}),
        "```",
        "",
        "### Margin to the teacher",
        "",
    ]
    return "\n".join(lines)


def _points(rows: Sequence[MethodResult]) -> str:
    """The number of settings tried for each method."""
    tried = {row.method: row.points for row in rows}
    if set(tried.values()) == {1}:
        return "1 point for every method: the profile's values, listed below; nothing was searched"
    return "best of N on selection: " + ", ".join(f"{method} {points}" for method, points in tried.items())


def _margins(rows: Sequence[MethodResult], methods: Sequence[str], datasets: Sequence[str]) -> Table:
    """Like MPDistil's Table 2: a method a line, and the mean over datasets where it ran on all."""
    metrics = {row.dataset: row.metric for row in rows}
    header = ["method", *(f"{name}\n{metrics[name]}" for name in datasets), "mean"]
    teacher = {name: {row.seed: row.dev.teacher for row in rows if row.dataset == name} for name in datasets}
    body = [["teacher (score)", *(spread_text(list(teacher[name].values()), "{:.1f}") for name in datasets), ""]]
    for method in methods:
        own = [row for row in rows if row.method == method]
        margins = [[r.dev.student - r.dev.teacher for r in own if r.dataset == name] for name in datasets]
        whole = [sum(own) / len(own) for own in margins if own]
        mean = spread_text([sum(whole) / len(whole)], "{:+.1f}") if len(whole) == len(datasets) else MISSING
        body.append([method, *(spread_text(own, "{:+.1f}") for own in margins), mean])
    return Table(header, body)


def _on_shared_seeds(rows: Sequence[MethodResult], datasets: Sequence[str]) -> list[MethodResult]:
    """For each dataset the rows of the seeds that every method ran with."""
    kept: list[MethodResult] = []
    for dataset in datasets:
        own = [row for row in rows if row.dataset == dataset]
        seeds = [{row.seed for row in own if row.method == method} for method in {row.method for row in own}]
        kept += [row for row in own if row.seed in set.intersection(*seeds)]
    return kept


def _details(rows: Sequence[MethodResult], methods: Sequence[str], datasets: Sequence[str]) -> Table:
    header = ["dataset", "method", "seeds", "dev", "on selection", "selection loss"]
    header += ["student updates", "teacher updates", "CPU s", "peak MB"]
    body: list[list[str]] = []
    for dataset in datasets:
        for method in methods:
            own = [row for row in rows if (row.method, row.dataset) == (method, dataset)]
            if own:
                scores = [spread_text([r.dev.student for r in own], "{:.1f}")]
                scores += [spread_text([r.selection.student for r in own], "{:.1f}")]
                scores += [f"{sum(r.selection_loss for r in own) / len(own):.3f}"]
                updates = [
                    f"{sum(values) / len(own):.0f}"
                    for values in zip(*((r.updates.student, r.updates.teacher, r.cpu_s) for r in own), strict=True)
                ]
                body.append(
                    [dataset, method, str(len(own)), *scores, *updates, f"{max(r.peak_memory_mb for r in own):.0f}"]
                )
    return Table(header, body, names=2)


def _temperature(rows: Sequence[MethodResult], datasets: Sequence[str]) -> Table:
    """The ablation of the paper's Table 10, on the seeds that both were run with."""
    body: list[list[str]] = []
    for dataset in datasets:
        sides = [
            {r.seed: r.dev.student for r in rows if (r.method, r.dataset) == (name, dataset)}
            for name in (ABLATED.name, f"{ABLATED.name}-without-{ABLATED.ablation}")
        ]
        both = sorted(set(sides[0]) & set(sides[1]))
        if both:
            values = [[side[seed] for seed in both] for side in sides]
            difference = [one - other for one, other in zip(*values, strict=True)]
            body.append(
                [
                    dataset,
                    str(len(both)),
                    *(spread_text(own, "{:.1f}") for own in values),
                    spread_text(difference, "{:+.1f}"),
                ]
            )
    return Table(["dataset", "seeds", "with it", "without it", "difference"], body)


def _parameters(rows: Sequence[MethodResult], methods: Sequence[str]) -> str:
    """The settings that each method ran with, as its rows recorded them."""
    found = {method: sorted({row.parameters for row in rows if row.method == method}) for method in methods}
    lines = [f"- {method}: {'; '.join(f'`{text}`' for text in texts)}" for method, texts in found.items()]
    return "\n".join(["### Parameters", "", *lines]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the page; 2 if a row can't be used, or there is none."""
    parser = page_parser("methods_results", "Make the page on all methods.", PAPER)
    parser.add_argument(
        "--comparison",
        action="append",
        default=[],
        metavar="TITLE=FILE",
        help="comparison.md of `python -m reporting.compare` on the same runs; may be given again",
    )
    options = parser.parse_args(arguments)
    try:
        rows = read_method_rows(options.runs)
        if not rows:
            raise ValueError(
                f"{options.runs}: no row has a method; run `python -m experiments.grid --methods ...` first"
            )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    titled = [given.rpartition("=")[::2] for given in options.comparison]
    comparisons = {title or "all": Path(path).read_text(encoding="utf-8") for title, path in titled}
    name = options.runs.name
    write_page(options.page, lambda notes: make_page(rows, options.paper, name, notes=notes, comparisons=comparisons))
    print(f"{options.page}: {len(latest_method_rows(rows))} runs from {len(rows)} rows")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
