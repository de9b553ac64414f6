"""The summary of a run, as Prefect's page and as the terminal's table."""

import json
import socket
from dataclasses import replace
from pathlib import Path

from flows.outcome import Outcome, StageOutcome, newly_registered, ordered
from flows.summary import Results, gate_lines, markdown, read_results, report_markdown, table

STAGES = (
    StageOutcome("source@rte", "Cached", note="up to date"),
    StageOutcome("teacher@rte-42", "Ran", 93.4, "params teacher.epochs: 3 -> 4", changed=True),
    StageOutcome("student@rte-mse_kd-42", "Failed", note="a | b", tail=("first", "```", "last")),
    StageOutcome("report", "Skipped", note="needs student@rte-mse_kd-42"),
)
OUTCOME = Outcome(STAGES, 100.2)
WHOLE = Outcome((*STAGES[:3], StageOutcome("register", "Ran", 2.0), StageOutcome("report", "Ran", 4.0)))
REPORT = {
    "protocol": "selected on selection, reported on dev",
    "seeds_note": "one seed, no spread",
    "columns": {"teacher": "teacher", "mse_kd": "student distilled"},
    "methods": ["mse_kd"],
    "datasets": [
        {
            "name": "rte",
            "headline": "accuracy",
            "scores": {"teacher": {"mean": 0.802, "sd": None}, "mse_kd": {"mean": 0.774, "sd": 0.012}},
            "margins": {"mse_kd": {"interval": {"difference": -0.028, "low": -0.058, "high": 0.004}}},
        }
    ],
}
STUDENT = {
    **{"dataset": "rte", "method": "mse_kd", "seed": 42, "name": "glue-rte-mse_kd", "version": 3, "new": True},
    **{"aliases": ["champion"], "gate": None, "checks": [], "run_id": None, "url": None},
}


def written(root: Path, *, url: str | None = None) -> Path:
    """Outputs of a report and a registration."""
    address = {
        **{"address": "http://registry:5000", "reachable": True, "students": [STUDENT | {"url": url}], "new": 1},
        **{"unfit_champions": [], "trial": None, "state": None},
    }
    for folder, name, content in (
        ("report", "report.json", REPORT),
        ("report", "report.html", {}),
        ("register", "registered.json", address),
    ):
        (root / "outputs" / folder).mkdir(parents=True, exist_ok=True)
        (root / "outputs" / folder / name).write_text(json.dumps(content))
    return root


def test_the_headline_counts_the_stages_by_state_and_names_the_failed_ones() -> None:
    assert OUTCOME.headline == "4 stages: 1 ran, 1 cached, 1 failed (student@rte-mse_kd-42), 1 skipped"
    assert not OUTCOME.complete
    assert Outcome(STAGES[:2]).complete


def test_the_page_has_the_scores_first_then_what_ran_or_failed_and_a_line_for_all_that_was_cached(
    tmp_path: Path,
) -> None:
    page = markdown(WHOLE, read_results(written(tmp_path, url="http://registry:5000/#/models/x"), WHOLE))
    assert "| teacher@rte-42 | Ran | 93.4 | params teacher.epochs: 3 -> 4 |" in page
    assert "| student@rte-mse_kd-42 | Failed |  | a \\| b |" in page
    assert "first\n'''\nlast\n```" in page
    assert "source@rte" not in page and "\n1 stage cached.\n" in page
    assert "| rte | accuracy | 80.2 | 77.4 ± 1.2 | -2.8 [-5.8, +0.4] |" in page
    assert "selected on selection, reported on dev; one seed, no spread" in page
    assert "| [glue-rte-mse_kd 3](http://registry:5000/#/models/x) | 42 | champion | new |" in page
    assert str(tmp_path / "outputs" / "report" / "report.html") in page
    parts = [page.index(words) for words in ("## Scores", "## Stages", "## student@", "## Registered", "Report: ")]
    assert parts == sorted(parts)


def test_a_metric_that_is_no_share_of_100_is_shown_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path) / "outputs" / "report" / "report.json"
    path.write_text(path.read_text().replace('"accuracy"', '"mse"'))
    assert "| rte | mse | 0.802 | 0.774 ± 0.012 | -0.028 [-0.058, +0.004] |" in markdown(
        WHOLE, read_results(tmp_path, WHOLE)
    )


