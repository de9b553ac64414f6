"""The results page: docs/results/superglue-minilm.md made from docs/results/runs.jsonl.

    python -m experiments.results docs/results/runs.jsonl docs/results/superglue-minilm.md

What a person noticed stands in NAME.notes.md beside the page and is put at its top.

Exit status: 0, or 2 with one line that says which line of the file is wrong.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from config.presets import PRESETS
from data.atomic_files import whole_file
from experiments.result_rows import CellRow, CellSettings, Setup, latest, read_rows
from reporting.statistics import mean_sd
from reporting.tables import Table, markdown_table

PAPER = Path("docs/results/paper-mpdistil-table1.json")
LOSSES = ("collaborative", "competitive", "competitive_probability")
REWARDS = ("binary", "real", "gain", "alignment")
SAMPLERS = ("policy", "uniform", "target", "kd_only")
# These rewards never read the meta-teacher, so one run stands for all of its losses; and these samplers learn from no
# reward, so one run stands for all rewards.
WITHOUT_META_TEACHER = ("gain", "alignment")
FIXED = ("uniform", "target", "kd_only")
COLUMNS = {
    "teacher": "teacher",
    "finetune": "student fine-tuned",
    "mse_kd": "student distilled",
    "meta_teacher": "meta-teacher",
    "mpdistil": "MPDistil student",
}
# The cell that `preset: default` names; this page is where it was chosen.
_VALUES = yaml.safe_load(PRESETS.read_text(encoding="utf-8"))["default"]
PRESET = CellSettings(
    meta_loss=str(_VALUES["meta_teacher"]["loss"]),
    reward=str(_VALUES["curriculum"]["reward"]),
    sampler=str(_VALUES["curriculum"]["sampler"]),
    preset="default",
)
MISSING = "\N{EN DASH}"
INTRODUCTION = """\
# MPDistil on real rows: measurements

Made from [{runs}]({runs}) by `python -m experiments.results`; edit neither by hand.

- Numbers are the primary metric on **dev** in points of 100: mean ± sample standard deviation over training seeds (none for
  one seed). The split is fixed, so ± does not cover the variance of the split.
- A margin is the student minus the teacher of the same seed, mean ± standard deviation over seeds, in points. **One point**
  is given in dev rows for each dataset: a margin of a few rows is not a finding.
- Each table names the rows that chose epochs and episodes. *Selected on selection*: rows held out of train; dev chose no
  epoch and no episode. *Selected on dev*: the paper's protocol; such numbers are optimistic.
- Numbers in one table share profile, budget and selection. If a cell was run again, the row with the latest commit time
  counts (for one commit the later line); all rows stay in the file.
- The best of many cells is partly luck. The tables show every cell that was run. A preset chosen from them is biased by
  that choice; only new seeds or datasets test it.
