"""Numbers for people: points of 100, mean ± sd, intervals, and the compact table of `make demo`."""

from collections.abc import Callable, Mapping, Sequence

from config.methods import BASELINE
from epoch_choice import IN_WORDS
from kinds import LOWER_IS_BETTER
from reporting.effort import Effort
from reporting.statistics import Interval, Spread
from reporting.summarise import DatasetSummary, Margin, Summary
from reporting.tables import Table, grouped, terminal_lines

MINUS = "\N{MINUS SIGN}"
NO_INTERVAL = "[no interval: too few rows]"
ARROW = "\N{RIGHTWARDS ARROW}"
# With more methods than this the main table leaves them to the comparison.
SHOWN_METHODS = 4
Shown = Callable[[float], str]


def number_text(value: float, metric: str, *, signed: bool = False) -> str:
    """A score in points (of 100) with one decimal; losses and squared errors unscaled, with three."""
    if metric in LOWER_IS_BETTER:
        text = f"{value:+.3f}" if signed else f"{value:.3f}"
    else:
        text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    zero = not any(digit in "123456789" for digit in text)
    return text.lstrip("+-") if zero else text.replace("-", MINUS)


def score_text(spread: Spread | None, metric: str) -> str:
    """'84.2 ± 1.3', '84.2' for one seed, and a dash without a value."""
    if spread is None:
        return "\N{EN DASH}"
    mean = number_text(spread.mean, metric)
    return mean if spread.sd is None else f"{mean} ± {number_text(spread.sd, metric)}"


def difference_text(interval: Interval, metric: str) -> str:
    """'−1.2 [−3.0, +0.5]': a difference, e.g. to the teacher, and its interval over dev rows and seeds."""
    return f"{number_text(interval.difference, metric, signed=True)} {bounds_text(interval, metric)}"


def bounds_text(interval: Interval, metric: str) -> str:
    """'[−3.0, +0.5]', or '[no interval: too few rows]'."""
    if interval.low is None or interval.high is None:
        return NO_INTERVAL
    low, high = (number_text(end, metric, signed=True) for end in (interval.low, interval.high))
    return f"[{low}, {high}]"


def both_text(teacher: Interval, finetune: Interval | None, metric: str) -> str:
    """'−1.2 [..] to its teacher, +2.0 [..] to finetune'."""
    text = f"{difference_text(teacher, metric)} to its teacher"
    return text if finetune is None else f"{text}, {difference_text(finetune, metric)} to finetune"


def value_text(interval: Interval, form: str, scale: float = 1.0) -> str:
    """'92.0 [89.1, 94.2]' for an unsigned value, in a format like '{:.1f}'."""
    value = form.format(scale * interval.difference)
    if interval.low is None or interval.high is None:
        return f"{value} {NO_INTERVAL}"
    return f"{value} [{form.format(scale * interval.low)}, {form.format(scale * interval.high)}]"


def left_out_text(left_out: Mapping[str, str]) -> str:
    """'wnli, rte (teacher no better than the majority)'."""
    by_reason = grouped((why, name) for name, why in left_out.items())
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in by_reason.items())


def rows_text(margin: Margin, metric: str) -> str:
    """Express a margin in dev rows, e.g. '3.6 points = 10 of 277 rows'."""
    rows = margin.interval.rows
    if margin.rows_more_right is None:
        return f"measured on {rows} rows; {metric} is no share of rows"
    more = f"{abs(margin.rows_more_right):.1f}".removesuffix(".0")
    if metric == "accuracy":
        points = number_text(abs(margin.interval.difference), metric)
        return f"a difference of {points} points = {more} of {rows} rows"
    direction = "fewer" if margin.rows_more_right < 0 else "more"
    return f"{more} of {rows} rows {direction} right; {metric} is no share of rows"


def verdict_text(margin: Margin) -> str:
    """Interpret an interval of a higher-is-better metric."""
    found = margin.interval
    if found.low is None or found.high is None:
        return found.method
    if found.high < 0:
        return "below the teacher"
    if found.low > 0:
        return "above the teacher"
    return "not told apart from the teacher"


def interval_text(seeds: Sequence[int]) -> str:
    """The sources of chance that an interval covers."""
    return "rows" if len(seeds) == 1 else f"rows and {len(seeds)} seeds"


def seeds_text(seeds: Sequence[int]) -> str:
    """The meaning of ±."""
    if len(seeds) == 1:
        return "one seed, no spread"
    return f"mean ± standard deviation over {len(seeds)} seeds of training (one split)"


def selected_text(selected_on: str) -> str:
    """Name the rows that chose epochs and episodes; on dev, this is the label of every number."""
    return "selected on dev" if selected_on == "dev" else "selected on selection, reported on dev"


def on_dev_text(selected_on: str) -> str:
    """The required label of a picture or a line of dev numbers."""
    return ", selected on dev" if selected_on == "dev" else ""


def label_text(selected_on: str) -> str:
    """The same in brackets."""
    return " (selected on dev)" if selected_on == "dev" else ""


