"""The first screen in words and tables: whether a student may be shipped, and what is lost."""

from collections.abc import Mapping, Sequence

from reporting import wording
from reporting.findings import Best, Findings, Loss
from reporting.losses_text import champion_text, signs
from reporting.shipping import Shipping
from reporting.summarise import Summary
from reporting.tables import Table, grouped

SHOWN_NAMES = 4
OVERVIEW = 3
"""Number of datasets beyond which a table comes first, and each dataset is collapsed."""


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


def summary_answer(shipped: Mapping[str, Sequence[Shipping]]) -> str:
    """Answer in a sentence or two, by name, because the main method's student may not be the one to ship."""
    methods = {name: [part.method for part in parts if part.verdict.passed] for name, parts in shipped.items()}
    passed = grouped((" or ".join(own), name) for name, own in methods.items() if own)
    none = [name for name, own in methods.items() if not own]
    if len(shipped) == 1 and none:
        one = next(iter(shipped.values()))[0]
        return f"No. {one.method} fails: {', '.join(check.name for check in one.verdict.failed)}."
    yes = [
        f"Yes, {method}" + (f" for {', '.join(names)}" if len(shipped) > 1 else "") for method, names in passed.items()
    ]
    fails = grouped(
        (parts[0].method, name) for name, parts in shipped.items() if name not in none and not parts[0].verdict.passed
    )
    no = [f"No, {method}" + (f" for {', '.join(names)}" if len(shipped) > 1 else "") for method, names in fails.items()]
    return ". ".join([*yes, *no, *([f"No student for {', '.join(none)}"] if none else [])]) + "."


def colour(shipped: Mapping[str, Sequence[Shipping]]) -> str:
    """'yes' if the main method's student may be shipped for every dataset, 'no' if for none, else 'some'."""
    if all(parts[0].verdict.passed for parts in shipped.values()):
        return "yes"
    return "some" if any(part.verdict.passed for parts in shipped.values() for part in parts) else "no"


def overview_table(shipped: Mapping[str, Sequence[Shipping]]) -> Table:
    """A line per student, for many datasets."""
    header = ["", "dataset", "student", "score\n(teacher)", "to its\nteacher", "to\nfinetune", "fails"]
    rows = []
    for one in (part for parts in shipped.values() for part in parts):
        scores = [wording.number_text(one.scores[who], one.metric) for who in ("student", "teacher")]
        margin = wording.difference_text(one.margin, one.metric)
        finetune = "" if one.finetune is None else wording.difference_text(one.finetune, one.metric)
        failed = ", ".join(check.name for check in one.verdict.failed)
        name = [answer(one), one.dataset, one.method]
        rows.append([*name, f"{scores[0]} ({scores[1]})\n{one.metric}", margin, finetune, failed])
    return Table(header, rows, names=3)


def rank_text(best: Best, method: str) -> str:
    """Compare the main method's student with all students."""
    others = shown_names(best.not_apart)
    if best.method == method:
        return (
            f"{method} is the best student: intervals tell it from all others."
            if best.named
            else (f"{method} has the highest score, and is not told apart from {others}.")
        )
    if best.named:
        return f"The best student is {best.method}: intervals tell it from all others."
    return f"{best.method} has the highest score, and is not told apart from {others}."


def shown_names(names: Sequence[str]) -> str:
    """The first items, and the number of the rest."""
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def alarms(findings: Findings) -> list[str]:
    """Warnings of the first line: methods worse than fine-tuning, teachers with nothing to teach."""
    lines = [
        f"{name}: {lost_names([loss.method for loss in losses])} to finetune, in points: "
        + ", ".join(_loss_text(loss) for loss in losses)
        + "."
        for name, losses in grouped((loss.dataset, loss) for loss in findings.losses).items()
    ]
    return lines + [
        f"{name}: {why}; nothing to distil, left out of means and tests." for name, why in findings.left_out.items()
    ]


def _loss_text(loss: Loss) -> str:
    """'mse_kd −4.0 [−7.4, −0.7]'; 'mse_kd accuracy −4.0 [...]' where the primary metric has no interval."""
    metric = f"{loss.by} " if loss.by else ""
    return f"{loss.method} {metric}{wording.difference_text(loss.interval, loss.metric)}"


def lost_names(methods: Sequence[str]) -> str:
    """'mse_kd and mpdistil lose'."""
    first = ", ".join(methods[:-1])
    return f"{first} and {methods[-1]} lose" if first else f"{methods[0]} loses"


def short_alarms(findings: Findings) -> str:
    """The short form, for a line."""
    parts = [
        f"on {name} {lost_names([loss.method for loss in losses])} to finetune"
        for name, losses in grouped((loss.dataset, loss) for loss in findings.losses).items()
    ]
    if findings.left_out:
        parts.append(f"left out: {wording.left_out_text(findings.left_out)}")
    return f"WARNING: {'; '.join(parts)}. " if parts else ""


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
        name = f"best student {best.method}{f' (told by {best.by})' if best.by else ''}"
    else:
        name = f"highest {best.method}, not told apart from {shown_names(best.not_apart)}"
    return f"{name}; {wording.both_text(best.margin, best.finetune, metric)}"


def warnings(summary: Summary) -> list[str]:
    """Warnings about each dataset, without those of teachers with nothing to teach, which are alarms."""
    left_out = summary.findings.left_out
    return [
        f"{one.name}: {text}"
        for one in summary.datasets
        for text in one.warnings
        if one.name not in left_out or left_out[one.name] not in text
    ]


def terminal_head(summary: Summary, shipped: Mapping[str, Sequence[Shipping]]) -> str:
    """Compose the lines above the table for a terminal: warnings, answer and reasons, how to pull, the best student."""
    lines = [f"WARNING: {text}" for text in (*alarms(summary.findings), *warnings(summary))]
    lines.append(f"May I ship it? {summary_answer(shipped)}")
    for one in (part for parts in shipped.values() for part in parts):
        lines.append(f"  {verdict_line(one)}")
        lines += [f"    {held}" for held in [champion_text(one)] if held]
        lines.append(f"    {one.registered.pull if one.registered else one.unregistered}")
    lines += ["Best student:", *(f"  {text}" for text in best_lines(summary))] if summary.findings.best else []
    return "\n".join(lines) + "\n"


def final_line(summary: Summary, shipped: Mapping[str, Sequence[Shipping]]) -> str:
    """The stage's last line: warnings, the best student by name, and whether it may be shipped."""
    best, metrics = summary.findings.best, {one.name: one.headline for one in summary.datasets}
    if summary.findings.overall is not None:
        said = f"{mean_of(summary)}: {best_text(summary.findings.overall, 'accuracy')}"
    else:
        said = "; ".join(f"{name}: {best_text(one, metrics[name])}" for name, one in best.items())
    answer = summary_answer(shipped).removesuffix(".")  # the line goes on with a comma and the time
    text = f"{said or 'no teacher had anything to teach'}{wording.on_dev_text(summary.selected_on)}. May I ship it? {answer}"
    return f"{short_alarms(summary.findings)}{text}"