"""


def make_page(rows: Sequence[CellRow], paper: Path, runs_name: str, notes: str = "") -> str:
    """The whole page as Markdown; `notes` is hand-written text about the figures."""
    counted = latest(rows)
    setups = list(dict.fromkeys(row.setup for row in counted))
    parts = [INTRODUCTION.format(runs=runs_name), *([notes] if notes else [])]
    for setup in setups:
        parts += _of_setup(setup, [row for row in counted if row.setup == setup])
    parts.append(paper_section(paper, "model", "{:.1f}"))
    return "\n".join(parts)


def _of_setup(setup: Setup, rows: list[CellRow]) -> list[str]:
    """Every table of one profile, budget and selection."""
    datasets = sorted({row.dataset for row in rows})
    presets = sorted({row.cell.preset for row in rows})
    parts = [_heading(setup, rows), _default_table(rows, datasets)]
    parts += [_grid(rows, dataset, preset) for dataset in datasets for preset in presets]
    parts += [_sampler_table(rows, datasets, preset) for preset in presets]
    return [part for part in parts if part]


def _heading(setup: Setup, rows: list[CellRow]) -> str:
    budget = ", ".join(f"{key} {value}" for key, value in json.loads(setup.budget).items())
    machines, commits = sorted({row.machine for row in rows}), sorted({row.commit[:10] for row in rows})
    commands = sorted({row.command for row in rows if row.command})
    lines = [
        f"## Profile {setup.profile}, {_selected(setup)}",
        "",
        f"- Budget: {budget}",
        f"- Machine: {'; '.join(machines)}",
        f"- Commits: {', '.join(commits)}",
        f"- Rows: {len(rows)}, {sum(row.duration_s for row in rows) / 3600:.1f} h of running in all",
    ]
    if commands:
        lines += ["", "```sh", *commands, "```"]
    return "\n".join(lines) + "\n"


def _default_table(rows: list[CellRow], datasets: Sequence[str]) -> str:
    """The default cell on every dataset where it ran."""
    cell = _default_cell(rows)
    body = []
    for dataset in datasets:
        own = [row for row in rows if row.dataset == dataset and row.cell == cell]
        if own:
            scores = [_score(own, name) for name in COLUMNS]
            body.append([f"{dataset} ({own[0].metric})", str(len(own)), *scores, _margin(own), _one_point(own)])
    title = f"### The default cell: {cell.meta_loss}, {cell.reward}, {cell.sampler} (preset {cell.preset})"
    note = f"{_selected(rows[0].setup).capitalize()}, reported on dev.\n"
    header = ["dataset", "seeds", *COLUMNS.values(), "margin to the teacher", "dev rows in one point"]
    return "\n".join([title, "", note, markdown_table(Table(header, body))])


def _grid(rows: list[CellRow], dataset: str, preset: str) -> str:
    """Loss x reward under the policy, for one dataset and preset; empty if fewer than two cells were run."""
    own = [row for row in rows if row.dataset == dataset and row.cell.preset == preset and row.cell.sampler == "policy"]
    cells = {(row.cell.meta_loss, row.cell.reward) for row in own}
    if len(cells) < 2:
        return ""
    rewards = _ordered({reward for _, reward in cells}, REWARDS)
    body = []
    for loss in _ordered({loss for loss, _ in cells}, LOSSES):
        line = [row for row in own if row.cell.meta_loss == loss]
        shown = []
        for reward in rewards:
            any_loss = reward in WITHOUT_META_TEACHER
            part = [row for row in (own if any_loss else line) if row.cell.reward == reward]
            shown.append(_score_and_margin(part))
        body.append([loss, _score(_one_per_seed(line), "meta_teacher"), *shown])
    seeds = _one_per_seed(own)
    reference = ", ".join(f"{COLUMNS[name]} {_score(seeds, name)}" for name in ("teacher", "finetune", "mse_kd"))
    title = f"### {dataset}: losses x rewards (preset {preset}, sampler policy)"
    note = (
        f"MPDistil student on dev [margin to the teacher] (the same student on selection); "
        f"{_selected(own[0].setup)}, reported on {own[0].dev_rows} dev rows ({own[0].metric}); one point is "
        f"{_one_point(own)} rows. {reference[0].upper()}{reference[1:]}. `gain` and `alignment` don't read the "
        f"meta-teacher: one run is shown in all three lines.\n"
    )
    return "\n".join([title, "", note, markdown_table(Table(["loss", "meta-teacher", *rewards], body))])


def _sampler_table(rows: list[CellRow], datasets: Sequence[str], preset: str) -> str:
    """The policy with each reward beside the samplers without a reward; empty if none of those ran."""
    own = [row for row in rows if row.cell.preset == preset]
    compared = [name for name in datasets if any(row.cell.sampler in FIXED for row in own if row.dataset == name)]
    if not compared:
        return ""
    body = []
    for sampler in _ordered({row.cell.sampler for row in own}, SAMPLERS):
        part = [row for row in own if row.cell.sampler == sampler and row.cell.meta_loss == LOSSES[0]]
        rewards = [""] if sampler in FIXED else _ordered({row.cell.reward for row in part}, REWARDS)
        for reward in rewards:
            lines = [row for row in part if reward in ("", row.cell.reward)]
            cells = [_score_and_margin([row for row in lines if row.dataset == name]) for name in compared]
            body.append([f"{sampler}, {reward}" if reward else sampler, *cells])
    title = f"### Samplers (preset {preset}, loss {LOSSES[0]})"
    note = (
        f"MPDistil student on dev [margin to the teacher] (on selection); {_selected(own[0].setup)}. uniform, "
        "target and kd_only use no reward: one run is shown for all. `kd_only` is the paper's (-) Curriculum "
        "learning.\n"
    )
    return "\n".join([title, "", note, markdown_table(Table(["sampler", *compared], body))])


def _default_cell(rows: list[CellRow]) -> CellSettings:
    """The preset's cell; before it ran, the cell of preset `default` (or of any) on most datasets, with most rows."""
    if any(row.cell == PRESET for row in rows):
        return PRESET
    cells = sorted({row.cell for row in rows if row.cell.preset == "default"} or {row.cell for row in rows}, key=str)

    def coverage(cell: CellSettings) -> tuple[int, int]:
        own = [row for row in rows if row.cell == cell]
        return len({row.dataset for row in own}), len(own)

    return max(cells, key=coverage)


