"""What a run came to: a table of its stages, the scores, and where to look. For Prefect's page, and for the terminal."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect.artifacts import create_link_artifact, create_markdown_artifact

from flows.outcome import REGISTERED, STATES, Ended, Outcome

REPORT = Path("outputs", "report", "report.json")
PAGE = Path("outputs", "report", "report.html")
KEY = "distilflow-summary"
SHOWN = 12  # rows of the terminal's table: what is cached is only counted


@dataclass(frozen=True)
class Student:
    """A student in the registry, as the summary shows it."""

    name: str
    version: str
    seed: int
    aliases: tuple[str, ...]
    new: bool
    url: str | None


@dataclass(frozen=True)
class Results:
    """What the summary takes from the outputs of a run; empty where a stage wrote nothing."""

    scores: tuple[tuple[str, ...], ...] = ()
    """A row for each dataset, the header first."""
    protocol: str = ""
    students: tuple[Student, ...] = ()
    registry: str = ""
    report: Path | None = None


def read_results(root: Path, kept: Path | None = None) -> Results:
    """Scores, registered students and the report of the outputs in `root`.

    Args:
        root: where the stages ran.
        kept: folder in which a copy of the report stays if `root` does not.
    """
    report, registered = _json(root / REPORT), _json(root / REGISTERED)
    page = root / PAGE
    return Results(
        scores=tuple(_scores(report)) if report else (),
        protocol=f"{report.get('protocol', '')}; {report.get('seeds_note', '')}" if report else "",
        students=tuple(map(_student, registered.get("students", ()))),
        registry=str(registered.get("address", "")),
        report=(kept / "report" / PAGE.name if kept else page) if page.is_file() else None,
    )


def publish(outcome: Outcome, results: Results) -> None:
    """Put the summary and links on the page of the flow run."""
    create_markdown_artifact(markdown(outcome, results), key=KEY, description=outcome.headline)
    if results.registry.startswith(("http://", "https://")):
        create_link_artifact(results.registry, link_text="MLflow", key="distilflow-mlflow")
    if results.report is not None:
        create_link_artifact(results.report.absolute().as_uri(), link_text="Report", key="distilflow-report")


def markdown(outcome: Outcome, results: Results) -> str:
    """The summary as a page."""
    parts = [f"# {outcome.headline}", ""]
    parts += _markdown_table([("stage", "state", "seconds", ""), *map(_row, outcome.stages)])
    for stage in outcome.failed:
        parts += [
            "",
            f"## {stage.name} failed",
            "",
            "```text",
            *(line.replace("```", "'''") for line in stage.tail),
            "```",
        ]
    if results.scores:
        parts += ["", "## Scores", "", *_markdown_table(results.scores), "", results.protocol]
    if results.students:
        rows = [
            (_link(one), str(one.seed), ", ".join(one.aliases), "new" if one.new else "") for one in results.students
        ]
        parts += ["", "## Registered students", "", *_markdown_table([("version", "seed", "aliases", ""), *rows])]
    if results.registry:
        parts += ["", f"MLflow: {results.registry}"]
    if results.report:
        parts += ["", f"Report: `{results.report}`"]
    return "\n".join(parts) + "\n"


def table(outcome: Outcome) -> str:
    """The summary for a terminal: what was not simply cached, the slowest first where there is too much."""
    told = [stage for stage in outcome.stages if stage.state != "Cached"]
    shown = sorted(told, key=lambda stage: (STATES.index(stage.state) < 2, -stage.seconds))[:SHOWN]
    rows = [_row(stage) for stage in told if stage in shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    more = [f"... and {len(told) - len(shown)} more"] if len(told) > len(shown) else []
    return "\n".join([*lines, *more, f"{outcome.headline}, {outcome.seconds:.0f} s"])


def _row(stage: Ended) -> tuple[str, str, str, str]:
    note = " ".join(stage.note.split())
    return (
        stage.name,
        stage.state,
        f"{stage.seconds:.1f}" if stage.seconds else "",
        note if len(note) < 90 else note[:87] + "...",
    )


def _scores(report: Mapping) -> Iterator[tuple[str, ...]]:
    """A row for each dataset: the scores in points, and each method's margin to the teacher with its interval."""
    columns, methods = report["columns"], report["methods"]
    yield ("dataset", "metric", *columns.values(), *(f"margin of {columns[method]}" for method in methods))
    for dataset in report["datasets"]:
        scores = (_points(dataset["scores"].get(column)) for column in columns)
        margins = (_margin(dataset["margins"].get(method)) for method in methods)
        yield (dataset["name"], dataset["headline"], *scores, *margins)


def _points(score: Mapping | None) -> str:
    if not score or score.get("mean") is None:
        return ""
    spread = f" ± {100 * score['sd']:.1f}" if score.get("sd") is not None else ""
    return f"{100 * score['mean']:.1f}{spread}"


def _margin(margin: Mapping | None) -> str:
    if not margin:
        return ""
    interval = margin["interval"]
    return f"{100 * interval['difference']:+.1f} [{100 * interval['low']:+.1f}, {100 * interval['high']:+.1f}]"


def _student(given: Mapping) -> Student:
    return Student(
        name=given["name"],
        version=str(given["version"]),
        seed=given["seed"],
        aliases=tuple(given.get("aliases", ())),
        new=bool(given.get("new")),
        url=given.get("url"),
    )


def _link(student: Student) -> str:
    text = f"{student.name} {student.version}"
    return f"[{text}]({student.url})" if student.url else text


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]


def _json(path: Path) -> Mapping:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
