"""The analyses of the papers: computed from invented records of which the answers are known."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from reporting.analysis import Analysis, analyse, entropy
from reporting.analysis_figures import draw_analysis
from reporting.analysis_text import correlation_text, entropy_table, share_table, temperature_table
from reporting.gather import DatasetOutputs, gather
from reporting.method_records import Records, read_records
from tests.fake_outputs import FakeDataset, write_json, write_outputs

VIEWS = FakeDataset("views", "pair", ("a", "b", "c"), ("accuracy",), 60)
SCENES = FakeDataset("scenes", "single", ("in", "out"), ("accuracy",), 80)
METHODS = ("finetune", "mse_kd", "prokd", "metadistil", "lgtm", "mpdistil")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def analysed(
    methods: tuple[str, ...] = METHODS, seeds: tuple[int, ...] = (1, 2)
) -> tuple[Analysis, list[DatasetOutputs], list[Records]]:
    names = ["views", "scenes"]
    outputs, records = gather(names, methods, seeds), read_records(names, methods, seeds)
    return analyse(outputs, records), outputs, records


def meta_teacher_gains(points: dict[tuple[str, int], float]) -> None:
    """Set the meta-teacher's score so many points above its teacher's."""
    for (dataset, seed), gain in points.items():
        teacher = json.loads(Path(f"outputs/evaluate/{dataset}/mpdistil/{seed}/metrics.json").read_text())[
            "teacher_dev"
        ]
        path = Path(f"outputs/meta_teacher/{dataset}/{seed}/metrics.json")
        better = {"accuracy": teacher["accuracy"] + gain / 100, "loss": 0.5}
        write_json(path, json.loads(path.read_text()) | {"dev": better})


def test_improvements_are_over_the_teacher_and_over_fine_tuning() -> None:
    write_outputs((VIEWS, SCENES), (1, 2), METHODS, episodes=4)
    meta_teacher_gains({("views", 1): 2.0, ("views", 2): 0.0, ("scenes", 1): -1.0, ("scenes", 2): 3.0})
    analysis, outputs, _ = analysed()
    gains = {(one.dataset, one.seed): one.meta_teacher for one in analysis.improvements}
    assert gains == pytest.approx({("views", 1): 2, ("views", 2): 0, ("scenes", 1): -1, ("scenes", 2): 3})
    scores = [outputs[0].evaluations[name, 1].metrics.scores["dev"]["accuracy"] for name in ("mpdistil", "finetune")]
    assert analysis.improvements[0].student == pytest.approx(100 * (scores[0] - scores[1]))
    students = [one.student for one in analysis.improvements]
    assert analysis.improvement_correlation is not None
    assert analysis.improvement_correlation.r == pytest.approx(np.corrcoef([2, 0, -1, 3], students)[0, 1])
    assert "4 points, one a dataset and seed (2 datasets)" in correlation_text(analysis)
    assert "p is too small" in correlation_text(analysis)


def test_two_points_have_no_correlation_and_say_so() -> None:
    write_outputs((VIEWS, SCENES), (1,), METHODS, episodes=4)
    analysis, *_ = analysed(seeds=(1,))
    assert analysis.improvement_correlation is None
    assert "no correlation can be taken" in correlation_text(analysis)


def test_metadistils_shares_are_means_over_epochs_and_halves() -> None:
    write_outputs((VIEWS, SCENES), (1, 2), METHODS, episodes=4)
    analysis, *_ = analysed()
    nearer = next(one for one in analysis.shares if "nearer" in one.what)
    parts = (nearer.first_half.mean, nearer.second_half.mean, nearer.whole.mean)
    assert parts == pytest.approx((0.9, 0.5, 0.7))  # the fake: 0.9 in five of ten epochs, then 0.5
    assert len(share_table(analysis).rows) == 4


def test_lgtms_rows_with_the_lowest_and_the_highest_mean_influence_are_followed() -> None:
    write_outputs((VIEWS, SCENES), (1,), METHODS, episodes=4)
    analysis, *_ = analysed(seeds=(1,))
    lowest, highest = (row for row in analysis.followed if row.dataset == "views")
    assert (lowest.row, highest.row) == (19, 18)  # the fake: odd rows do harm, even ones are worth something
    assert [one.step for one in highest.over_time] == sorted(one.step for one in highest.over_time)
    trend = analysis.trends[0]
    assert min(trend.positive) > 0 > max(trend.negative)
    assert len(trend.positive) == len(trend.entropy_gap) == 20
    assert trend.positive[10] > trend.positive[0]


def test_the_entropy_of_equal_logits_is_that_of_a_fair_die() -> None:
    assert entropy(np.zeros((2, 6))) == pytest.approx(np.log([6, 6]))
    assert entropy(np.array([[100.0, 0.0]])) == pytest.approx([0.0])


def test_the_entropy_gap_is_student_minus_teacher_on_dev() -> None:
    write_outputs((VIEWS, SCENES), (1,), METHODS, episodes=4)
    analysis, outputs, _ = analysed(seeds=(1,))
    rows = outputs[0].evaluations["lgtm", 1].predictions["dev"]
    gap = next(one.gap.mean for one in analysis.entropy_gaps if (one.dataset, one.method) == ("views", "lgtm"))
    assert gap == pytest.approx(entropy(rows.student).mean() - entropy(rows.teacher).mean())
    assert [row[0] for row in entropy_table(analysis).rows] == list(METHODS)


def test_prokd_with_and_without_its_temperature_stand_side_by_side_where_both_were_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("tests.fake_outputs", fromlist=["SKILL"]).SKILL, "prokd-plain", 1.0)
    methods = ("prokd", "prokd-plain")
    write_outputs((VIEWS, SCENES), (1,), methods)
    assert analysed(methods, (1,))[0].temperatures == []
    for name, cooled in (("prokd", True), ("prokd-plain", False)):
        path = Path(f"outputs/student/views/{name}/1/run.json")
        write_json(path, json.loads(path.read_text()) | {"params": {"prokd": {"temperature": cooled}}})
    analysis, outputs, _ = analysed(methods, (1,))
    (found,) = analysis.temperatures
    scores = outputs[0].evaluations["prokd-plain", 1].metrics.scores
    assert found.without_it.mean == pytest.approx(scores["dev"]["accuracy"] - scores["teacher_dev"]["accuracy"])
    assert [row[0] for row in temperature_table(analysis, {"views": "accuracy"}).rows] == ["views"]


def test_a_long_name_leaves_the_panels_room() -> None:
    name = "tickets-of-the-second-half-of-the-year"
    write_outputs((FakeDataset(name, "single", ("in", "out"), ("accuracy",), 60),), (1,), METHODS, episodes=4)
    outputs, records = gather([name], METHODS, (1,)), read_records([name], METHODS, (1,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns where a layout has no room
        assert "analysis-curricula" in draw_analysis(analyse(outputs, records), records)


def test_every_analysis_has_its_picture_and_records_that_are_not_there_have_none() -> None:
    write_outputs((VIEWS, SCENES), (1, 2), METHODS, episodes=4)
    analysis, _, records = analysed()
    expected = {f"analysis-{name}" for name in ("meta-teacher", "rewards", "curricula", "improvements")}
    assert set(draw_analysis(analysis, records)) == expected | {"analysis-influence-views", "analysis-influence-scenes"}
    bare, _, nothing = analysed(("finetune", "mse_kd"))
    assert draw_analysis(bare, nothing) == {}
    assert correlation_text(bare) == ""
