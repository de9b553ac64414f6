"""The tests of a student itself, independent of any champion, on all of its dev rows."""

from dataclasses import dataclass

from config.stages import Registry
from kinds import KINDS, LOWER_IS_BETTER
from records.registered import Check
from reporting.statistics import Interval, paired_interval
from reporting.verdict.check_result import FINETUNE, LIMITS, MARGIN, ROWS, STUDENT, TEACHER, unasked
from reporting.verdict.dev_rows import NOT_EVALUATED, Array, DevRows

LEARNED = 0.999
"""Minimum level of the tests against the majority. They may run every night, also on a teacher that learned nothing: at
90 % its student would pass on about 4 % of the nights, one a month, at 99.9 % on 0.1 % at most (experiments/shuffled.py)."""
GUESSABLE = ("f1", "macro_f1")


@dataclass(frozen=True)
class Points:
    """An interval of a difference in points, higher is better; without ends if there are too few rows."""

    difference: float
    low: float | None
    high: float | None
    text: str


def own_checks(rows: DevRows, settings: Registry) -> tuple[Check, ...]:
    """All tests except that against the present champion, in order."""
    return (
        _limits(rows, settings),
        _enough_rows(rows, settings),
        _above_majority(TEACHER, rows, rows.teacher, settings),
        _above_majority(STUDENT, rows, rows.student, settings),
        _margin(rows, settings),
        _not_worse_than_finetune(rows, settings),
    )


def points(rows: DevRows, interval: Interval, metric: str | None = None, near: float = 0.0) -> Points:
    """A difference in the primary metric, or in another score, with its interval, in points.

    `near` is the threshold that the interval's ends are compared with: an end that differs from it gets as many
    decimals, up to four, as show the difference.
    """
    metric = metric or rows.metric
    scale = rows.scale
    ends = None if interval.low is None or interval.high is None else (scale * interval.low, scale * interval.high)
    low, high = (None, None) if ends is None else (min(ends), max(ends))
    if low is None or high is None:
        shown = "no interval: too few rows"
    else:
        shown = ", ".join(_signed(end, near) for end in (low, high))
    unit = "points" if metric not in LOWER_IS_BETTER else "points of the constant's error"
    difference = scale * interval.difference
    return Points(difference, low, high, f"{metric} {_signed(difference)} {unit} [{shown}]")


def _limits(rows: DevRows, settings: Registry) -> Check:
    parameters, latency = settings.max_parameters, settings.max_latency_ms
    if parameters is None and latency is None:
        return unasked(LIMITS, "neither registry.max_parameters nor registry.max_latency_ms is set")
    figures, thresholds, broken = [], [], False
    if parameters is not None:
        figures.append(f"{rows.parameters:,} parameters")
        thresholds.append(f"registry.max_parameters {parameters:,}")
        broken = rows.parameters > parameters
    if latency is not None:
        figures.append(f"{rows.latency_ms:.2f} ms")
        thresholds.append(f"registry.max_latency_ms {latency:g}")
        broken = broken or rows.latency_ms > latency
    return _check(LIMITS, not broken, " and ".join(figures), " and ".join(thresholds), ("within", "not within"))


def _enough_rows(rows: DevRows, settings: Registry) -> Check:
    passed = rows.rows >= settings.minimum_rows
    threshold = f"registry.minimum_rows {settings.minimum_rows}"
    return _check(ROWS, passed, f"{rows.rows:,} dev rows", threshold, ("at least", "below"))


def _above_majority(name: str, rows: DevRows, logits: Array, settings: Registry) -> Check:
    """Test whether a model beats the constant: the interval must lie above 0.

    Guessing at random has a higher F1 or macro-F1 than a constant, so with these labels and answers must go together,
    too: Matthews' coefficient, which is 0 for a guess and for a constant. Where the rows are too few for the interval of
    macro-F1 and enough for that of Matthews, this one decides; the difference in macro-F1 must be on the same side.
    """
    level = max(settings.level, LEARNED)
    metrics = (rows.metric, "matthews") if rows.metric in GUESSABLE else (rows.metric,)
    found = [points(rows, _interval(rows, logits, rows.constants, level, metric), metric) for metric in metrics]
    asked = [one for one in found if one.low is not None] or found
    passed = all(one.low is not None and one.low > 0 for one in asked) and all(one.difference > 0 for one in found)
    shown = name.replace("majority", KINDS[rows.kind].constant_name)
    figure, threshold = " and ".join(one.text for one in found), f"0 at {_percent(level)}"
    return _check(name, passed, figure, threshold, ("above", "not above"), shown)


def _margin(rows: DevRows, settings: Registry) -> Check:
    """Non-inferiority: the interval's lower end must lie above the margin."""
    found = points(rows, _interval(rows, rows.student, rows.teacher, settings.level), near=settings.margin)
    passed = found.low is not None and found.low > settings.margin
    threshold = f"registry.margin {settings.margin:+.1f} at {_percent(settings.level)}"
    return _check(MARGIN, passed, found.text, threshold, ("lower end above", "lower end not above"))


def _not_worse_than_finetune(rows: DevRows, settings: Registry) -> Check:
    threshold = f"wholly below 0 at {_percent(settings.level)}"
    if rows.finetune is None:
        if rows.no_finetune == NOT_EVALUATED:
            return Check(FINETUNE, False, "", threshold, f"{FINETUNE} ({NOT_EVALUATED})")
        return unasked(FINETUNE, rows.no_finetune, threshold)
    found = points(rows, _interval(rows, rows.student, rows.finetune, settings.level))
    if found.low is None:
        return unasked(FINETUNE, f"{rows.rows} dev rows are too few for an interval", threshold)
    worse = found.high is not None and found.high < 0
    check = _check(FINETUNE, not worse, found.text, threshold, ("not", "interval"))
    if not worse or not _above_majority(STUDENT, rows, rows.finetune, settings).passed:
        return check  # of a dataset that teaches nothing no student is the one to take
    return Check(check.name, False, check.figure, threshold, f"{check.text}: the fine-tuned student is the one to take")


def _interval(rows: DevRows, first: Array, second: Array, level: float, metric: str | None = None) -> Interval:
    """The interval of a difference in the primary metric, or another one."""
    return paired_interval(metric or rows.metric, rows.kind, rows.labels, [first], [second], level)


def _check(
    name: str, passed: bool, figure: str, threshold: str, words: tuple[str, str], shown: str | None = None
) -> Check:
    """A test as one clause: name, figure, result (passed, failed), threshold."""
    word = words[0] if passed else words[1]
    return Check(name, passed, figure, f"{words[0]} {threshold}", f"{shown or name}: {figure}, {word} {threshold}")


def _signed(value: float, near: float | None = None) -> str:
    """One signed decimal, more if it would be rounded to `near`; zero has no sign."""
    digits = 1
    while near is not None and value != near and digits < 4 and f"{value:.{digits}f}" == f"{near:.{digits}f}":
        digits += 1
    text = f"{value:+.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def _percent(level: float) -> str:
    return f"{100 * level:g} %"
