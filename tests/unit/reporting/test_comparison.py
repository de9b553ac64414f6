"""The comparison: its numbers against plain computations, its gaps, and what it says of few datasets and seeds."""

import json
from pathlib import Path

import numpy as np
import pytest

from errors import UserError
from records.trained import Updates
from reporting.compare import main
from reporting.comparison import Comparison, choose_baseline, compare
from reporting.comparison_figures import draw_comparison, groups_within
from reporting.comparison_text import comparison_tree, markdown_text, terminal_text
from reporting.gather import gather_evaluated
from tests.fake_outputs import FakeDataset, student_metrics, write_outputs, write_record

ROOT = Path(__file__).parents[3]
THREE_CLASSES = FakeDataset("views", "pair", ("a", "b", "c"), ("accuracy",), 60)
TWO_CLASSES = FakeDataset("scenes", "single", ("in", "out"), ("accuracy",), 80)
REGRESSION = FakeDataset("likeness", "regression", (), ("pearson",), 50)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def compared(
    datasets: tuple[FakeDataset, ...] = (THREE_CLASSES, TWO_CLASSES, REGRESSION),
    methods: tuple[str, ...] = ("finetune", "kd", "metadistil"),
    seeds: tuple[int, ...] = (1, 2),
    *,
    asked: tuple[str, ...] = (),
    points: dict[str, int] | None = None,
) -> Comparison:
    """Write outputs of `methods` and compare them, and with them `asked`, which were not run."""
    write_outputs(datasets, seeds, methods, episodes=2)
    every = (*methods, *asked)
    outputs = gather_evaluated([one.name for one in datasets], every, seeds)
    return compare(outputs, every, benchmark="quickstart", points=points)


def test_a_margin_is_that_of_the_stored_scores_and_lies_in_its_interval() -> None:
    comparison = compared()
    stored = [json.loads(Path(f"outputs/evaluate/views/metadistil/{seed}/metrics.json").read_text()) for seed in (1, 2)]
    differences = [one["dev"]["accuracy"] - one["teacher_dev"]["accuracy"] for one in stored]
    margin = comparison.lines[2].cells["views"].margin
    assert margin.interval.difference == pytest.approx(np.mean(differences))
    assert margin.over_seeds.sd == pytest.approx(np.std(differences, ddof=1))
    assert margin.interval.low is not None and margin.interval.high is not None
    assert margin.interval.low <= margin.interval.difference <= margin.interval.high


def test_a_win_is_an_interval_against_the_baseline_that_excludes_zero() -> None:
    comparison = compared()
    assert comparison.baseline == "kd"
    for line in comparison.lines:
        for cell in line.cells.values():
            if line.method == "kd":
                assert cell.against is None and cell.outcome is None
            else:
                assert cell.against is not None and cell.against.low is not None and cell.against.high is not None
                expected = "win" if cell.against.low > 0 else "loss" if cell.against.high < 0 else "tie"
                assert cell.outcome == expected
        assert line.wins + line.ties + line.losses == (0 if line.method == "kd" else 3)


def test_the_mean_over_datasets_is_that_of_the_margins() -> None:
    line = compared().lines[2]
    assert line.average is not None
    expected = np.mean([cell.margin.interval.difference for cell in line.cells.values()])
    assert line.average.interval.difference == pytest.approx(expected)
    assert line.average.over_seeds.mean == pytest.approx(expected)


def test_too_few_rows_are_a_tie_without_an_interval_everywhere() -> None:
    few = FakeDataset("few", "single", ("in", "out"), ("accuracy",), 12)
    comparison = compared((THREE_CLASSES, few, REGRESSION))
    for line in comparison.lines:
        cell = line.cells["few"]
        assert (cell.margin.interval.low, cell.margin.interval.high) == (None, None)
        assert cell.outcome in (None, "tie")
        assert line.average is not None and line.average.interval.low is None
        assert line.cells["views"].margin.interval.low is not None
    text = terminal_text(comparison)
    assert text.count("[no interval: too few rows]") == 2 * len(comparison.lines)  # the dataset and the mean
    assert (
        json.loads(json.dumps(comparison_tree(comparison), allow_nan=False))["lines"][0]["average"]["interval"]["low"]
        is None
    )
    assert draw_comparison(comparison)["comparison-margins"].startswith(b"\x89PNG")


