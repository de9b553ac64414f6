"""The page on all methods, and the rows that it is made from."""

import json
from pathlib import Path

import pytest

from experiments.method_runs import append_method_row, latest_method_rows, read_method_rows
from experiments.methods_results import PAPER, main, make_page
from experiments.result_rows import read_rows
from tests.unit.experiments.method_rows import method_row


def page_of(tmp_path: Path, *rows: dict[str, object]) -> str:
    for one in rows:
        append_method_row(tmp_path / "runs.jsonl", one)
    return make_page(read_method_rows(tmp_path / "runs.jsonl"), PAPER, "runs.jsonl")


def test_margins_are_means_and_deviations_over_seeds_and_the_mean_needs_every_dataset(tmp_path: Path) -> None:
    page = page_of(
        tmp_path,
        method_row(),
        method_row(seed=43, dev={"student": 74.0, "teacher": 72.0}),
        method_row(dataset="copa", dev={"student": 55.0, "teacher": 60.0}),
        method_row("pkd"),
    )
    assert "| kd | 0.0 ± 2.8 | −5.0 | −2.5 |".replace("| 0.0", "| +0.0") in page
    assert "| pkd | −2.0 | – | – |" in page
    assert "| teacher (score) | 72.0 ± 0.0 | 60.0 |  |" in page


def test_methods_with_fewer_seeds_get_a_table_on_the_seeds_that_all_have(tmp_path: Path) -> None:
    title = "### The same on the seeds that all methods have"
    alike = page_of(tmp_path, method_row(), method_row("pkd"))
    assert title not in alike
    later = page_of(tmp_path, method_row(seed=43, dev={"student": 74.0, "teacher": 72.0}))
    _, _, second = later.partition(title)
    table = second.partition("###")[0]
    assert "| kd | −2.0 | −2.0 |" in table and "| pkd | −2.0 | −2.0 |" in table


def test_the_latest_commit_of_a_run_counts(tmp_path: Path) -> None:
    later = method_row(commit_time="2026-11-23T12:00:00+00:00", selection_loss=0.5)
    for row in (later, method_row()):
        append_method_row(tmp_path / "runs.jsonl", row)
    (kept,) = latest_method_rows(read_method_rows(tmp_path / "runs.jsonl"))
    assert kept.selection_loss == 0.5


def test_other_budgets_are_other_tables(tmp_path: Path) -> None:
    page = page_of(tmp_path, method_row(), method_row(budget={"student_updates": 50, "batch_size": 16}))
    assert page.count("## Profile superglue-minilm") == 2


def test_effort_points_and_parameters_are_on_the_page(tmp_path: Path) -> None:
    page = page_of(tmp_path, method_row())
    assert "| cb | kd | 1 | 70.0 | 71.0 | 0.610 | 209 | 0 | 62 | 900 |" in page
    assert "1 point for every method" in page
    assert '- kd: `{"kd": {"alpha": 0.5}}`' in page
    assert "best of N on selection: kd 12" in page_of(tmp_path, method_row(points=12))


def test_prokd_with_and_without_its_temperature_is_compared_on_the_seeds_that_both_have(tmp_path: Path) -> None:
    plain = "prokd-without-temperature"
    page = page_of(
        tmp_path,
        method_row("prokd"),
        method_row("prokd", seed=43),
        method_row(plain, dev={"student": 68.0, "teacher": 72.0}),
    )
    assert "| cb | 1 | 70.0 | 68.0 | +2.0 |" in page
    assert "without its temperature" not in page_of(tmp_path / "other", method_row("prokd"))


def test_the_papers_rows_with_a_dagger_are_not_printed_and_the_page_says_why(tmp_path: Path) -> None:
    page = page_of(tmp_path, method_row())
    rows = {row["method"] for row in json.loads(PAPER.read_text())["rows"]}
    assert rows == {"KD", "PKD", "TinyBERT", "MetaDistil", "MPDistil", "MPDistil without curriculum learning"}
    assert "Not the same experiment" in page and "dagger are left out" in page


def test_rows_of_both_kinds_share_a_file(tmp_path: Path) -> None:
    from tests.unit.experiments.test_results import row

    append_method_row(tmp_path / "runs.jsonl", method_row())
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write(json.dumps(row()) + "\n")
    assert len(read_rows(tmp_path / "runs.jsonl")) == len(read_method_rows(tmp_path / "runs.jsonl")) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dev": {"student": 70.0}}, "'teacher' must be a number"),
        ({"updates": {"student": 200}}, "'teacher' must be a number"),
        ({"selected_on": "test"}, "allowed: selection, dev"),
        ({"method": ""}, "'method' must be a text"),
    ],
)
def test_a_bad_row_is_refused_and_nothing_written(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        append_method_row(tmp_path / "runs.jsonl", method_row() | change)
    assert not (tmp_path / "runs.jsonl").exists()


def test_the_command_writes_the_page_with_notes_and_comparison(tmp_path: Path) -> None:
    append_method_row(tmp_path / "runs.jsonl", method_row())
    (tmp_path / "methods.notes.md").write_text("## What we noticed\n")
    (tmp_path / "comparison.md").write_text("| method | cb |\n")
    arguments = [str(tmp_path / "runs.jsonl"), str(tmp_path / "methods.md"), "--paper", str(PAPER)]
    assert main([*arguments, "--comparison", f"three seeds={tmp_path / 'comparison.md'}"]) == 0
    page = (tmp_path / "methods.md").read_text()
    assert page.index("## What we noticed") < page.index("## Profile") < page.index("## Paired over rows, three seeds:")


def test_a_file_without_methods_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs.jsonl").write_text("")
    assert main([str(tmp_path / "runs.jsonl"), str(tmp_path / "methods.md")]) == 2
    assert "no row has a method" in capsys.readouterr().err
    assert not (tmp_path / "methods.md").exists()
