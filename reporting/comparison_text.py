"""A comparison in words and tables: for a terminal, in Markdown, and as the tables of the page."""

from dataclasses import asdict

from reporting import wording
from reporting.comparison import NOT_RUN, Comparison
from reporting.effort import Effort
from reporting.margins import Margin
from reporting.ranking import p_text
from reporting.tables import MOST_COLUMNS, Table, markdown_table, split_columns, terminal_lines

DASH = "\N{EN DASH}"


def margin_table(comparison: Comparison) -> Table:
    """Like MPDistil's Table 2: margins to the teacher, mean over datasets, wins against the baseline, average rank.

    A cell is the mean margin ± sd over seeds, and under it the interval over dev rows and seeds.
    """
    ranking = comparison.ranking
    header = [
        "method",
        *(f"{name}\n{metric}" for name, metric in comparison.datasets.items()),
        _mean_header(comparison),
    ]
    header += [f"wins/ties/losses\nagainst {comparison.baseline}", "average\nrank"]
    header += ["Wilcoxon,\nHolm: p"] if ranking.wilcoxon else []
    scores = [wording.score_text(comparison.teacher[name], metric) for name, metric in comparison.datasets.items()]
    rows = [["teacher (score)", *scores, *([""] * (len(header) - len(scores) - 1))]]
    for line in comparison.lines:
        margins = {name: cell.margin for name, cell in line.cells.items()}
        cells = [_margin_text(margins.get(name), metric) for name, metric in comparison.datasets.items()]
        rank = f"{ranking.average[line.method]:.1f}" if line.method in ranking.average else DASH
        held = "baseline" if line.method == comparison.baseline else f"{line.wins}/{line.ties}/{line.losses}"
        p = ranking.wilcoxon.get(line.method)
        tested = ["" if p is None else p_text(p)] if ranking.wilcoxon else []
        rows.append([line.method, *cells, _margin_text(line.average, "accuracy"), held, rank, *tested])
    return Table(header, rows)


def _mean_header(comparison: Comparison) -> str:
    """Describe the number of datasets behind the mean, if some are left out."""
    every = len(comparison.datasets)
    kept = every - len(comparison.left_out)
    return "mean over\ndatasets" if kept == every else f"mean over\n{kept} of {every}"


def effort_table(comparison: Comparison) -> Table:
    """Tabulate each method's training cost, means over datasets and seeds; beside it the grid points tried."""
    header = ["method", "points\ntried", "labelled\nrows", "of other\ndatasets", "for its\nteacher"]
    header += ["student\nupdates", "to the\nkept", "teacher\nupdates", "CPU time\nof training"]
    header += [f"times\n{comparison.baseline}", "peak\nmemory"]
    base = next((line.effort for line in comparison.lines if line.method == comparison.baseline), None)
    rows = []
    for line in comparison.lines:
        points = str(comparison.points.get(line.method, 1))
        rows.append([line.method, points, *_effort_cells(line.effort, base)])
    return Table(header, rows)


def notes(comparison: Comparison) -> list[str]:
    """Explain the tables and their limits, one or two sentences per line."""
    seeds = wording.seeds_text(comparison.seeds)
    chosen, note = wording.selected_text(comparison.selected_on), comparison.ranking.note
    found = [
        f"Margin: student minus teacher on dev, in points of the primary metric; {seeds}; {chosen}.",
        brackets_text(comparison),
        f"Win, tie, loss: the method minus {comparison.baseline} on the same rows and seeds; a tie is an interval that "
        "includes 0.",
        *_behind_a_point(comparison),
        *(
            [f"In no mean, rank, win, tie or loss: {wording.left_out_text(comparison.left_out)}."]
            if comparison.left_out
            else []
        ),
        f"{note[0].upper()}{note[1:].rstrip('.')}.",
        points_text(comparison),
        budget_text(comparison),
        "Labelled rows: what the student was trained on, of its dataset and of others; beside them those that only its "
        "teacher learnt from (quiz, or lgtm's feedback). Updates are all that were made; 'to the kept' counts until the "
        "student had the weights that selection chose. MPDistil's are its base's and its curriculum's together.",
        "CPU time is that of the method's own stages; teacher and signals are made once for each dataset and seed and "
        "shared, and are not in it. A stage's start counts.",
    ]
    for line in comparison.lines:
        reasons = {
            reason if reason != NOT_RUN else f"{line.method}, {name}: {reason}" for name, reason in line.missing.items()
        }
        found += [f"Gap: {reason}." for reason in sorted(reasons)]
    return found + [f"{note}." for note in comparison.notes]


