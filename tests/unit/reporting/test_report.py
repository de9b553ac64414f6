"""The report: its numbers against plain computations, what it says of one seed and of dev, and what it refuses."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from config.parameters import load
from config.stages import Registry
from epoch_choice import SelectedBy
from metrics import compute_metrics
from records.reported import ReportRecord
from reporting.figures import draw_figures
from reporting.gather import DatasetOutputs, gather
from reporting.page import Studied, render_page
from reporting.plots_data import metrics_tree, plot_files
from reporting.shipping import Shipping, ship
from reporting.shipping_figures import draw_shipping
from reporting.shipping_text import final_line
from reporting.summarise import Summary, summarise
from reporting.wording import terminal_table
from tasks.report import report, report_tree
from tasks.runtime.stage import Stage
from tests.fake_outputs import METHODS, QUICKSTART, FakeDataset, write_outputs

ROOT = Path(__file__).parents[3]
NAMES = [dataset.name for dataset in QUICKSTART]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def reported(
    seeds: Sequence[int] = (42,), methods: Sequence[str] = METHODS, names: Sequence[str] = NAMES
) -> tuple[Summary, list[DatasetOutputs]]:
    outputs = gather(names, methods, seeds)
    return summarise(outputs, methods, seeds, benchmark="quickstart"), outputs


def shipped_of(summary: Summary, outputs: list[DatasetOutputs]) -> dict[str, list[Shipping]]:
    return ship(outputs, summary, Registry())


def page_of(
    summary: Summary, outputs: list[DatasetOutputs], figures: Mapping[str, bytes], studied: Studied | None = None
) -> str:
    return render_page(summary, outputs, figures, shipped_of(summary, outputs), studied)


def test_scores_are_means_and_deviations_over_seeds() -> None:
    write_outputs(seeds=(1, 2, 3))
    summary, outputs = reported((1, 2, 3))
    values = [outputs[0].evaluations["mse_kd", seed].metrics.scores["dev"]["accuracy"] for seed in (1, 2, 3)]
    spread = summary.datasets[0].scores["mse_kd"]
    assert spread.mean == pytest.approx(np.mean(values))
    assert spread.sd == pytest.approx(np.std(values, ddof=1))


def test_the_margin_is_that_of_the_predictions_and_lies_in_its_interval() -> None:
    write_outputs(seeds=(1, 2))
    summary, outputs = reported((1, 2))
    for one, outs in zip(summary.datasets, outputs, strict=True):
        scores = {
            who: np.mean(
                [
                    compute_metrics([one.headline], getattr(part, who), part.labels, one.kind)[one.headline]
                    for part in (outs.evaluations["mpdistil", seed].predictions["dev"] for seed in (1, 2))
                ]
            )
            for who in ("student", "teacher")
        }
        margin = one.margins["mpdistil"].interval
        assert margin.difference == pytest.approx(scores["student"] - scores["teacher"])
        assert margin.low is not None and margin.high is not None
        assert margin.low < margin.difference < margin.high
        assert margin.rows == one.dev_rows


def test_the_mean_over_datasets_is_taken_seed_by_seed() -> None:
    write_outputs(seeds=(1, 2))
    summary, _ = reported((1, 2))
    means = [one.scores["mpdistil"].mean for one in summary.datasets]
    assert summary.average_scores["mpdistil"].mean == pytest.approx(np.mean(means))
    margins = [one.margins["mpdistil"].interval.difference for one in summary.datasets]
    assert summary.average_margins["mpdistil"].interval.difference == pytest.approx(np.mean(margins))
    assert summary.average_margins["mpdistil"].over_seeds.mean == pytest.approx(np.mean(margins))


def test_a_margin_says_how_many_rows_it_stands_for() -> None:
    write_outputs()
    summary, outputs = reported()
    rows = outputs[0].evaluations["finetune", 42].predictions["dev"]
    fewer = (rows.teacher.argmax(1) == rows.labels).sum() - (rows.student.argmax(1) == rows.labels).sum()
    tree = json.loads(json.dumps(report_tree(summary)))
    assert ReportRecord.model_validate_json(json.dumps(tree)).methods == tuple(tree["methods"])
    assert f"points = {fewer} of 300 rows" in tree["datasets"][0]["margins"]["finetune"]["rows_behind_it"]
    assert "no share of rows" in tree["datasets"][1]["margins"]["finetune"]["rows_behind_it"]


def test_predictions_are_paired_by_row_id_and_not_by_position(tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    write_outputs()
    before, _ = reported()
    path = tmp_path / "outputs/evaluate/amounts/mpdistil/42/predictions.parquet"
    table = parquet.read_table(path)
    parquet.write_table(table.take(np.random.default_rng(0).permutation(table.num_rows)), path)
    after, _ = reported()
    assert after.datasets[0].margins == before.datasets[0].margins


def test_one_seed_is_said_to_have_no_spread() -> None:
    write_outputs()
    summary, outputs = reported()
    assert "one seed, no spread" in terminal_table(summary)
    assert "±" not in terminal_table(summary)
    assert "One seed, no spread" in page_of(summary, outputs, {})


def test_numbers_selected_on_dev_carry_that_label_everywhere() -> None:
    write_outputs(selected_on="dev")
    summary, outputs = reported()
    page = page_of(summary, outputs, {})
    assert "(selected on dev)</span></h1>" in page
    assert page.count("selected on dev") >= 4
    assert "chose no epoch" not in page
    assert "selected on dev" in terminal_table(summary)
    assert metrics_tree(summary)["selected_on_dev"] == 1
    assert report_tree(summary)["protocol"] == "selected on dev"


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("loss", "chosen by the mean task loss on rows held out"),
        ("metric", "chosen by the primary metric (ties: the earliest) on rows held out"),
        ("metric_then_loss", "chosen by the primary metric (ties: the lower mean task loss) on rows held out"),
    ],
)
def test_the_page_says_what_chose_the_epochs(by: SelectedBy, words: str) -> None:
    write_outputs()
    summary, outputs = reported()
    page = page_of(replace(summary, selected_by=by), outputs, {})
    assert words in " ".join(page.split()) and "the best of" not in page
    page = page_of(replace(summary, selected_by=by, points=4), outputs, {})
    assert f"(the best of 4 of learning rate and main weight) were {words}" in " ".join(page.split())


def test_the_terminal_table_has_a_row_a_dataset_and_the_mean() -> None:
    write_outputs(seeds=(1, 2))
    lines = terminal_table(reported((1, 2))[0]).splitlines()
    assert [line.split()[0] for line in lines[3:8]] == [*NAMES, "mean"]
    for words in ("teacher", "fine-tuned", "distilled", "meta-", "MPDistil", "margin", "parameters", "latency"):
        assert words in "\n".join(lines[:2])
    assert "2 seeds" in lines[9]
    assert lines[-3:] == [
        "  student fine-tuned: 800 rows, 200 updates (160 to the weights kept)",
        "  student distilled: 800 rows, 200 updates (160 to the weights kept)",
        "  MPDistil student: 900 rows + 300 of other datasets, 520 updates (168 to the weights kept)",
    ]
    assert max(map(len, lines)) <= 135


def test_methods_that_are_not_asked_for_are_not_needed() -> None:
    write_outputs(methods=("finetune", "mse_kd"))
    summary, outputs = reported(methods=("finetune", "mse_kd"))
    assert list(summary.columns) == ["teacher", "finetune", "mse_kd"]
    assert summary.main_method == "mse_kd"
    assert "student distilled was trained on 800 rows, 200 updates" in page_of(summary, outputs, {})
    assert "Rewards over episodes" not in page_of(summary, outputs, draw_figures(summary, outputs))


@pytest.mark.parametrize(
    "missing",
    [
        "evaluate/scenes/mse_kd/42/predictions.parquet",
        "student/scenes/mpdistil/42/episodes.jsonl",
        "meta_teacher/scenes/42/metrics.json",
    ],
)
def test_a_missing_output_is_one_error_that_names_it(tmp_path: Path, missing: str) -> None:
    write_outputs()
    (tmp_path / "outputs" / missing).unlink()
    with pytest.raises(match=f"outputs/{missing}: missing, .* run `dvc repro`"):
        reported()


def test_a_damaged_output_is_one_error_that_names_it(tmp_path: Path) -> None:
    write_outputs()
    (tmp_path / "outputs/evaluate/scenes/mse_kd/42/metrics.json").write_text('{"dev": ')
    with pytest.raises(match=r"scenes/mse_kd/42/metrics.json: not valid JSON"):
        reported()


def test_a_metric_that_its_predictions_contradict_is_reported(tmp_path: Path) -> None:
    write_outputs()
    path = tmp_path / "outputs/evaluate/amounts/mse_kd/42/metrics.json"
    metrics = json.loads(path.read_text())
    metrics["dev"]["accuracy"] += 0.01
    path.write_text(json.dumps(metrics))
    summary, outputs = reported()
    assert "its predictions" in summary.datasets[0].warnings[0]
    assert "mse_kd, seed 42" in page_of(summary, outputs, {})


def test_a_teacher_that_is_no_better_than_the_majority_is_in_no_mean_and_the_first_thing_that_is_said() -> None:
    write_outputs()
    before, _ = reported()
    write_outputs(unlearned=("scenes",))
    summary, outputs = reported()
    assert list(summary.findings.left_out) == ["scenes"] and not before.findings.left_out
    kept = [one.scores["mpdistil"].mean for one in summary.datasets if one.name != "scenes"]
    assert summary.average_scores["mpdistil"].mean == pytest.approx(np.mean(kept))
    margins = [one.margins["mpdistil"].interval.difference for one in summary.datasets if one.name != "scenes"]
    assert summary.average_margins["mpdistil"].interval.difference == pytest.approx(np.mean(margins))
    assert "of 3 of 4" in terminal_table(summary)
    line = final_line(summary, shipped_of(summary, outputs))
    assert line.startswith("WARNING: left out: scenes (teacher no") and "mean over 3 of 4 datasets" in line
    page = page_of(summary, outputs, {})
    assert page.index("scenes: teacher no") < page.index('<p class="result')


def test_of_no_dataset_with_anything_to_teach_there_is_no_mean_and_no_best() -> None:
    write_outputs(QUICKSTART[:1], unlearned=NAMES[:1])
    summary, outputs = reported(names=NAMES[:1])
    assert not summary.average_scores and not summary.findings.best
    assert "no teacher had anything to teach" in final_line(summary, shipped_of(summary, outputs))
    assert metrics_tree(summary).keys() == {"amounts"}


def test_plot_files_have_a_row_for_each_point() -> None:
    write_outputs(episodes=5)
    files = {name: list(csv.DictReader(io.StringIO(text))) for name, text in plot_files(*reported()).items()}
    assert len(files["curves.csv"]) == 4 * 3 * 10  # datasets x (teacher and two students) x epochs
    assert len(files["rewards.csv"]) == 4 * 5
    assert len(files["actions.csv"]) == 4 * 5 * 4
    assert len(files["confusion.csv"]) == 300 + 320 + 100
    assert {row["actual"].split(": ")[0] for row in files["confusion.csv"]} == {"amounts", "scenes", "sequels"}
    shares = [
        float(row["share"]) for row in files["actions.csv"] if (row["dataset"], row["episode"]) == ("scenes", "3")
    ]
    assert sum(shares) == pytest.approx(1)


def test_plot_files_keep_their_headers_without_a_curriculum() -> None:
    write_outputs(methods=("finetune",))
    assert plot_files(*reported(methods=("finetune",)))["rewards.csv"].startswith("dataset,series,seed,episode")


def test_figures_are_pictures_and_the_same_numbers_give_the_same_bytes() -> None:
    write_outputs(QUICKSTART[:2], episodes=6)
    summary, outputs = reported(names=NAMES[:2])
    figures = draw_figures(summary, outputs)
    assert {"margins", "curves-likeness", "rewards-likeness", "actions-amounts"} <= set(figures)
    assert all(picture.startswith(b"\x89PNG") for picture in figures.values())
    assert draw_figures(summary, outputs) == figures


class Addresses(HTMLParser):
    """Collects what a page would load, and its headings."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]


