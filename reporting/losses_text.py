"""Losses of one student in sentences and tables: tests, classes, rows, calibration, size and speed."""

import re
from collections.abc import Sequence

from records.base import Both
from reporting import wording
from reporting.classes import ClassLine
from reporting.lost_rows import SHOWN, ChangedRow
from reporting.shipping import Shipping
from reporting.statistics import Interval
from reporting.tables import Table

MARKS = {True: "\N{CHECK MARK}", False: "\N{MULTIPLICATION X}", None: "\N{EN DASH}"}


def signs(text: str) -> str:
    """A gate's figures with a real minus sign."""
    return re.sub(r"(?<![\w.])-(?=\d)", wording.MINUS, text)


def lost_text(one: Shipping) -> list[str]:
    """Summarise the student's losses for a quick reader."""
    scores = {who: wording.number_text(value, one.metric) for who, value in one.scores.items()}
    lines = [
        f"{one.metric[0].upper()}{one.metric[1:]} on dev {scores['student']} (teacher {scores['teacher']}): "
        f"{wording.both_text(one.margin, one.finetune, one.metric)} ({100 * one.margin.level:g} % intervals)."
    ]
    rows, lost, won = one.margin.rows, len(one.lost), len(one.won)
    if one.calibration:
        lines.append(
            f"Rows lost (teacher right, student wrong): {lost} of {rows}; won: {won}. The student gives the "
            f"teacher's answer on {percent(one.agreement)} of the rows."
        )
    else:
        lines.append(
            f"The student's answers go with the teacher's at a Pearson correlation of {wording.value_text(one.agreement, '{:.3f}')}."
        )
    lines += _classes_text(one)
    if one.calibration:
        lines += [_calibration_text(one)]
    return lines


def _classes_text(one: Shipping) -> list[str]:
    if not one.classes:
        return []
    if one.fell:
        fell = ", ".join(f"{line.name} {wording.difference_text(line.change, 'f1')}" for line in one.fell[:5])
        more = f" and {len(one.fell) - 5} more" if len(one.fell) > 5 else ""
        return [f"Classes that fell (F1, points): {fell}{more}."]
    known = [line for line in one.classes if line.rows]
    worst = min(known, key=lambda line: line.change.difference)
    text = "No class fell beyond its interval"
    if worst.change.difference < 0:
        text += f"; the largest change of F1 is {worst.name}, {wording.difference_text(worst.change, 'f1')} points"
    never = [line.name for line in known if line.student.recall.difference == 0]
    return [f"{text}." + (f" Never right on: {', '.join(never)}." if never else "")]


def _calibration_text(one: Shipping) -> str:
    own = one.calibration["student"]
    gap = own.confidence - own.right
    word = "more sure than right" if gap > 0 else "less sure than right"
    return (
        f"On average it is {100 * own.confidence:.0f} % sure and {100 * own.right:.0f} % right "
        f"({100 * abs(gap):.1f} points {word}); ECE {wording.value_text(own.ece, '{:.1f}', 100)} points "
        f"(chance alone: {100 * own.by_chance:.1f})."
    )


def percent(interval: Interval) -> str:
    """'92.0 % [89.1, 94.2]'."""
    bounds = wording.value_text(interval, "{:.1f}", 100)
    value, _, rest = bounds.partition(" ")
    return f"{value} % {rest}"


def registered_text(one: Shipping) -> str:
    """Describe the registered version."""
    if one.registered is None:
        return one.unregistered
    aliases = ", ".join(one.registered.aliases) or "no alias"
    text = f"{one.registered.name}, version {one.registered.version} ({aliases})"
    held = champion_text(one)
    return f"{text}; {held}" if held else text


def champion_text(one: Shipping) -> str:
    """Describe the present champion if it is not this version: 'version 2 stays champion, ...', or removed by hand.

    The tests alone would not say so: a student may pass all of them and not be champion.
    """
    if one.registered is None or one.registered.gate is None or "champion" in one.registered.aliases:
        return ""
    return signs(re.split(r"; (?:failed|passed|not asked): ", one.registered.gate)[0])


def test_table(one: Shipping) -> Table:
    """The gate's tests, one per line."""
    rows = []
    for check in one.verdict.checks:
        measured = signs(check.figure) if check.figure else "not asked"
        needed = signs(check.threshold if check.figure else check.text.removeprefix(check.name).strip(" ()"))
        rows.append([MARKS[check.passed], check.name, measured, needed])
    return Table(["", "test of the gate", "measured", "must be"], rows, names=4)