def _one_per_seed(rows: Sequence[CellRow]) -> list[CellRow]:
    """One row per seed, for the scores that all cells of a seed share (teacher, students, meta-teacher of a loss)."""
    return list({row.seed: row for row in sorted(rows, key=lambda row: row.commit_time)}.values())


def _score(rows: Sequence[CellRow], name: str) -> str:
    """'71.4 ± 1.2' over the rows' seeds."""
    return spread_text([row.scores[name] for row in rows if name in row.scores], "{:.1f}")


def _margin(rows: Sequence[CellRow]) -> str:
    both = [row.scores for row in rows if "mpdistil" in row.scores and "teacher" in row.scores]
    return spread_text([scores["mpdistil"] - scores["teacher"] for scores in both], "{:+.1f}")


def _score_and_margin(rows: Sequence[CellRow]) -> str:
    if not rows:
        return MISSING
    chosen = [row.selection_scores["mpdistil"] for row in rows if "mpdistil" in row.selection_scores]
    on_selection = f" ({spread_text(chosen, '{:.1f}')})" if chosen else ""
    return f"{_score(rows, 'mpdistil')} [{_margin(rows)}]{on_selection}, {len(rows)} seed{'s' * (len(rows) > 1)}"


def _one_point(rows: Sequence[CellRow]) -> str:
    return f"{rows[0].dev_rows / 100:.2g}"


def _selected(setup: Setup) -> str:
    return f"selected on {setup.selected_on}"


def _ordered(found: set[str], known: Sequence[str]) -> list[str]:
    """Known names in their order, followed by unknown ones."""
    return [name for name in known if name in found] + sorted(found - set(known))


def spread_text(values: Sequence[float], form: str) -> str:
    """'71.4 ± 1.2': mean and sample standard deviation; a dash for no values."""
    if not values:
        return MISSING
    spread = mean_sd(values)
    mean = form.format(spread.mean).replace("-", "\N{MINUS SIGN}")
    return mean if spread.sd is None else f"{mean} ± {spread.sd:.1f}"


def paper_section(path: Path, first_column: str, form: str) -> str:
    """The paper's own table as context, with its caveats."""
    table = json.loads(path.read_text(encoding="utf-8"))
    body = [
        [
            row["method"],
            *(form.format(row["values"][name]).replace("-", "\N{MINUS SIGN}") for name in table["datasets"]),
        ]
        for row in table["rows"]
    ]
    text = markdown_table(Table([first_column, *table["datasets"]], body))
    return "\n".join([f"## For context: {table['source']}", "", table["note"] + "\n", text])


def write_page(page: Path, make: Callable[[str], str]) -> None:
    """Write the page from `make`, atomically; `make` gets the text of NAME.notes.md beside the page."""
    beside = page.with_suffix(".notes.md")
    text = make(beside.read_text(encoding="utf-8") if beside.exists() else "")
    with whole_file(page) as file:
        file.write(text.encode("utf-8"))


def page_parser(module: str, description: str, paper: Path) -> argparse.ArgumentParser:
    """The options of a command that makes a page of rows."""
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{module}", description=description)
    parser.add_argument("runs", type=Path, help="docs/results/runs.jsonl")
    parser.add_argument("page", type=Path, help="Markdown file to write")
    parser.add_argument("--paper", type=Path, default=paper, help="the paper's figures, for context")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Make the page; 2 if a row can't be used."""
    options = page_parser("results", "Make the results page from its rows.", PAPER).parse_args(arguments)
    try:
        rows = read_rows(options.runs)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    write_page(options.page, lambda notes: make_page(rows, options.paper, options.runs.name, notes))
    print(f"{options.page}: {len(latest(rows))} cells from {len(rows)} rows")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
