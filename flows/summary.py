"""The summary of a run for Prefect's page and for the terminal: stages, scores, links."""

import base64
import shlex
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.exceptions import PrefectException

from flows.outcome import STATES, Outcome, StageOutcome, newly_registered
from outputs import read_if_whole
from paths import without_password
from records.registered import RegisteredStudent, RegistrationRecord
from records.reported import ReportMargin, ReportRecord, ReportScore
from reporting.tables import Table, aligned, markdown_table

REPORT = Path("outputs", "report", "report.json")
PAGE = Path("outputs", "report", "report.html")
KEY = "distilflow-summary"
REPORT_KEY = "distilflow-report"
TEXTS = ("table.txt", "comparison.txt")
PICTURES = ("margins.png", "comparison-margins.png")  # of figures/; with many methods there is only the second
PICTURE_BYTES = 500_000  # a larger one would make Prefect's page slow
SHOWN = 12  # rows of the terminal's table: what is cached is only counted


@dataclass(frozen=True)
class Results:
    """The part of a run's outputs for the summary; None or empty if a stage wrote nothing."""

    scores: ReportRecord | None = None
    registration: RegistrationRecord | None = None
    report: Path | None = None
    """The page, on this machine."""
    texts: tuple[str, ...] = ()
    """The report's tables as terminal text."""
    picture: str = ""
    """The report's first picture as a data URL."""

    @property
    def protocol(self) -> str:
        """The selection and the seeds behind the scores, in words."""
        return f"{self.scores.protocol}; {self.scores.seeds_note}" if self.scores else ""


def read_results(root: Path, outcome: Outcome, kept: Path | None = None) -> Results:
    """Scores, registered students and the report of the outputs in `root`, without stages that this run left out.

    Args:
        root: where the stages ran.
        outcome: their states. What an earlier run wrote is no result of this one.
        kept: folder in which a copy of the report stays if `root` does not.
    """
    registration = newly_registered(root) if outcome.up_to_date("register") else None
    scores = read_if_whole(ReportRecord, root / REPORT) if outcome.up_to_date("report") else None
    if scores is None:
        return Results(registration=registration)
    page = root / PAGE
    return Results(
        scores,
        registration,
        report=(kept / "report" / PAGE.name if kept else page.absolute()) if page.is_file() else None,
        texts=tuple(filter(None, (_text(page.with_name(name)) for name in TEXTS))),
        picture=next(filter(None, (_picture(page.parent / "figures" / name) for name in PICTURES)), ""),
    )


def publish(outcome: Outcome, results: Results) -> str | None:
    """Publish summary, report and links on the flow run's page; return the reason if the server refused."""
    try:
        _publish(outcome, results)
    except (PrefectException, httpx.HTTPError) as error:  # what ran has run
        return without_password(f"Prefect did not take the summary: {' '.join(str(error).split())}")
    return None


def _publish(outcome: Outcome, results: Results) -> None:
    create_markdown_artifact(markdown(outcome, results), key=KEY, description=outcome.headline)
    if results.texts:
        create_markdown_artifact(report_markdown(results), key=REPORT_KEY, description=results.protocol)
    if results.registration and _is_web(results.registration.address):
        create_link_artifact(results.registration.address, link_text="MLflow", key="distilflow-mlflow")


def markdown(outcome: Outcome, results: Results) -> str:
    """The summary as Markdown: scores, stages that ran or failed, students, links."""
    parts = [f"# {outcome.headline}"]
    if results.scores:
        parts += ["", "## Scores", "", *_markdown_table([*_scores(results.scores)]), "", results.protocol]
    parts += ["", *_stages(outcome)]
    if results.registration:
        parts += _registered(results.registration, gate_lines(results))
    if results.report:
        parts += ["", f"Report: artifact `{REPORT_KEY}` of this run. {_where(results.report)}"]
    return "\n".join(parts) + "\n"


def _registered(found: RegistrationRecord, gate: Sequence[str]) -> Iterator[str]:
    """The students in the registry, or the trial that registered none, and the gate's sentences."""
    if found.trial:
        yield from ("", f"Trial ({found.trial}): nothing registered; `registry.trials: true` registers it.")
    elif found.students:
        rows = [(_link(one), str(one.seed), ", ".join(one.aliases), "new" if one.new else "") for one in found.students]
        yield from ("", "## Registered students", "", *_markdown_table([("version", "seed", "aliases", ""), *rows]))
    if gate:
        yield from ("", "## May it be shipped?", "", *(f"- {line}" for line in gate))
    if at := found.address:
        yield from ("", f"Registry: {at}" if _is_web(at) else f"Registry: `{at}` (`make ui` shows it)")