def test_what_brackets_hold_is_said_for_one_seed_and_for_several() -> None:
    assert "over dev rows; it says nothing of another training seed" in terminal_text(compared(seeds=(1,)))
    assert "over dev rows and training seeds: of the mean over all seeds, not of these 2 alone" in terminal_text(
        compared()
    )


def test_a_dataset_that_a_method_refuses_is_a_gap_with_its_reason_and_no_rank() -> None:
    write_outputs((THREE_CLASSES,), (1, 2), ("skd",))
    comparison = compared(asked=("skd",))
    line = comparison.lines[-1]
    assert "fewer than 3" in line.missing["scenes"] and "regression" in line.missing["likeness"]
    assert line.average is None and "skd" not in comparison.ranking.average
    text = terminal_text(comparison)
    assert "skd: scenes has 2 classes" in text
    assert next(row for row in text.splitlines() if row.startswith("skd")).count("–") == 4  # two gaps, mean, rank


def test_what_was_not_run_is_said_to_be_so() -> None:
    assert "Gap: lgtm, views: not run." in terminal_text(compared(asked=("lgtm",)))


def test_two_datasets_have_ranks_but_no_rank_test_and_say_so() -> None:
    comparison = compared((THREE_CLASSES, TWO_CLASSES))
    assert comparison.ranking.test is None and set(comparison.ranking.average) == {"finetune", "kd", "metadistil"}
    assert "No rank test: 2 datasets and 3 methods on all of them, 3 datasets" in terminal_text(comparison)
    assert "comparison-ranks" not in draw_comparison(comparison)


def test_one_dataset_and_one_seed_have_no_spread_and_no_mean() -> None:
    comparison = compared((THREE_CLASSES,), seeds=(1,))
    text = terminal_text(comparison)
    assert "one seed, no spread" in text
    assert "±" not in text
    assert "no rank test: 1 dataset" in text.lower()


def test_three_datasets_have_a_rank_test_that_names_its_limits() -> None:
    comparison = compared()
    assert comparison.ranking.test is not None
    assert "Friedman's test over 3 datasets and 3 methods" in comparison.ranking.note
    assert comparison.ranking.critical_difference == pytest.approx(1.91, abs=0.01)  # of ranks 1 to 3
    assert "is left out" in comparison.ranking.note and comparison.ranking.wilcoxon == {}


def test_effort_is_that_of_the_methods_own_stages() -> None:
    comparison = compared(methods=("kd", "mse_kd", "lgtm", "mpdistil"))
    efforts = {line.method: line.effort for line in comparison.lines}
    assert efforts["lgtm"] is not None and efforts["lgtm"].teacher_updates == 200
    assert efforts["kd"] is not None and efforts["kd"].teacher_updates == 0
    assert efforts["mpdistil"] is not None and efforts["mse_kd"] is not None
    # base, meta-teacher (1 s) and curriculum (30 s), whose CPU time the fake records as 1.9 times that; 2 episodes of 8
    assert efforts["mpdistil"].cpu_s == pytest.approx(efforts["mse_kd"].cpu_s + 1.9 * 31)
    assert efforts["mpdistil"].student_updates == 216
    assert efforts["mpdistil"].kept_updates == 160 + 8


def test_rows_and_updates_stand_beside_every_method_and_what_differs_is_said() -> None:
    comparison = compared(methods=("finetune", "kd", "mse_kd", "lgtm", "mpdistil"))
    text = markdown_text(comparison)
    for shown in (terminal_text(comparison), text):
        assert "Other labelled rows or updates than kd: lgtm, mpdistil." in shown
    effort = text.split("labelled<br>rows")[1]
    rows = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[3:9]] for line in effort.splitlines()[2:7]
    }
    assert rows["kd"] == ["800", "0", "0", "200", "160", "0"]
    assert rows["lgtm"] == ["800", "0", "100", "200", "160", "200"]
    assert rows["mpdistil"] == ["900", "300", "0", "216", "168", "0"]
    tree = comparison_tree(comparison)
    assert json.loads(json.dumps(tree))["lines"][4]["effort"]["train_rows"] == 900


