"""The simulation behind docs/registry.md's tables, small; and the gate on labels that nothing can be learned from."""

import itertools

import numpy as np
import pytest

from config.parameters import Registry
from experiments.nights import World, alone, follow, mixed, rules, sinking
from experiments.shuffled import CASES, passes, shuffled
from registry.gate import Holder, against_champion

SETTINGS = Registry()
AS_BEFORE, GATE = rules(SETTINGS.level)[:2]
RUNS = 200


@pytest.mark.parametrize("rows", [100, 500])
def test_wrong_promotions_are_rare_even_of_students_just_at_the_margin(rows: int) -> None:
    assert alone(rows, 15.0, 100, 20, SETTINGS) <= 0.01
    at_the_margin = alone(rows, 10.0, 200, 40, SETTINGS)
    assert at_the_margin <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


def test_a_student_as_good_as_its_teacher_is_seldom_kept_out() -> None:
    assert alone(500, 0.0, 60, 20, SETTINGS) >= 0.97
    assert alone(500, 2.0, 60, 20, SETTINGS) >= 0.97


def test_a_planted_student_is_truly_as_far_behind_as_planted() -> None:
    world = World(200_000, 0)
    night = world.night(5.0, Registry(minimum_rows=1))
    assert 100 * np.mean(world.teacher > 0) == pytest.approx(85, abs=0.3)
    assert 100 * (np.mean(world.teacher > 0) - np.mean(night.student > 0)) == pytest.approx(5, abs=0.3)


def test_by_the_gates_rule_a_champion_does_not_sink_with_its_teacher_as_it_did() -> None:
    nights = list(sinking(World(500, 1), 120, SETTINGS))
    assert follow(nights, AS_BEFORE, SETTINGS).last > 2
    assert follow(nights, GATE, SETTINGS).last < 1


def test_by_the_gates_rule_few_moves_are_to_a_worse_student() -> None:
    nights = list(mixed(World(500, 2), 150, SETTINGS))
    before, now = (follow(nights, rule, SETTINGS) for rule in (AS_BEFORE, GATE))
    assert before.worse > 10 and now.worse <= 1
    assert now.wrong == 0


def test_the_rule_in_the_simulation_is_the_gates() -> None:
    nights = list(mixed(World(200, 3), 30, SETTINGS))
    for own, other in itertools.pairwise(nights):
        losses = [{("dev", str(row), 0.0): loss for row, loss in enumerate(one.losses)} for one in (own, other)]
        check = against_champion(2, losses[0], SETTINGS, Holder(1, losses[1], "selection"))
        assert check.passed is GATE.lets(own, other)


@pytest.mark.parametrize(("metric", "classes"), CASES)
def test_of_shuffled_labels_no_more_students_pass_than_the_level_says(metric: str, classes: int) -> None:
    passed = sum(passes(shuffled(run, metric, classes, 300), SETTINGS) for run in range(RUNS))
    assert passed <= RUNS * 0.01