def test_the_page_loads_nothing_from_anywhere() -> None:
    write_outputs(QUICKSTART[:1], episodes=6)
    summary, outputs = reported(names=NAMES[:1])
    pictures = draw_figures(summary, outputs) | draw_shipping(outputs, shipped_of(summary, outputs))
    page = page_of(summary, outputs, pictures)
    parser = Addresses()
    parser.feed(page)
    assert len(parser.loaded) == 6
    assert all(address.startswith("data:image/png;base64,") for address in parser.loaded)
    assert "url(" not in page and "@import" not in page and "<script" not in page


def test_too_few_dev_rows_have_margins_without_an_interval(tmp_path: Path) -> None:
    few = FakeDataset("amounts", "pair", ("more", "less"), ("accuracy",), 12)
    write_outputs((few, QUICKSTART[3]))
    summary, outputs = reported(names=["amounts", "sequels"])
    text = terminal_table(summary)
    assert text.count("[no interval: too few rows]") == 1
    assert "12 dev rows: too few to tell the teacher from the majority" in summary.findings.left_out["amounts"]
    figures = draw_figures(summary, outputs)
    page = page_of(summary, outputs, figures)
    assert figures["margins"].startswith(b"\x89PNG")
    assert "too few rows: no interval (fewer than 20)" in page
    assert "None" not in text
    margin = json.loads(json.dumps(report_tree(summary), allow_nan=False))["datasets"][0]["margins"]["mpdistil"]
    assert margin["interval"]["low"] is None and "too few to tell" in final_line(summary, shipped_of(summary, outputs))


