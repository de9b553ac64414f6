"""The page of evidence: teachers, the gap that each method closes, optimism, pictures; all made of committed rows.

    python -m experiments.evidence_page docs/results/glue.jsonl docs/results/glue.md

Pictures go to the folder of the page's name beside it. What a person noticed stands in NAME.notes.md and is put at the top.

Exit status: 0, or 2 with one line that says which line of the file is wrong.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from data.atomic_files import whole_file
from experiments.evidence_choices import first_measured, optimism
from experiments.evidence_figures import draw_evidence
from experiments.evidence_gap import gap_section
from experiments.evidence_rows import Evidence, PlainResult, read_evidence
from experiments.results import MISSING, write_page
from experiments.teachers import TeacherResult
from reporting.tables import Table, grouped, markdown_table

PROFILE = Path("profiles/glue-minilm.yaml")
PLAIN = Path("docs/results/plain-teachers.jsonl")
FEWEST_SEEDS = 3
INTRODUCTION = """\
# GLUE with a 6-layer teacher: what was measured, and what is missing

Made from [{runs}]({runs}) and [{plain}]({plain}) by `python -m experiments.evidence_page` (`make results`); edit neither by hand.

- Scores are the primary metric in points of 100, mean ± sample standard deviation over seeds. Nothing is selected on dev:
  learning rates, epochs and settings are chosen on `selection`, rows held out of train; dev is reported on.
