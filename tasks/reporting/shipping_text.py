"""The first screen in words and tables: may it be shipped, and what is lost."""

import re
from collections.abc import Mapping, Sequence

from tasks.reporting import wording
from tasks.reporting.classes import ClassLine
from tasks.reporting.findings import Best, Findings
from tasks.reporting.lost_rows import SHOWN, ChangedRow, texts_of
from tasks.reporting.shipping import Shipping
from tasks.reporting.summarise import Summary
from tasks.reporting.tables import Table
from training.running.metrics import LOWER_IS_BETTER
from training.statistics import Interval

MARKS = {True: "\N{CHECK MARK}", False: "\N{MULTIPLICATION X}", None: "\N{EN DASH}"}
WIDE = 0.2
"""An interval of the margin wider than this is no basis for a decision."""


def answer(one: Shipping) -> str:
    """'Yes', or 'No'."""
    return "Yes" if one.verdict.passed else "No"


def verdict_line(one: Shipping) -> str:
    """The answer for one student, with the tests that decide it."""
    who = f"{one.dataset}, {one.method} (seed {one.seed})"
    failed = one.verdict.failed
    if not failed:
        asked = sum(check.passed is True for check in one.verdict.checks)
        return f"{who}: yes, it passes all {asked} tests of the gate"
    return f"{who}: no. {signs('; '.join(check.text for check in failed))}"


def signs(text: str) -> str:
    """A gate's figures with a real minus sign."""
    return re.sub(r"(?<![\w.])-(?=\d)", wording.MINUS, text)


def summary_answer(shipped: Mapping[str, Sequence[Shipping]]) -> str:
    """Which students may be shipped, in a sentence or two; by name, because the main method's need not be the one."""
    passed: dict[str, list[str]] = {}
    for name, parts in shipped.items():
        methods = [part.method for part in parts if part.verdict.passed]
        if methods:
            passed.setdefault(" or ".join(methods), []).append(name)
    none = [name for name in shipped if not any(name in names for names in passed.values())]
    if len(shipped) == 1 and none:
        return f"No. {_failed(next(iter(shipped.values()))[0])}"
    yes = [
        f"Yes, {method}" + (f" for {', '.join(names)}" if len(shipped) > 1 else "") for method, names in passed.items()
    ]
    return ". ".join([*yes, f"No for {', '.join(none)}"] if none else yes) + "."


def _failed(one: Shipping) -> str:
    """Which tests a student fails, by name."""
    return f"{one.method} fails: {', '.join(check.name for check in one.verdict.failed)}."


def alarms(findings: Findings) -> list[str]:
    """What the first line must warn of: methods that lose to fine-tuning, teachers with nothing to teach."""
    lines = []
    for name in dict.fromkeys(loss.dataset for loss in findings.losses):
        lost = ", ".join(
            f"{loss.method} {wording.difference_text(loss.interval, loss.metric)}"
            for loss in findings.losses
            if loss.dataset == name
        )
        lines.append(f"{name}: distilling lost. Against finetune, in points: {lost}.")
    return lines + [
        f"{name}: {why}; nothing to distil, left out of means and tests." for name, why in findings.left_out.items()
    ]


def short_alarms(findings: Findings) -> str:
    """The same in a few words, for a line."""
    parts = []
    if findings.losses:
        names = {
            name: [loss.method for loss in findings.losses if loss.dataset == name]
            for name in dict.fromkeys(loss.dataset for loss in findings.losses)
        }
        parts.append(
            "; ".join(f"on {name} {' and '.join(methods)} lost to finetune" for name, methods in names.items())
        )
    if findings.left_out:
        parts.append(left_out_text(findings))
    return f"WARNING: {'; '.join(parts)}. " if parts else ""


def left_out_text(findings: Findings) -> str:
    """'left out: wnli (teacher no better than the majority)'."""
    by_reason: dict[str, list[str]] = {}
    for name, why in findings.left_out.items():
        by_reason.setdefault(why, []).append(name)
    return "left out: " + "; ".join(f"{', '.join(names)} ({why})" for why, names in by_reason.items())


def best_lines(summary: Summary) -> list[str]:
    """The best student of the mean over datasets, then of each."""
    findings = summary.findings
    lines = []
    if findings.overall is not None:
        lines.append(f"{mean_of(summary)}: {best_text(findings.overall, 'accuracy')}")
    metrics = {one.name: one.headline for one in summary.datasets}
    lines += [f"{name}: {best_text(best, metrics[name])}" for name, best in findings.best.items()]
    return lines


