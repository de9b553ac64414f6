"""MPDistil's propositions: the counterexample that docs/papers.md prints, and what the report makes of stored rows."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from methods.curriculum_rewards import binary_reward, real_reward
from methods.meta_teacher import collaborative, competitive
from reporting.analysis import Analysis, analyse
from reporting.analysis_text import first_proposition_table, second_proposition_table
from reporting.gather import gather
from reporting.method_records import read_records
from reporting.propositions import first_proposition
from tests.fake_outputs import FakeDataset, write_lines, write_outputs

TEACHER, STUDENT = np.array([0.21, 0.89]), np.array([0.40, 0.49])
SCENES = FakeDataset("scenes", "single", ("in", "out"), ("accuracy",), 80)
RATING = FakeDataset("rating", "regression", (), ("pearson",), 70)
NAMES, SEEDS, METHODS = ("scenes", "rating"), (1, 2), ("finetune", "mse_kd", "mpdistil")


def test_two_rows_contradict_proposition_1() -> None:
    found = first_proposition("two rows", 1, TEACHER, STUDENT)
    assert found.premise and found.collaborative == pytest.approx(0.827, abs=5e-4)
    assert found.competitive == pytest.approx(0.862, abs=5e-4)
    assert not found.conclusion and (found.student, found.teacher) == pytest.approx((0.445, 0.55))
    papers = (Path(__file__).parents[3] / "docs" / "papers.md").read_text(encoding="utf-8")
    for printed in ("p_T = (.21, .89)", "p_S = (.40, .49)", ".827", ".862", "E[p_S] = .445 < E[p_T] = .55"):
        assert printed in papers


def test_the_losses_of_the_counterexample_are_those_that_the_meta_teacher_learns_by() -> None:
    def logits(p: np.ndarray) -> torch.Tensor:
        return torch.log(torch.tensor(np.stack([1 - p, p], axis=1)))

    found, labels = first_proposition("two rows", 1, TEACHER, STUDENT), torch.ones(2, dtype=torch.long)
    ours = (logits(TEACHER), logits(STUDENT), labels, "single")
    assert found.collaborative == pytest.approx(collaborative(*ours).item())
    assert found.competitive == pytest.approx(competitive(*ours).item())


def test_the_premise_says_that_the_students_mean_log_probability_is_higher_and_no_more() -> None:
    draw, contradicted = np.random.default_rng(0), 0
    for _ in range(500):
        found = first_proposition("", 1, *draw.uniform(0.01, 1, size=(2, 4)))
        assert found.premise == (found.student_log > found.teacher_log)
        contradicted += found.premise and not found.conclusion
    assert contradicted > 10


def test_proposition_2_holds_for_every_row() -> None:
    student, teacher = torch.tensor(np.random.default_rng(1).uniform(size=(2, 1000)))
    for one in range(1000):
        row = slice(one, one + 1)
        assert binary_reward(student[row], teacher[row]) >= real_reward(student[row], teacher[row])


def analysed() -> Analysis:
    return analyse(gather(NAMES, METHODS, SEEDS), read_records(NAMES, METHODS, SEEDS))


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outputs of two seeds; in the first the meta-teacher's head gives what contradicts Proposition 1."""
    monkeypatch.chdir(tmp_path)
    write_outputs((SCENES, RATING), SEEDS, METHODS, episodes=4)
    for name in NAMES:
        for seed, student in zip(SEEDS, (STUDENT, np.array([0.1, 0.2])), strict=True):
            folder = Path(f"outputs/meta_teacher/{name}/{seed}/head")
            folder.mkdir()
            save_file({"scores": TEACHER, "student_scores": student}, folder / "quiz.safetensors")
    return tmp_path


def test_the_report_checks_both_on_stored_rows_of_classification(stored: Path) -> None:
    analysis = analysed()
    assert [(one.dataset, one.seed, one.premise) for one in analysis.first_propositions] == [
        ("scenes", 1, True),
        ("scenes", 2, False),
    ]
    assert [row[-1] for row in first_proposition_table(analysis).rows] == [
        "contradicts it",
        "says nothing: L col is not the lower",
    ]
    (second,) = analysis.second_propositions
    assert (second.dataset, second.steps, second.binary, second.real, second.binary_lower) == (
        "scenes",
        64,
        0.5,
        0.125,
        0,
    )
    steps = [
        json.loads(line) for line in Path("outputs/student/scenes/mpdistil/1/steps.jsonl").read_text().splitlines()
    ]
    write_lines(Path("outputs/student/scenes/mpdistil/1/steps.jsonl"), [{**steps[0], "reward_real": 0.75}, *steps[1:]])
    assert second_proposition_table(analysed()).rows[0][-1] == "1"


def test_outputs_of_an_older_version_have_neither(stored: Path) -> None:
    for seed in SEEDS:
        folder = Path(f"outputs/meta_teacher/scenes/{seed}/head")
        save_file({"scores": TEACHER}, folder / "quiz.safetensors")
        write_lines(
            Path(f"outputs/student/scenes/mpdistil/{seed}/steps.jsonl"),
            [{"episode": 1, "step": 0, "action": "scenes", "reward": 0.5}],
        )
    analysis = analysed()
    assert analysis.first_propositions == analysis.second_propositions == []
    assert first_proposition_table(analysis).rows == second_proposition_table(analysis).rows == []