- **Share closed**: (student − fine-tuned student) / (teacher − fine-tuned student), on dev, with a 95 % interval over dev
  rows and seeds (Fieller's, from the paired intervals of [docs/statistics.md](../statistics.md)). With one seed it says
  nothing about another seed. Where teacher and fine-tuned student are not told apart there is no gap to close.
- A teacher that is within noise of the majority (or of no correlation) on selection is left out: nothing is distilled from it.
- Of a run that was made again, the row with the latest commit time counts; all rows stay in the file.
"""


def make_page(
    evidence: Evidence, runs: str, plain: str, profile: Path, pictures: Sequence[str], notes: str = ""
) -> str:
    """The whole page as Markdown; `pictures`: their files, by the page."""
    parts = [INTRODUCTION.format(runs=runs, plain=plain), *([notes] if notes else [])]
    parts += [_measured(evidence, profile), _teachers(evidence)]
    parts += [gap_section(evidence, setup) for setup in evidence.setups]
    parts += [first_measured(evidence), optimism(evidence), _pictures(pictures), _provenance(evidence)]
    return "\n".join(part for part in parts if part)


def _measured(evidence: Evidence, profile: Path) -> str:
    """Seeds of each dataset of the profile that there are, and a line for what is missing."""
    datasets = yaml.safe_load(profile.read_text(encoding="utf-8"))["datasets"]
    body, missing = [], []
    for name in datasets:
        teachers = [row for row in evidence.teachers if row.dataset == name]
        students = [row for row in evidence.students if row.dataset == name]
        plain = [row for row in evidence.plain if row.dataset == name]
        seeds = grouped(((row.method, row.budget), row.seed) for row in students)
        most = str(max(len(found) for found in seeds.values())) if seeds else MISSING
        methods = ", ".join(dict.fromkeys(row.method for row in students)) or MISSING
        body.append([name, str(len(teachers)), str(len(plain)), methods, str(len(students)), most])
        if not teachers:
            missing.append(name)
    lines = ["## Measured so far", ""]
    header = ["dataset", "teachers", "plain loops", "methods", "students", "most seeds of one method and setting"]
    lines.append(markdown_table(Table(header, body)))
    if missing:
        lines.append(f"Not measured yet, not even a teacher: {', '.join(missing)}.\n")
    short = [line[0] for line in body if line[5] != MISSING and int(line[5]) < FEWEST_SEEDS]
    if short:
        lines.append(f"Fewer than {FEWEST_SEEDS} seeds, so no claim about a method: {', '.join(short)}.\n")
    return "\n".join(lines)


def _teachers(evidence: Evidence) -> str:
    """Rates tried on selection, the one that was kept, dev, and the plain loop's dev."""
    body = []
    for row in evidence.teachers:
        plain = [one for one in evidence.plain if one.dataset == row.dataset]
        budget = json.loads(row.budget)
        rates = "\n".join(_tried(json.loads(text), row.metric) for text in row.tried) or str(budget["teacher_rates"])
        body.append(
            [
                row.dataset,
                str(row.seed),
                row.metric,
                rates,
                str(budget["teacher_epochs"]),
                f"{row.selection:.1f}",
                f"{row.dev:.1f}",
                _plain(row, plain),
                row.reason or "distilled from",
            ]
        )
    header = [
        "dataset",
        "seed",
        "metric",
        "rates, on selection",
        "epochs, at most",
        "selection",
        "dev",
        "plain loop, dev",
        "then",
    ]
    said = (
        "The plain loop is [benchmarks/plain_teacher.py](../../benchmarks/plain_teacher.py): torch and transformers alone, the "
        "same rows and budget, at the rate in brackets; ± is the standard error that dev's rows give it.\n"
    )
    return "\n".join(["## Teachers", "", said, markdown_table(Table(header, body))]) if body else ""


def _tried(one: dict[str, object], metric: str) -> str:
    rate, scores = one["teacher.learning_rate"], one["selection"]
    score = f"{100 * scores[metric]:.1f}" if isinstance(scores, dict) else "diverged"
    return f"{rate:g}: {score}"


def _plain(row: TeacherResult, plain: Sequence[PlainResult]) -> str:
    """Every seed of the plain loop, and whether ours is within a standard error of their mean."""
    if not plain:
        return MISSING
    each = ", ".join(f"{one.dev:.1f} ± {one.dev_standard_error:.1f}" for one in plain)
    mean = sum(one.dev for one in plain) / len(plain)
    error = max(one.dev_standard_error for one in plain)
    inside = "within" if abs(row.dev - mean) <= error else "not within"
    return f"{each} ({plain[0].learning_rate:g})\nours {inside} one standard error of their mean"


def _pictures(files: Sequence[str]) -> str:
    return "\n".join(["## Pictures", "", *(f"![{Path(file).stem}]({file})\n" for file in files)]) if files else ""


def _provenance(evidence: Evidence) -> str:
    rows = [*evidence.teachers, *evidence.students]
    lines = [
        *("## Where the rows come from", ""),
        f"- Machines: {'; '.join(sorted({row.machine for row in rows}))}",
        f"- Commits: {', '.join(sorted({row.commit[:10] for row in rows}))}",
        f"- CPU time: {sum(row.cpu_s for row in rows) / 3600:.1f} h in all stages of these teachers and students",
        *("", "```sh", *sorted({row.command for row in rows if row.command}), "```"),
    ]
    return "\n".join(lines) + "\n" if rows else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the page and its pictures; 2 if a row can't be used."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.evidence_page", description="Make the page of evidence."
    )
    parser.add_argument("runs", type=Path, help="docs/results/glue.jsonl")
    parser.add_argument("page", type=Path, help="Markdown file to write")
    parser.add_argument("--plain", type=Path, default=PLAIN, help="rows of benchmarks/plain_teacher.py")
    parser.add_argument("--profile", type=Path, default=PROFILE, help="its datasets are what is to be measured")
    options = parser.parse_args(arguments)
    try:
        evidence = read_evidence(options.runs, options.plain)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    pictures = draw_evidence(evidence)
    folder = options.page.with_suffix("")
    for name, content in pictures.items():
        folder.mkdir(exist_ok=True)
        with whole_file(folder / f"{name}.png") as file:
            file.write(content)
    files = [f"{folder.name}/{name}.png" for name in pictures]
    page, runs, plain = options.page, options.runs.name, options.plain.name
    write_page(page, lambda notes: make_page(evidence, runs, plain, options.profile, files, notes))
    print(f"{page}: {len(evidence.teachers)} teachers, {len(evidence.students)} students, {len(pictures)} pictures")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
