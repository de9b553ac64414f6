"""The rows of runs.jsonl and the page made from them."""

from pathlib import Path

import pytest

from experiments.result_rows import append_row, latest, read_rows
from experiments.results import PAPER, main, make_page

EARLY, LATE = "2026-11-22T12:00:00+00:00", "2026-11-23T09:00:00+02:00"


def row(
    dataset: str = "cb",
    seed: int = 42,
    *,
    loss: str = "collaborative",
    reward: str = "real",
    sampler: str = "policy",
    score: float = 75.0,
    time: str = EARLY,
    selected_on: str = "selection",
) -> dict[str, object]:
    return {
        **{"profile": "superglue-minilm", "dataset": dataset, "seed": seed, "dev_rows": 56, "metric": "accuracy"},
        "cell": {"meta_loss": loss, "reward": reward, "sampler": sampler, "preset": "default"},
        "scores": {"teacher": 80.0, "finetune": 70.0, "mse_kd": 72.0, "meta_teacher": 81.0, "mpdistil": score},
        "budget": {"teacher_epochs": 3, "episodes": 40},
        **{
            "commit": "abc123",
            "commit_time": time,
            "machine": "2 cores",
            "duration_s": 60.0,
            "selected_on": selected_on,
        },
    }


def page_of(tmp_path: Path, *rows: dict[str, object]) -> str:
    for one in rows:
        append_row(tmp_path / "runs.jsonl", one)
    return make_page(read_rows(tmp_path / "runs.jsonl"), PAPER, "runs.jsonl")


def test_rows_are_appended_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "runs.jsonl"
    append_row(path, row())
    append_row(path, row(seed=43))
    assert [one.seed for one in read_rows(path)] == [42, 43]
    assert path.read_text().count("\n") == 2


def test_the_latest_commit_of_a_cell_counts_and_the_later_line_of_one_commit(tmp_path: Path) -> None:
    for time, score in ((LATE, 77.0), (EARLY, 60.0), (LATE, 78.0)):
        append_row(tmp_path / "runs.jsonl", row(score=score, time=time))
    (kept,) = latest(read_rows(tmp_path / "runs.jsonl"))
    assert kept.scores["mpdistil"] == 78.0


def test_other_budgets_and_selections_are_other_tables(tmp_path: Path) -> None:
    page = page_of(tmp_path, row(), row(selected_on="dev"), row() | {"budget": {"episodes": 200}})
    assert page.count("## Profile superglue-minilm") == 3
    assert "selected on dev" in page


def test_the_page_gives_mean_deviation_margin_and_rows_in_a_point(tmp_path: Path) -> None:
    page = page_of(tmp_path, row(score=74.0), row(seed=43, score=78.0))
    assert "| cb (accuracy) | 2 | 80.0 ± 0.0 |" in page
    assert "76.0 ± 2.8 | −4.0 ± 2.8 | 0.56 |" in page


def test_a_single_seed_has_no_deviation(tmp_path: Path) -> None:
    assert "| 75.0 | −5.0 | 0.56 |" in page_of(tmp_path, row())


def test_losses_and_rewards_make_a_grid_with_gaps_shown(tmp_path: Path) -> None:
    page = page_of(tmp_path, row(), row(reward="binary", score=79.0), row(loss="competitive", score=73.0))
    assert "### cb: losses x rewards" in page
    assert "| loss | meta-teacher | binary | real |" in page
    assert "| competitive | 81.0 | – | 73.0 [−7.0], 1 seed |" in page


def test_a_reward_that_does_not_read_the_meta_teacher_stands_for_all_its_losses(tmp_path: Path) -> None:
    page = page_of(tmp_path, row(loss="competitive"), row(reward="gain", score=79.0))
    assert "| competitive | 81.0 | 75.0 [−5.0], 1 seed | 79.0 [−1.0], 1 seed |" in page


def test_scores_on_selection_stand_beside_those_on_dev(tmp_path: Path) -> None:
    chosen = {"selection_scores": {"mpdistil": 77.0}}
    page = page_of(tmp_path, row() | chosen, row(seed=43) | chosen, row(sampler="uniform"))
    assert "75.0 ± 0.0 [−5.0 ± 0.0] (77.0 ± 0.0), 2 seeds" in page


def test_samplers_are_compared_where_several_were_run(tmp_path: Path) -> None:
    page = page_of(tmp_path, row(), row(sampler="uniform", score=76.0), row("copa"))
    assert "### Samplers (preset default, loss collaborative)" in page
    assert "| sampler | cb |" in page
    assert "| policy, real | 75.0 [−5.0], 1 seed |" in page
    assert "| uniform | 76.0 [−4.0], 1 seed |" in page


def test_the_default_cell_is_the_one_on_most_datasets(tmp_path: Path) -> None:
    page = page_of(tmp_path, row(), row("copa"), row(reward="gain"))
    assert "### The default cell: collaborative, real, policy (preset default)" in page


def test_what_a_person_noticed_stands_before_the_tables(tmp_path: Path) -> None:
    append_row(tmp_path / "runs.jsonl", row())
    (tmp_path / "page.notes.md").write_text("## What we noticed\n")
    assert main([str(tmp_path / "runs.jsonl"), str(tmp_path / "page.md"), "--paper", str(PAPER)]) == 0
    page = (tmp_path / "page.md").read_text()
    assert page.index("## What we noticed") < page.index("## Profile")


def test_the_papers_figures_are_context_and_say_so(tmp_path: Path) -> None:
    page = page_of(tmp_path, row())
    assert "Not the same experiment" in page
    assert "| MPDistil, collaborative, real | 73.4 | 82.1 | 70.0 | 66.4 | 58.6 | 64.4 |" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "42"}, "'seed' must be a number"),
        ({"scores": {"teacher": None}}, "'teacher' must be a number"),
        ({"selected_on": "test"}, "allowed: selection, dev"),
        ({"commit_time": "yesterday"}, "ISO time"),
        ({"commit_time": "2026-11-22T12:00:00"}, "ISO time"),
        ({"cell": {"meta_loss": "collaborative"}}, "'reward' must be a text"),
    ],
)
def test_a_bad_row_is_refused_and_nothing_written(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        append_row(tmp_path / "runs.jsonl", row() | change)
    assert not (tmp_path / "runs.jsonl").exists()


def test_an_unknown_commit_needs_its_time(tmp_path: Path) -> None:
    incomplete = {key: value for key, value in row().items() if key != "commit_time"}
    with pytest.raises(ValueError, match="give commit_time"):
        append_row(tmp_path / "runs.jsonl", incomplete | {"commit": "no-such-commit"})


def test_a_broken_line_ends_the_command_with_its_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append_row(tmp_path / "runs.jsonl", row())
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"seed": \n')
    assert main([str(tmp_path / "runs.jsonl"), str(tmp_path / "page.md"), "--paper", str(PAPER)]) == 2
    assert "line 2: not valid JSON" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append_row(tmp_path / "runs.jsonl", row())
    assert main([str(tmp_path / "runs.jsonl"), str(tmp_path / "page.md"), "--paper", str(PAPER)]) == 0
    assert (tmp_path / "page.md").read_text().startswith("# MPDistil on real rows")
    assert "1 cells from 1 rows" in capsys.readouterr().out