def _behind_a_point(comparison: Comparison) -> list[str]:
    """Rows per point of accuracy; none for other metrics."""
    shares = [
        f"{name} {comparison.dev_rows[name] / 100:.2g}"
        for name, metric in comparison.datasets.items()
        if metric == "accuracy"
    ]
    return [f"Rows behind one point of accuracy: {', '.join(shares)}."] if shares else []


def brackets_text(comparison: Comparison) -> str:
    """Explain the sources of chance in the intervals, and why several seeds widen them."""
    text = f"Brackets: {100 * comparison.level:g} % interval of the paired difference over dev"
    if len(comparison.seeds) == 1:
        return f"{text} rows; it says nothing of another training seed."
    return (
        f"{text} rows and training seeds: of the mean over all seeds, not of these {len(comparison.seeds)} alone. With two or "
        "three seeds it is wide, because so few say little of the others."
    )


def budget_text(comparison: Comparison) -> str:
    """Describe which methods had the rows and updates of the baseline, and which had others."""
    # By dataset: one that a method did not run on says nothing of its budget.
    budgets = {
        line.method: {name: _budget(cell.effort) for name, cell in line.cells.items() if cell.effort is not None}
        for line in comparison.lines
    }
    base = budgets.pop(comparison.baseline)
    different = [
        method
        for method, by_dataset in budgets.items()
        if any(budget != base[name] for name, budget in by_dataset.items() if name in base)
    ]
    if not base:
        return f"Rows and updates can't be compared: those of {comparison.baseline} are not recorded."
    if not different:
        return f"All methods trained on as many labelled rows, in as many updates, as {comparison.baseline}."
    return (
        f"Other labelled rows or updates than {comparison.baseline}: {', '.join(different)}. What a margin owes to those, "
        "and what to the method, these tables can't tell."
    )


def _budget(effort: Effort) -> tuple[float | None, ...]:
    return (effort.train_rows, effort.other_rows, effort.feedback_rows, effort.student_updates)


def points_text(comparison: Comparison) -> str:
    """Describe the number of settings tried per method, and the criterion."""
    tried = {line.method: comparison.points.get(line.method, 1) for line in comparison.lines}
    if set(tried.values()) == {1}:
        return "Every method was run at one setting; no grid was searched."
    counts = ", ".join(f"{name} {count}" for name, count in tried.items())
    fair = (
        "the same number for all" if len(set(tried.values())) == 1 else "not the same number for all: unfair to the few"
    )
    return f"Best of N on selection, never on dev: {counts} ({fair})."


def terminal_text(comparison: Comparison) -> str:
    """Both tables and the notes for a terminal."""
    tables = [*split_columns(margin_table(comparison), MOST_COLUMNS), effort_table(comparison)]
    return "\n".join([*(line for table in tables for line in (*terminal_lines(table), "")), *notes(comparison)])


def markdown_text(comparison: Comparison) -> str:
    """Both tables and the notes in Markdown."""
    bullets = "\n".join(f"- {note}" for note in notes(comparison))
    return (
        "\n".join([markdown_table(margin_table(comparison)), markdown_table(effort_table(comparison)), bullets]) + "\n"
    )


def comparison_tree(comparison: Comparison) -> dict[str, object]:
    """All numbers as JSON; scores and margins are fractions."""
    return {
        "unit": "fractions (100 times them are points)",
        "protocol": wording.selected_text(comparison.selected_on),
        **asdict(comparison),
    }


def _margin_text(margin: Margin | None, metric: str) -> str:
    """'−1.2 ± 0.8' above '[−3.0, +0.5]'; or a note that there are too few rows for an interval."""
    if margin is None:
        return DASH
    middle, sd = wording.number_text(margin.interval.difference, metric, signed=True), margin.over_seeds.sd
    spread = "" if sd is None else f" ± {wording.number_text(sd, metric)}"
    return f"{middle}{spread}\n{wording.bounds_text(margin.interval, metric)}"


def _effort_cells(effort: Effort | None, base: Effort | None) -> list[str]:
    if effort is None:
        return [DASH] * 9
    counts = (*_budget(effort), effort.kept_updates, effort.teacher_updates)
    times = DASH if base is None or not base.cpu_s else f"{effort.cpu_s / base.cpu_s:.2f}"
    return [
        *map(wording.rows_of, counts),
        wording.duration_text(effort.cpu_s),
        times,
        f"{effort.peak_memory_mb:.0f} MB",
    ]