def mean_of(summary: Summary) -> str:
    """'mean over 2 of 4 datasets'."""
    out, all_of = len(summary.findings.left_out), len(summary.datasets)
    return f"mean over {all_of - out} of {all_of} datasets" if out else f"mean over {all_of} datasets"


def best_text(best: Best, metric: str) -> str:
    """'best student mpdistil, not told apart from mse_kd; −1.2 [..] to its teacher, +2.0 [..] to finetune'."""
    if best.named:
        name = f"best student {best.method}"
    else:
        shown = ", ".join(best.not_apart[:4]) + (
            f" and {len(best.not_apart) - 4} more" if len(best.not_apart) > 4 else ""
        )
        name = f"highest {best.method}, not told apart from {shown}"
    text = f"{name}; {wording.difference_text(best.margin, metric)} to its teacher"
    if best.finetune is None:
        return text
    return f"{text}, {wording.difference_text(best.finetune, metric)} to finetune"


def lost_text(one: Shipping) -> list[str]:
    """What is lost, in sentences for a reader of two minutes."""
    scores = {who: wording.number_text(value, one.metric) for who, value in one.scores.items()}
    lines = [
        f"{one.metric} on dev {scores['student']} (teacher {scores['teacher']}): "
        f"{wording.difference_text(one.margin, one.metric)} to its teacher"
        + ("" if one.finetune is None else f", {wording.difference_text(one.finetune, one.metric)} to finetune")
        + f" ({100 * one.margin.level:g} % intervals)."
    ]
    rows, lost, won = one.margin.rows, len(one.lost), len(one.won)
    if one.calibration:
        lines.append(
            f"{lost} of {rows} dev rows are lost (teacher right, student wrong), {won} are won. The student gives the "
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


def test_table(one: Shipping) -> Table:
    """The gate's tests, one a line."""
    rows = []
    for check in one.verdict.checks:
        measured = signs(check.figure) if check.figure else "not asked"
        needed = signs(check.threshold if check.figure else check.text.removeprefix(check.name).strip(" ()"))
        rows.append([MARKS[check.passed], check.name, measured, needed])
    return Table(["", "test of the gate", "measured", "must be"], rows, names=4)


def class_table(one: Shipping) -> Table:
    """Precision, recall and F1 of each class, teacher and student; the largest fall first."""
    header = [
        "class",
        "dev\nrows",
        "precision\nteacher",
        "\nstudent",
        "recall\nteacher",
        "\nstudent",
        "F1\nteacher",
        "\nstudent",
        "F1, change\nin points",
        "",
    ]
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
    """'92.0' over '[89, 94]'; a dash where there are no rows to measure it on."""
    if not interval.rows:
        return "\N{EN DASH}"
    return wording.value_text(interval, "{:.0f}", 100).replace(" [", "\n[")


def cost_table(one: Shipping) -> Table:
    """Size, memory, latency and throughput: teacher, student, and how many times less or more."""
    e = one.evaluation
    rows = [_cost_row("parameters", e.parameters, wording.count_text, smaller=True)]
    rows.append(_cost_row("weights on disk, MB", e.size_bytes, megabytes, smaller=True))
    memory = {who: sum(parts.values()) for who, parts in e.memory_bytes.items() if parts}
    batch = int(e.throughput.get("batch", 0))
    rows.append(_cost_row(f"memory of a pass over {batch} rows, MB", memory, megabytes, smaller=True))
    setting = e.latency_setting
    for name in ("p50", "p95"):
        values = {who: times[name] for who, times in e.latency_ms.items() if name in times}
        rows.append(
            _cost_row(
                f"latency {name}, batch {setting.get('batch', 0):.0f}, ms",
                values,
                wording.milliseconds_text,
                smaller=True,
            )
        )
    rows.append(_cost_row(f"rows a second, batch {batch}", e.throughput, _whole, smaller=False))
    return Table(["", "teacher", "student", "student is"], [row for row in rows if row])


def _cost_row(label: str, values: Mapping[str, float], shown: "wording.Shown", *, smaller: bool) -> list[str]:
    if not {"teacher", "student"} <= values.keys() or not values["student"] or not values["teacher"]:
        return []
    teacher, student = values["teacher"], values["student"]
    ratio = teacher / student if smaller else student / teacher
    good, bad = ("smaller", "larger") if "MB" in label or label == "parameters" else ("faster", "slower")
    said = f"{ratio:.1f} times {good}" if ratio >= 1 else f"{1 / ratio:.1f} times {bad}"
    return [label, shown(teacher), shown(student), said if f"{max(ratio, 1 / ratio):.1f}" != "1.0" else "the same"]


def megabytes(count: float) -> str:
    """Millions of bytes."""
    return f"{count / 1e6:.1f}"


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def size_text(one: Shipping) -> str:
    """Size and speed in one sentence."""
    e = one.evaluation
    parts = [f"{megabytes(e.size_bytes['student'])} MB on disk (teacher {megabytes(e.size_bytes['teacher'])})"]
    memory = {who: sum(part.values()) for who, part in e.memory_bytes.items()}
    if {"student", "teacher"} <= memory.keys():
        parts.append(f"{megabytes(memory['student'])} MB of memory ({megabytes(memory['teacher'])})")
    own, other = e.latency_ms["student"], e.latency_ms["teacher"]
    if {"p50", "p95"} <= own.keys() and {"p50", "p95"} <= other.keys():
        p50, p95 = (
            f"{wording.milliseconds_text(own[name])} ms ({wording.milliseconds_text(other[name])})"
            for name in ("p50", "p95")
        )
        parts.append(f"latency at batch {e.latency_setting.get('batch', 0):.0f}: p50 {p50}, p95 {p95}")
    if {"student", "teacher"} <= e.throughput.keys():
        rate = f"{_whole(e.throughput['student'])} rows a second ({_whole(e.throughput['teacher'])})"
        parts.append(f"at batch {e.throughput.get('batch', 0):.0f} {rate}")
    return "; ".join(parts) + "."


def cost_note(one: Shipping) -> str:
    """What the cost table measured, and how."""
    e = one.evaluation
    threads, length = (int(e.latency_setting.get(key, 0)) for key in ("threads", "length"))
    return (
        f"CPU, {threads} thread{'s' * (threads != 1)}, {length} tokens a row, both models in turns, without tokenising. Memory: "
        "weights in float32 and the most that one pass holds at a time; Python and its libraries come on top."
    )


def rows_table(one: Shipping, rows: Sequence[ChangedRow]) -> Table:
    """A handful of rows with their texts."""
    texts = texts_of(rows[:SHOWN], one.texts)
    body = [
        [
            row.row_id,
            row.label,
            _said(row.teacher, row.teacher_confidence),
            _said(row.student, row.student_confidence),
            text,
        ]
        for row, text in zip(rows[:SHOWN], texts, strict=True)
    ]
    return Table(["row", "label", "teacher says", "student says", "text"], body, names=5)


def _said(answer_: str, confidence: float | None) -> str:
    return answer_ if confidence is None else f"{answer_} ({100 * confidence:.0f} %)"


def registered_text(one: Shipping) -> str:
    """Which version of the registry it is."""
    if one.registered is None:
        return one.unregistered
    aliases = ", ".join(one.registered.aliases) or "no alias"
    return f"{one.registered.name}, version {one.registered.version} ({aliases})"


def too_few(one: Shipping) -> bool:
    """Whether the margin's interval is missing or too wide to decide by."""
    low, high = one.margin.low, one.margin.high
    return low is None or high is None or (one.metric not in LOWER_IS_BETTER and high - low > WIDE)


def terminal_head(summary: Summary, shipped: Mapping[str, Sequence[Shipping]]) -> str:
    """What stands above the table for a terminal: warnings, the answer and its reasons, how to pull, who is best."""
    lines = [f"WARNING: {text}" for text in alarms(summary.findings)]
    lines.append(f"May I ship it? {summary_answer(shipped)}")
    for one in (part for parts in shipped.values() for part in parts):
        lines.append(f"  {verdict_line(one)}")
        lines.append(f"    {one.registered.pull if one.registered else one.unregistered}")
    lines += ["Best student:", *(f"  {text}" for text in best_lines(summary))] if summary.findings.best else []
    return "\n".join(lines) + "\n"


def final_line(summary: Summary, shipped: Mapping[str, Sequence[Shipping]]) -> str:
    """The stage's last line: what to be warned of, the best student by name, and whether it may be shipped."""
    label = ", selected on dev" if summary.selected_on == "dev" else ""
    best, metrics = summary.findings.best, {one.name: one.headline for one in summary.datasets}
    if summary.findings.overall is not None:
        said = f"{mean_of(summary)}: {best_text(summary.findings.overall, 'accuracy')}"
    else:
        said = "; ".join(f"{name}: {best_text(one, metrics[name])}" for name, one in best.items())
    text = f"{said or 'no teacher had anything to teach'}{label}. May I ship it? {summary_answer(shipped)}"
    return f"{short_alarms(summary.findings)}{text}"
