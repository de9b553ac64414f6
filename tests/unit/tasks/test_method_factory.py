"""Methods are made from their rows and sections: each has a class, which needs of the teacher what its row says."""

from pathlib import Path

import pytest

from config.methods import BY_NAME, LISTED
from config.parameters import Parameters, load
from tasks.student_training.layer_pairs import stored_layers
from tasks.student_training.method_factory import (
    ASSISTED,
    FIXED,
    MOVING,
    make_assisted_method,
    make_method,
    make_moving_method,
)

GIVEN = load(Path(__file__).parents[3] / "params.yaml")
DEPTHS = {"student_layers": 2, "teacher_layers": 6}


def test_every_method_has_a_class() -> None:
    moving = {name for name in LISTED["student"] if BY_NAME[name].teacher == "moves"}
    assert MOVING.keys() == moving
    assert FIXED.keys() == set(LISTED["student"]) - moving
    assert ASSISTED.keys() == set(LISTED["assisted"])


@pytest.mark.parametrize("name", LISTED["student"])
def test_a_method_needs_of_its_teacher_what_its_row_says(name: str) -> None:
    row = BY_NAME[name]
    make = make_moving_method if row.teacher == "moves" else make_method
    needs = make(GIVEN, name, **DEPTHS).needs
    assert needs.teacher.removeprefix("head_") == row.teacher
    assert bool(needs.layers) is row.stored_layers  # as shipped, metadistil's hidden term has no weight
    assert bool(needs.attentions) is row.attention


@pytest.mark.parametrize("name", LISTED["assisted"])
def test_an_assisted_student_learns_from_its_assistants_signals(name: str) -> None:
    assert make_assisted_method(GIVEN, name).needs.teacher == BY_NAME[name].teacher


def test_an_unknown_method_is_no_other_one() -> None:
    for make in (make_method, make_moving_method):
        with pytest.raises((KeyError, AttributeError)):
            make(GIVEN, "nosuch", **DEPTHS)
    with pytest.raises(KeyError):
        make_assisted_method(GIVEN, "kd")


def test_the_stored_layers_are_those_of_all_methods_that_compare_any_whatever_is_named() -> None:
    def stored(given: Parameters) -> tuple[int, ...]:
        return stored_layers(given, student_layers=2, teacher_layers=6)

    alone = GIVEN.model_copy(update={"methods": GIVEN.methods.model_copy(update={"student": ("kd",)})})
    assert stored(GIVEN) == stored(alone) == (3, 6)
    last = GIVEN.model_copy(update={"pkd": GIVEN.pkd.model_copy(update={"layers": "last"})})
    assert stored(last) == (3, 5, 6)
    none = GIVEN.model_copy(update={"signals": GIVEN.signals.model_copy(update={"layers": "none"})})
    assert stored(none) == ()
    assert stored_layers(GIVEN, student_layers=1, teacher_layers=3) == (3,), (
        "pkd, which isn't named, has nothing to compare"
    )