def test_names_are_escaped_on_the_page() -> None:
    odd = FakeDataset("amounts", "pair", ("<b>", "&", "ok"), ("accuracy",), 100)
    write_outputs((odd,))
    summary, outputs = reported(names=["amounts"])
    object.__setattr__(summary, "benchmark", "<script>x</script>")
    assert "<script>" not in page_of(summary, outputs, {})


def test_json_holds_plain_numbers_only() -> None:
    write_outputs(seeds=(1, 2))
    summary, _ = reported((1, 2))
    tree = json.loads(json.dumps(report_tree(summary), allow_nan=False))
    assert tree["datasets"][0]["latency_setting"] == {"batch": 1, "length": 64, "threads": 1, "repeats": 30}
    assert tree["datasets"][0]["costs"]["teacher"]["duration_s"] == pytest.approx(96)
    assert tree["datasets"][0]["models"]["mpdistil"]["parameters"] == 11_400_000
    assert set(metrics_tree(summary)) == {*NAMES, "mean"}


def test_the_final_line_names_the_highest_student_and_whether_it_may_be_shipped() -> None:
    write_outputs()
    summary, outputs = reported()
    line = final_line(summary, shipped_of(summary, outputs))
    assert line.startswith("mean over 4 datasets: highest mpdistil, not told apart from mse_kd; −")
    assert "to its teacher, +" in line and "to finetune. May I ship it? " in line