def chosen_text(summary: Summary) -> str:
    """Describe how selection rows chose epochs, episodes, and searched settings."""
    by = IN_WORDS[summary.selected_by]
    if summary.points == 1:
        return f"Epochs and episodes were chosen by {by}"
    return (
        f"Epochs, episodes and the settings of each teacher and student (the best of {summary.points} of learning rate and "
        f"main weight) were chosen by {by}"
    )


def count_text(count: float) -> str:
    """22713216 -> '22.7 M'."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return f"{count:.0f}"


def milliseconds_text(value: float | None) -> str:
    """A latency with two significant decimals under 10 ms, one above."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def duration_text(seconds: float) -> str:
    """'42 s', '3 min 05 s', '2 h 10 min'."""
    whole = round(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def latency_setting_text(batch: int, length: int, threads: int, repeats: int) -> str:
    """'batch 1, length 64, 1 thread, 30 repeats'."""
    return f"batch {batch}, length {length}, {threads} thread{'s' * (threads != 1)}, {repeats} repeats"


def taken_text(effort: Effort) -> str:
    """'750 rows, 120 updates (96 to the weights kept)': rows and updates of a student's training."""
    parts = [f"{rows_of(effort.train_rows)} rows"]
    if effort.other_rows:
        parts.append(f"{rows_of(effort.other_rows)} of other datasets")
    if effort.feedback_rows:
        parts.append(f"{rows_of(effort.feedback_rows)} for its teacher alone")
    updates = f"{rows_of(effort.student_updates)} updates ({rows_of(effort.kept_updates)} to the weights kept)"
    return f"{' + '.join(parts)}, {updates}"


def rows_of(count: float | None) -> str:
    """A number of rows or updates, possibly a mean; a dash if it is not recorded."""
    return "\N{EN DASH}" if count is None else f"{count:.0f}"


def shown_columns(summary: Summary) -> dict[str, str]:
    """The columns of the main table: all of a few methods, otherwise the plain student and the main one."""
    if len(summary.methods) <= SHOWN_METHODS:
        return summary.columns
    kept = ("teacher", BASELINE, "meta_teacher", summary.main_method)
    return {column: label for column, label in summary.columns.items() if column in kept}


def score_cells(summary: Summary, scores: Mapping[str, Spread], margin: Margin, metric: str) -> list[str]:
    """The cells of the main table: the score of every shown column, and the margin."""
    shown = [score_text(scores.get(column), metric) for column in shown_columns(summary)]
    return [*shown, difference_text(margin.interval, metric)]


def mean_cells(summary: Summary) -> list[str]:
    """The cells of the mean over datasets."""
    return score_cells(summary, summary.average_scores, summary.average_margins[summary.main_method], "accuracy")


def terminal_table(summary: Summary) -> str:
    """The compact table at the end of `make demo`: scores in points on dev, one row per dataset."""
    header = ["dataset", "metric", *shown_columns(summary).values()]
    header += ["margin to the teacher", "parameters", "latency p50 ms"]
    rows = [_terminal_row(summary, one) for one in summary.datasets]
    if len(rows) > 1 and summary.average_scores:
        left = len(summary.findings.left_out)
        of = f"of {len(summary.datasets) - left} of {len(summary.datasets)}" if left else ""
        rows.append(["mean", of, *mean_cells(summary), "", ""])
    main = summary.columns[summary.main_method]
    setting = latency_setting_text(**summary.datasets[0].latency_setting)
    notes = [
        f"{seeds_text(summary.seeds)}; {selected_text(summary.selected_on)}",
        f"margin: {main} minus teacher in points, {100 * summary.level:g} % interval over dev {interval_text(summary.seeds)}",
        f"parameters and latency: teacher {ARROW} student; CPU, {setting}",
        *_taken_lines(summary),
    ]
    # Labels are broken at their first space.
    table = Table([label.replace(" ", "\n", 1) for label in header], rows, names=2)
    return "\n".join([*terminal_lines(table), *notes])


def _taken_lines(summary: Summary) -> list[str]:
    """Labelled rows and updates of each method, needed for a fair comparison."""
    if not summary.efforts:
        return []
    mean = ", mean over datasets" if len(summary.datasets) > 1 else ""
    lines = [f"  {summary.columns[method]}: {taken_text(effort)}" for method, effort in summary.efforts.items()]
    return [f"labelled rows and updates of a student{mean}:", *lines]


def _terminal_row(summary: Summary, one: DatasetSummary) -> list[str]:
    method, teacher = summary.main_method, one.models["teacher"]
    student = one.models[method]
    return [
        one.name,
        one.headline,
        *score_cells(summary, one.scores, one.margins[method], one.headline),
        f"{count_text(teacher.parameters)} {ARROW} {count_text(student.parameters)}",
        f"{milliseconds_text(teacher.p50_ms)} {ARROW} {milliseconds_text(student.p50_ms)}",
    ]