def test_methods_with_the_same_rows_and_updates_are_said_to_have_them() -> None:
    expected = "All methods trained on as many labelled rows, in as many updates, as kd."
    assert expected in terminal_text(compared(methods=("finetune", "kd", "mse_kd")))
    fewer = compared((THREE_CLASSES,), ("kd", "finetune"), asked=("skd",))
    assert expected in terminal_text(fewer)


def test_a_record_without_rows_is_a_dash(tmp_path: Path) -> None:
    write_outputs((THREE_CLASSES,), (1,), ("kd", "mse_kd"))
    write_record(tmp_path / "outputs/student/views/kd/1", student_metrics(Updates(student=200, teacher=0)))
    outputs = gather_evaluated(["views"], ("kd", "mse_kd"), (1,))
    comparison = compare(outputs, ("kd", "mse_kd"), benchmark="b")
    assert [line.effort and line.effort.train_rows for line in comparison.lines] == [None, 800]
    assert "Other labelled rows or updates than kd: mse_kd." in terminal_text(comparison)


def test_the_number_of_points_tried_is_reported() -> None:
    comparison = compared(points={"kd": 12, "metadistil": 12, "finetune": 12})
    assert "Best of N on selection, never on dev: finetune 12, kd 12, metadistil 12 (the same number for all)" in (
        markdown_text(comparison)
    )
    assert "unfair" in markdown_text(compared(points={"kd": 12}))
    assert "no grid was searched" in markdown_text(compared())


def test_seeds_that_differ_between_methods_are_reported() -> None:
    write_outputs((THREE_CLASSES,), (3,), ("kd",))
    write_outputs((THREE_CLASSES,), (1, 2), ("kd", "finetune"))
    outputs = gather_evaluated(["views"], ("kd", "finetune"), (1, 2, 3))
    comparison = compare(outputs, ("kd", "finetune"), benchmark="b")
    assert comparison.notes == ["views: not every method has the same seeds (1 2 3; finetune 1 2)"]


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(UserError, match="baseline lgtm: not among the methods that are compared: kd, finetune"):
        choose_baseline(("kd", "finetune"), "lgtm")
    assert choose_baseline(("finetune", "kd")) == "kd"
    assert choose_baseline(("pkd", "dist")) == "pkd"


def test_groups_that_are_not_told_apart_are_the_longest_runs() -> None:
    assert groups_within([1.0, 1.5, 2.4, 4.0], 1.0) == [(0, 1), (1, 2)]
    assert groups_within([1.0, 3.0], 1.0) == []
    assert groups_within([1.0, 1.1, 1.2], 5.0) == [(0, 2)]


def test_json_holds_plain_numbers() -> None:
    tree = json.loads(json.dumps(comparison_tree(compared()), allow_nan=False))
    assert tree["lines"][0]["cells"]["views"]["margin"]["interval"]["rows"] == 60


def test_the_command_writes_text_markdown_json_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_outputs((THREE_CLASSES, TWO_CLASSES, REGRESSION), (1,), ("kd", "finetune", "lgtm"))
    arguments = ["--params", str(ROOT / "profiles/quickstart.yaml"), "--datasets", "views", "scenes", "likeness"]
    assert main([*arguments, "--seeds", "1", "--methods", "all", "--output", "out"]) == 0
    written = {path.name for path in Path("out").iterdir()}
    pictures = {f"comparison-{name}.png" for name in ("margins", "ranks", "time")}
    assert written == {"comparison.txt", "comparison.md", "comparison.json", *pictures}
    assert capsys.readouterr().out.startswith("method")


def test_nothing_to_compare_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--params", str(ROOT / "profiles/quickstart.yaml"), "--methods", "all"]) == 2
    assert "nothing was evaluated; run `dvc repro` first" in capsys.readouterr().err