def class_table(one: Shipping) -> Table:
    """Precision, recall and F1 of each class, teacher and student; the largest falls first."""
    pairs = [text for name in ("precision", "recall", "F1") for text in (f"{name}\nteacher", "\nstudent")]
    header = ["class", "dev\nrows", *pairs, "F1, change\nin points", ""]
    order = sorted(one.classes, key=lambda line: line.change.difference)
    return Table(header, [_class_row(line) for line in order])


def _class_row(line: ClassLine) -> list[str]:
    pairs = [
        _cell(getattr(scores, name))
        for name in ("precision", "recall", "f1")
        for scores in (line.teacher, line.student)
    ]
    change = wording.difference_text(line.change, "f1").replace(" [", "\n[")
    said = "fell" if line.fell else "rose" if line.change.low is not None and line.change.low > 0 else ""
    return [line.name, str(line.rows), *pairs, change, said]


def _cell(interval: Interval) -> str:
    """'92.0' above '[89, 94]'; a dash without rows."""
    if not interval.rows:
        return "\N{EN DASH}"
    return wording.value_text(interval, "{:.0f}", 100).replace(" [", "\n[")


def cost_table(one: Shipping) -> Table:
    """Size, memory, latency and throughput: teacher, student, and the ratio."""
    e, latency = one.measured, one.measured.latency_ms
    rows = [
        _cost_row("parameters", e.parameters, wording.count_text, smaller=True),
        _cost_row("weights on disk, MB", e.size_bytes, megabytes, smaller=True),
    ]
    if e.memory_bytes is not None:
        label = f"memory of a pass over {e.memory_bytes.batch} rows, MB"
        rows.append(_cost_row(label, e.memory_bytes.totals, megabytes, smaller=True))
    for name, values in (("p50", latency.medians), ("p95", latency.slow)):
        label = f"latency {name}, batch {latency.batch}, ms"
        rows.append(_cost_row(label, values, wording.milliseconds_text, smaller=True))
    if e.throughput is not None:
        rows.append(_cost_row(f"rows a second, batch {e.throughput.batch}", e.throughput, _whole, smaller=False))
    return Table(["", "teacher", "student", "student is"], [row for row in rows if row])


def _cost_row(label: str, values: Both[int] | Both[float], shown: "wording.Shown", *, smaller: bool) -> list[str]:
    teacher, student = values.teacher, values.student
    if not student or not teacher:
        return []
    ratio = teacher / student if smaller else student / teacher
    good, bad = ("smaller", "larger") if "MB" in label or label == "parameters" else ("faster", "slower")
    said = f"{ratio:.1f} times {good}" if ratio >= 1 else f"{1 / ratio:.1f} times {bad}"
    return [label, shown(teacher), shown(student), said if f"{max(ratio, 1 / ratio):.1f}" != "1.0" else "the same"]


def rows_table(one: Shipping, rows: Sequence[ChangedRow]) -> Table:
    """Some example rows with their texts."""
    body = []
    for row in rows[:SHOWN]:
        said = _said(row.teacher, row.teacher_confidence), _said(row.student, row.student_confidence)
        body.append([row.row_id, row.label, *said, one.texts.get(row.row_id, "")])
    return Table(["row", "label", "teacher says", "student says", "text"], body, names=5)


def _said(answer_: str, confidence: float | None) -> str:
    return answer_ if confidence is None else f"{answer_} ({100 * confidence:.0f} %)"


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def megabytes(count: float) -> str:
    """Millions of bytes."""
    return f"{count / 1e6:.1f}"


def cost_note(one: Shipping) -> str:
    """Describe the measurements of the cost table."""
    made = one.measured.latency_ms
    return (
        f"CPU, {made.threads} thread{'s' * (made.threads != 1)}, {made.length} tokens a row, both models in turns, without tokenising. Memory: "
        "weights in float32 and the most that one pass holds at a time; Python and its libraries come on top."
    )


def size_text(one: Shipping) -> str:
    """Size and speed in one sentence."""
    e, latency = one.measured, one.measured.latency_ms
    parts = [f"{megabytes(e.size_bytes.student)} MB on disk (teacher {megabytes(e.size_bytes.teacher)})"]
    if e.memory_bytes is not None:
        memory = e.memory_bytes.totals
        parts.append(f"{megabytes(memory.student)} MB of memory ({megabytes(memory.teacher)})")
    p50, p95 = (
        f"{wording.milliseconds_text(values.student)} ms ({wording.milliseconds_text(values.teacher)})"
        for values in (latency.medians, latency.slow)
    )
    parts.append(f"latency at batch {latency.batch}: p50 {p50}, p95 {p95}")
    if e.throughput is not None:
        rates = f"{_whole(e.throughput.student)} rows a second ({_whole(e.throughput.teacher)})"
        parts.append(f"{rates} at batch {e.throughput.batch}")
    return "; ".join(parts) + "."
