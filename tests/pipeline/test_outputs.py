"""Output of a whole run: every file, and numbers that agree with each other from stage to stage."""

import csv
import json

import pyarrow.parquet as parquet
import pytest
from workspace import Workspace, ran

pytestmark = pytest.mark.xdist_group("pipeline")
METHODS = ("finetune", "mse_kd", "mpdistil")
RUN_KEYS = {"params", "input_hashes", "code", "versions", "device", "threads", "duration_s", "cpu_s", "peak_memory_mb"}


def test_the_first_run_ran_every_stage_and_each_said_one_final_line(ran_once: Workspace) -> None:
    stages = ran(ran_once.first_output)
    assert len(stages) == 2 * (4 + 2 + 2 + 3) + len(("code", "report"))
    for name in ran_once.datasets:
        assert f"curriculum {name} mpdistil 42: " in ran_once.first_output
    assert "Traceback" not in ran_once.first_output


def test_every_stage_left_its_files(ran_once: Workspace) -> None:
    for name in ran_once.datasets:
        expected = [
            f"source/{name}/rows/train.parquet",
            *(f"split/{name}/tokens/{split}.arrow" for split in ("train", "quiz", "selection", "dev")),
            f"teacher/{name}/42/curves.jsonl",
            *(f"signals/{name}/42/signals/{split}.safetensors" for split in ("train", "quiz", "selection", "dev")),
            f"meta_teacher/{name}/42/head/head.safetensors",
            f"student/{name}/mpdistil/42/steps.jsonl",
            f"student/{name}/mpdistil/42/episodes.jsonl",
            *(f"student/{name}/{method}/42/model/model.safetensors" for method in METHODS),
            *(f"evaluate/{name}/{method}/42/predictions.parquet" for method in METHODS),
        ]
        assert [path for path in expected if not ran_once.output(path).is_file()] == []
    for path in ("report.html", "report.json", "table.txt", "metrics.json", "plots/curves.csv", "figures"):
        assert ran_once.output("report", path).exists()
    assert not list(ran_once.output(".partial").glob("*"))


def test_every_output_has_a_record_that_says_what_went_in(ran_once: Workspace) -> None:
    records = sorted(ran_once.output().rglob("run.json"))
    assert len(records) == 2 * (4 + 2 + 2 + 3) + len(("code", "report", "register"))
    for path in records:
        record = json.loads(path.read_text(encoding="utf-8"))
        assert record.keys() >= RUN_KEYS, path
        assert record["threads"] == 1
        assert (path.parent / "metrics.json").is_file()
        if record["stage"] not in ("code", "source"):
            assert record["input_hashes"]
        assert record["code"] == ran_once.json("code", f"{record['stage']}.json")


def test_rows_are_the_same_from_the_split_to_the_predictions_to_the_report(ran_once: Workspace) -> None:
    report = ran_once.json("report", "report.json")
    for name in ran_once.datasets:
        rows = ran_once.json("split", name, "metrics.json")["rows"]
        assert sum(rows[split] for split in ("train", "quiz", "selection")) <= 320
        assert rows["dev"] == 60
        table = parquet.read_table(ran_once.output("evaluate", name, "mpdistil", "42", "predictions.parquet"))
        sets = table.column("set").to_pylist()
        assert {split: sets.count(split) for split in set(sets)} == {
            "selection": rows["selection"],
            "dev": rows["dev"],
        }
        (one,) = [dataset for dataset in report["datasets"] if dataset["name"] == name]
        assert one["rows"]["dev"] == rows["dev"]


def test_the_report_shows_the_scores_of_evaluate(ran_once: Workspace) -> None:
    shown = ran_once.json("report", "metrics.json")
    for name in ran_once.datasets:
        metric = ran_once.json("split", name, "tokens", "spec.json")["metrics"][0]
        for method in METHODS:
            scores = ran_once.json("evaluate", name, method, "42", "metrics.json")
            assert shown[name][method] == pytest.approx(scores["dev"][metric], abs=1e-6)
            assert shown[name]["teacher"] == pytest.approx(scores["teacher_dev"][metric], abs=1e-6)
        assert shown[name]["margin"] == pytest.approx(shown[name]["mpdistil"] - shown[name]["teacher"], abs=1e-5)


def test_the_curriculum_starts_at_its_student_and_never_ends_below_it_on_selection(ran_once: Workspace) -> None:
    for name in ran_once.datasets:
        lines = ran_once.output("student", name, "mpdistil", "42", "episodes.jsonl").read_text().splitlines()
        episodes = [json.loads(line) for line in lines]
        base = ran_once.json("student", name, "mse_kd", "42", "metrics.json")["selection"]["loss"]
        assert episodes[0]["selection_loss"] == pytest.approx(base, rel=1e-5)
        kept = ran_once.json("student", name, "mpdistil", "42", "metrics.json")["selection"]["loss"]
        assert kept == min(row["selection_loss"] for row in episodes)
        evaluated = ran_once.json("evaluate", name, "mpdistil", "42", "metrics.json")["selection"]["loss"]
        assert evaluated == pytest.approx(kept, rel=1e-5)


def test_rows_and_updates_are_those_of_the_records_and_of_the_splits(ran_once: Workspace) -> None:
    for name in ran_once.datasets:
        rows = ran_once.json("split", name, "metrics.json")["rows"]
        base, own = (ran_once.json("student", name, method, "42", "metrics.json") for method in ("mse_kd", "mpdistil"))
        assert (base["train_rows"], base["other_rows"], base["feedback_rows"]) == (rows["train"], 0, 0)
        steps = [
            json.loads(line)
            for line in ran_once.output("student", name, "mpdistil", "42", "steps.jsonl").read_text().splitlines()
        ]
        assert own["updates"]["student"] == len(steps)
        assert own["updates"]["student_kept"] == len([row for row in steps if row["episode"] <= own["best_episode"]])
        drawn = {row["action"] for row in steps}
        assert (own["other_rows"] > 0) == bool(drawn - {name})
        assert (own["train_rows"] > rows["train"]) == (name in drawn)
        assert own["train_rows"] + own["feedback_rows"] == rows["train"] + rows["quiz"]
        (shown,) = [one for one in ran_once.json("report", "report.json")["datasets"] if one["name"] == name]
        assert shown["efforts"]["mpdistil"]["student_updates"] == base["updates"]["student"] + len(steps)
        assert shown["efforts"]["mpdistil"]["train_rows"] == own["train_rows"]


def test_files_for_plots_hold_a_row_for_every_epoch_episode_and_prediction(ran_once: Workspace) -> None:
    def rows(name: str) -> list[dict[str, str]]:
        with ran_once.output("report", "plots", f"{name}.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    assert len(rows("curves")) == 2 * (2 + 2 * 2)  # datasets x (teacher's epochs + two students' epochs)
    assert len(rows("rewards")) == 2 * 2  # datasets x episodes
    assert len(rows("actions")) == 2 * 2 * 2  # datasets x episodes x actions
    assert len(rows("confusion")) == 2 * 60


def test_no_row_is_in_two_splits(ran_once: Workspace) -> None:
    for name in ran_once.datasets:
        hashes = ran_once.json("split", name, "tokens", "manifest.json")["splits"]
        assert len({split["sha256"] for split in hashes.values()}) == 4
        source = parquet.read_table(ran_once.output("source", name, "rows", "train.parquet")).num_rows
        rows = ran_once.json("split", name, "metrics.json")
        parts = sum(rows["rows"][split] for split in ("train", "quiz", "selection"))
        assert parts + rows["dropped_equal_to_dev"] == source