def test_the_stage_writes_everything_into_its_folder(tmp_path: Path) -> None:
    parameters = load(ROOT / "profiles" / "quickstart.yaml")
    datasets = [FakeDataset(name, "single", ("no", "yes"), ("accuracy",), 60) for name in parameters.datasets]
    write_outputs(datasets, parameters.seeds, parameters.methods.names, episodes=4)
    (tmp_path / "report").mkdir()
    stage = Stage("report", parameters, folder=tmp_path / "report")
    report(stage)
    written = {path.name for path in stage.folder.iterdir()}
    texts = ("report.html", "table.txt", "comparison.txt", "rows.csv")
    assert written == {*texts, "report.json", "metrics.json", "plots", "figures"}
    assert "May I ship it?" in stage.headline
    page = (stage.folder / "report.html").read_text()
    assert "<h2>Methods side by side</h2>" in page
    papers = page.partition('<details class="papers">')[2]
    assert "<h3>What the papers ask of their methods</h3>" in papers and "Fig. 4" in papers
    assert "Fig. 4" not in page.partition('<details class="papers">')[0]
    numbers = json.loads((stage.folder / "report.json").read_text())
    assert [line["method"] for line in numbers["comparison"]["lines"]] == list(parameters.methods.names)
    assert set(
        json.loads((stage.folder / "metrics.json").read_text())[parameters.datasets[0]]["selection_loss"]
    ) == set(parameters.methods.names)