def gate_lines(results: Results) -> tuple[str, ...]:
    """The gate's sentences, one line each: champions that fail it now first, then the candidates with every test."""
    if results.registration is None:
        return ()
    students, unfit = results.registration.students, results.registration.unfit_champions
    judged = (f"{one.name}: {one.gate}" for one in students if one.gate and "candidate" in one.aliases)
    return (*(f"{one.sentence}: {'; '.join(one.failed)}" for one in unfit), *judged)


def report_markdown(results: Results) -> str:
    """The report for Prefect's page, which can show neither the HTML page nor a file of this machine."""
    parts = ["# Report"]
    for text in results.texts:
        parts += ["", "```text", *text.rstrip().splitlines(), "```"]
    if results.picture:
        parts += ["", f"![Student minus teacher, with intervals]({results.picture})"]
    if results.report:
        parts += ["", _where(results.report)]
    return "\n".join(parts) + "\n"


def _stages(outcome: Outcome) -> Iterator[str]:
    """List the stages that were not cached, with the last lines of failures, and one line for the rest."""
    listed = [stage for stage in outcome.stages if stage.state != "Cached"]
    cached = len(outcome.stages) - len(listed)
    yield "## Stages"
    yield ""
    if listed:
        yield from _markdown_table([("stage", "state", "seconds", ""), *map(_row, listed)])
        yield ""
    if cached:
        yield f"{cached} stage{'s' * (cached != 1)} cached."
    for stage in outcome.failed:
        yield from ("", f"## {stage.name} failed", "", "```text")
        yield from (line.replace("```", "'''") for line in stage.tail)
        yield "```"


def _where(page: Path) -> str:
    host = socket.gethostname()
    return f"The whole page is `{page}` on {host}; from another machine: `scp {host}:{shlex.quote(str(page))} .`"


def table(outcome: Outcome) -> str:
    """The summary for a terminal: the stages that were not cached, the slowest first if there are many."""
    listed = [stage for stage in outcome.stages if stage.state != "Cached"]
    shown = sorted(listed, key=lambda stage: (STATES.index(stage.state) < 2, -stage.seconds))[:SHOWN]
    lines = aligned([_row(stage) for stage in listed if stage in shown])
    more = [f"... and {len(listed) - len(shown)} more"] if len(listed) > len(shown) else []
    report = [f"Report: {outcome.report}"] if outcome.report else []
    return "\n".join([*lines, *more, *outcome.gate, f"{outcome.headline}, {outcome.seconds:.0f} s", *report])


def _row(stage: StageOutcome) -> tuple[str, str, str, str]:
    note = " ".join(stage.note.split())
    return (
        stage.name,
        stage.state,
        f"{stage.seconds:.1f}" if stage.seconds else "",
        note if len(note) < 90 else note[:87] + "...",
    )


def _scores(report: ReportRecord) -> Iterator[tuple[str, ...]]:
    """A row for each dataset: the scores in points, and each method's margin to the teacher with its interval."""
    columns = report.columns
    yield ("dataset", "metric", *columns.values(), *(f"margin of {columns[method]}" for method in report.methods))
    for dataset in report.datasets:
        scores = (_points(dataset.scores.get(column), dataset.headline) for column in columns)
        margins = (_margin(dataset.margins.get(method), dataset.headline) for method in report.methods)
        yield (dataset.name, dataset.headline, *scores, *margins)


def _points(score: ReportScore | None, metric: str) -> str:
    if score is None:
        return ""
    spread = "" if score.sd is None else f" ± {_number(score.sd, metric)}"
    return f"{_number(score.mean, metric)}{spread}"


def _margin(margin: ReportMargin | None, metric: str) -> str:
    if margin is None:
        return ""
    difference, ends = _number(margin.interval.difference, metric, "+"), (margin.interval.low, margin.interval.high)
    # Without an interval where the dev rows are too few for one.
    shown = [_number(end, metric, "+") for end in ends if end is not None]
    return f"{difference} [{', '.join(shown)}]" if shown else difference


def _number(value: float, metric: str, sign: str = "") -> str:
    """A value in points of 100, or unchanged for a metric without points."""
    from kinds import LOWER_IS_BETTER  # here: it imports numpy, which a flow does not need at its start

    return f"{value:{sign}.3f}" if metric in LOWER_IS_BETTER else f"{100 * value:{sign}.1f}"


def _is_web(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _link(student: RegisteredStudent) -> str:
    text = f"{student.name} {student.version}"
    return f"[{text}]({student.url})" if student.url else text


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    return markdown_table(Table(rows[0], rows[1:], names=len(rows[0]))).splitlines()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _picture(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}" if len(content) <= PICTURE_BYTES else ""