def test_the_report_opens_in_prefect_with_its_tables_and_its_picture_and_without_a_link_to_a_file(
    tmp_path: Path,
) -> None:
    folder = written(tmp_path) / "outputs" / "report"
    (folder / "table.txt").write_text("dataset  teacher\nrte         80.2\n")
    (folder / "figures").mkdir()
    (folder / "figures" / "margins.png").write_bytes(b"picture")
    page = report_markdown(read_results(tmp_path, WHOLE))
    assert "```text\ndataset  teacher\nrte         80.2\n```" in page
    assert "(data:image/png;base64,cGljdHVyZQ==)" in page
    assert "file:" not in page and f"{folder / 'report.html'}` on {socket.gethostname()}" in page


def test_what_an_earlier_run_wrote_is_no_result_of_a_run_that_made_no_report(tmp_path: Path) -> None:
    results = read_results(written(tmp_path), OUTCOME)
    assert results == Results()
    page = markdown(OUTCOME, results)
    assert "Scores" not in page and "Registered" not in page and "Report" not in page


def test_the_report_of_a_worktree_is_where_it_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert read_results(written(tmp_path), WHOLE, kept).report == kept / "report" / "report.html"


def test_the_table_shows_what_was_not_simply_cached() -> None:
    lines = table(OUTCOME).splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["teacher@rte-42", "student@rte-mse_kd-42", "report"]
    assert lines[-1] == f"{OUTCOME.headline}, 100 s"
    assert table(replace(OUTCOME, report=Path("a/report.html"))).splitlines()[-1] == "Report: a/report.html"


def test_of_many_stages_the_table_shows_those_that_failed_and_those_that_took_longest() -> None:
    many = tuple(StageOutcome(f"stage{number}", "Ran", seconds=number) for number in range(40))
    lines = table(Outcome((*many, STAGES[2]))).splitlines()
    shown = {line.split()[0] for line in lines[:-2]}
    assert {"student@rte-mse_kd-42", "stage39", "stage29"} <= shown and "stage28" not in shown
    assert lines[-2] == "... and 29 more"


def test_a_stage_of_which_nothing_is_known_was_stopped() -> None:
    assert [stage.state for stage in ordered({"a": StageOutcome("a", "Ran")}, ["a", "b"])] == ["Ran", "Stopped"]


def test_what_register_wrote_is_read_and_nothing_is_made_of_a_broken_file(tmp_path: Path) -> None:
    found = newly_registered(written(tmp_path))
    assert found is not None and (found.new, found.reachable, found.trial) == (1, True, None)
    path = tmp_path / "outputs" / "register" / "registered.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"new": 0, "trial": "dvc exp run, hot-kd"}))
    found = newly_registered(tmp_path)
    assert found is not None and (found.new, found.reachable, found.trial) == (0, True, "dvc exp run, hot-kd")
    (tmp_path / "outputs" / "register" / "registered.json").write_text("{")
    assert newly_registered(tmp_path) is None


def test_what_the_gate_says_stands_on_the_page_and_in_the_terminal_with_what_is_wrong_first(tmp_path: Path) -> None:
    path = written(tmp_path) / "outputs" / "register" / "registered.json"
    gate = (
        "version 2 stays champion, version 3 does not become it; failed: margin to its teacher: accuracy -12.0 points"
    )
    other = {"name": "glue-copa-mse_kd", "version": 1, "failed": ["student above the majority: accuracy 0.0 points"]}
    judged = STUDENT | {"gate": gate, "aliases": ["candidate"]}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"students": [judged], "unfit_champions": [other]}))
    results = read_results(tmp_path, WHOLE)
    wrong, sentence = gate_lines(results)
    assert wrong.startswith("!! glue-copa-mse_kd: version 1 is champion and would NOT pass the gate: student above")
    assert sentence == f"glue-rte-mse_kd: {gate}"
    page = markdown(WHOLE, results)
    assert f"## May it be shipped?\n\n- {wrong}\n- {sentence}\n" in page
    printed = table(replace(WHOLE, gate=gate_lines(results)))
    assert f"{wrong}\n{sentence}\n" in printed


def test_of_a_trial_it_is_said_that_nothing_is_registered(tmp_path: Path) -> None:
    path = written(tmp_path) / "outputs" / "register" / "registered.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"trial": "flows run --set mse_kd.temperature=4"}))
    page = markdown(WHOLE, read_results(tmp_path, WHOLE))
    assert (
        "Trial (flows run --set mse_kd.temperature=4): nothing registered; `registry.trials: true` registers it."
        in page
    )
    assert "## Registered students" not in page
