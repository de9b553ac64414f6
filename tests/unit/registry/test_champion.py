"""Candidate and champion: as students come, as settings change, and after a move by hand."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from mlflow import MlflowClient
from small_outputs import NAME, Place, read, write
from stages import ROOT, Ended, run_stage_here

from reporting.verdict.check_result import NAMES

pytestmark = pytest.mark.xdist_group("registry")


def client(place: Place) -> MlflowClient:
    return MlflowClient(place.address, place.address)


def aliases(place: Place) -> dict[str, int]:
    found = client(place).get_registered_model(NAME).aliases
    return {alias: int(number) for alias, number in found.items()}


def registered(place: Place, seeds: Sequence[int] = (42,), **sections: dict[str, object]) -> dict[str, int]:
    """Register, and give the aliases after it."""
    place.params(seeds, **sections)
    ended = place.register()
    assert ended.status == 0, ended.errors
    return aliases(place)


def promote(place: Place, version: int, reason: str = "I say so") -> Ended:
    return run_stage_here(place.root, "promote", NAME, str(version), "--reason", reason)


def test_a_better_seed_becomes_candidate_and_champion_with_the_reason_on_record(begun: Place) -> None:
    assert registered(begun) == {"candidate": 1, "champion": 1}
    begun.another_seed(7, selection=-0.1, rows=-0.1)
    assert registered(begun, seeds=[42, 7]) == {"candidate": 2, "champion": 2}
    text = begun.entry(7)["gate"]
    assert text.startswith(
        "version 2 takes version 1's place as champion; passed: enough rows: 500 dev rows, at least "
    )
    assert "present champion: task loss -0.1000 [" in text and "to version 1 on 500 dev rows, not above 0" in text
    version = client(begun).get_model_version(NAME, "2")
    assert version.tags["gate"] == text
    assert text in (version.description or "")


def test_every_test_is_a_tag_of_the_version_and_a_record_in_registered_json(begun: Place) -> None:
    begun.another_seed(7, selection=-0.1, rows=0.05)
    registered(begun, seeds=[42, 7])
    tags = client(begun).get_model_version(NAME, "2").tags
    assert tags["gate.test.enough.rows"] == "passed: enough rows: 500 dev rows, at least registry.minimum_rows 100"
    assert tags["gate.test.present.champion"].startswith("failed: present champion: task loss +0.0500")
    assert tags["gate.test.limits"].startswith("not asked: ")
    first, second = (begun.entry(seed)["checks"] for seed in (42, 7))
    assert [check["name"] for check in first] == list(NAMES[:-1])
    assert [check["name"] for check in second] == list(NAMES)
    assert {check["name"]: check["passed"] for check in second}["present champion"] is False
    assert all(tags[f"gate.test.{check['name'].replace(' ', '.')}"].endswith(check["text"]) for check in second)
    table = begun.output("register", "table.txt").read_text(encoding="utf-8")
    assert all(check["text"] in table for check in second)


def test_a_seed_that_is_worse_on_selection_is_no_candidate_and_of_equals_the_first_is(begun: Place) -> None:
    begun.another_seed(7, selection=0.1)
    begun.another_seed(8)
    assert registered(begun, seeds=[42, 7, 8])["candidate"] == begun.entry(42)["version"]
    assert registered(begun, seeds=[8, 7, 42])["candidate"] == begun.entry(8)["version"]


def test_a_candidate_that_is_worse_on_the_rows_does_not_become_champion_and_is_judged_once(begun: Place) -> None:
    begun.another_seed(7, selection=-0.1, rows=0.05)
    assert registered(begun, seeds=[42, 7]) == {"candidate": 2, "champion": 1}
    text = begun.entry(7)["gate"]
    assert text.startswith(
        "version 1 stays champion, version 2 does not become it; failed: present champion: task loss +0.05"
    )
    before = client(begun).get_registered_model(NAME).last_updated_timestamp
    assert registered(begun, seeds=[42, 7])["champion"] == 1
    assert begun.entry(7)["gate"] == text
    assert client(begun).get_registered_model(NAME).last_updated_timestamp == before


def test_an_equal_student_passes(begun: Place) -> None:
    begun.another_seed(7, selection=-0.1)
    assert registered(begun, seeds=[42, 7])["champion"] == 2
    assert "not above 0: it is not worse" in begun.entry(7)["gate"]


def test_too_few_rows_are_said_to_be_too_few_and_other_settings_are_judged_anew(begun: Place) -> None:
    begun.another_seed(7, selection=-0.1, rows=-0.1)
    many: dict[str, object] = {"minimum_rows": 501}
    assert registered(begun, seeds=[42, 7], registry=many)["champion"] == 1
    assert "failed: enough rows: 500 dev rows, below registry.minimum_rows 501" in begun.entry(7)["gate"]
    assert registered(begun, seeds=[42, 7])["champion"] == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"margin": 100.0}, "lower end not above registry.margin +100.0 at 90 %"),
        ({"minimum_rows": 501}, "500 dev rows, below registry.minimum_rows 501"),
        ({"max_parameters": 1000}, "not within registry.max_parameters 1,000"),
        ({"max_latency_ms": 0.0001}, "not within registry.max_latency_ms 0.0001"),
    ],
)
def test_a_first_champion_meets_the_absolute_gate_or_there_is_none(place: Place, settings: dict, words: str) -> None:
    assert registered(place, registry=settings) == {"candidate": 1}
    assert "version 1 does not become champion; failed: " in place.entry()["gate"]
    assert words in place.entry()["gate"]
    assert registered(place) == {"candidate": 1, "champion": 1}


def test_a_champion_set_by_hand_stays_until_a_student_registered_later_passes(begun: Place) -> None:
    begun.another_seed(7, selection=-0.1, rows=-0.1)
    registered(begun, seeds=[42])
    assert registered(begun, seeds=[42, 7])["champion"] == 2
    assert promote(begun, 1, "2 fails on long texts").status == 0
    assert registered(begun, seeds=[42, 7]) == {"candidate": 2, "champion": 1}
    assert "set by hand (2 fails on long texts (past the gate: failed present champion: " in begun.entry(7)["gate"]
    other: dict[str, object] = {"minimum_rows": 5, "level": 0.8}
    assert registered(begun, seeds=[42, 7], registry=other)["champion"] == 1
    begun.another_seed(8, selection=-0.2, rows=0.1)
    assert registered(begun, seeds=[42, 7, 8]) == {"candidate": 3, "champion": 1}
    assert "version 3 does not become it; failed: present champion: task loss +0.1" in begun.entry(8)["gate"]
    begun.another_seed(9, selection=-0.3, rows=-0.05)
    assert registered(begun, seeds=[42, 7, 8, 9]) == {"candidate": 4, "champion": 4}


def test_an_alias_that_was_moved_in_another_tool_counts_as_moved_by_hand(begun: Place) -> None:
    begun.another_seed(7, selection=-0.1, rows=-0.1)
    registered(begun, seeds=[42, 7])
    client(begun).set_registered_model_alias(NAME, "champion", "1")
    for level in (0.9, 0.8):
        assert registered(begun, seeds=[42, 7], registry={"level": level})["champion"] == 1
        assert "set by hand (the alias was moved outside of distilflow)" in begun.entry(7)["gate"]
    begun.another_seed(8, selection=-0.2, rows=-0.2)
    assert registered(begun, seeds=[42, 7, 8])["champion"] == 3


def test_a_champion_that_was_taken_away_is_chosen_anew(begun: Place) -> None:
    client(begun).delete_registered_model_alias(NAME, "champion")
    assert registered(begun) == {"candidate": 1, "champion": 1}
    assert "version 1 becomes champion" in begun.entry()["gate"]


def test_going_back_to_older_parameters_leaves_the_champion_where_it_is(begun: Place) -> None:
    begun.another_seed(7, selection=-0.1, rows=-0.1)
    registered(begun, seeds=[42, 7])
    assert registered(begun, seeds=[42]) == {"candidate": 1, "champion": 2}


def test_a_champion_of_another_repository_without_predictions_stays(place: Place) -> None:
    registry = client(place)
    registry.create_registered_model(NAME)
    registry.create_model_version(NAME, str(place.root / "elsewhere"), tags={"seed": "42"})
    registry.set_registered_model_alias(NAME, "champion", "1")
    assert registered(place) == {"candidate": 2, "champion": 1}
    # It is newer than a champion that was there before.
    assert "version 1 stays champion" in place.entry()["gate"]
    assert "the registry holds no predictions of version 1" in place.entry()["gate"]
    assert promote(place, 2).status == 0
    assert aliases(place)["champion"] == 2


def test_under_the_papers_protocol_dev_rows_count_once_and_every_sentence_is_labelled(place: Place) -> None:
    metrics = read(place.evaluated() / "metrics.json")
    write(place.evaluated() / "metrics.json", {**metrics, "selected_on": "dev"})
    registered(place)
    assert place.entry()["gate"].endswith("(selected on dev)")
    place.another_seed(7, selection=-0.1, rows=-0.1)
    registered(place, seeds=[42, 7])
    assert "on 500 dev rows" in place.entry(7)["gate"]
    assert place.entry(7)["gate"].endswith("(selected on dev)")
    assert "(selected on dev)" in (client(place).get_model_version(NAME, "2").description or "").splitlines()[0]


def test_promote_goes_back_and_forth_says_what_was_and_keeps_the_history(begun: Place) -> None:
    begun.another_seed(7, selection=-0.1, rows=-0.1)
    registered(begun, seeds=[42, 7])
    back, forth = promote(begun, 1, "2 fails on long texts"), promote(begun, 2, "mended the texts")
    assert back.output.splitlines()[0] == f"{NAME}: version 1 is now champion, by hand (2 fails on long texts)"
    assert "it was version 2, by gate: version 2 takes version 1's place" in back.output
    assert f'python -m flows promote {NAME} 2 --reason "..."' in back.output
    assert "it was version 1, by hand: 2 fails on long texts" in forth.output
    assert aliases(begun)["champion"] == 2
    tags = client(begun).get_registered_model(NAME).tags
    moves = [tags[key] for key in sorted(tags) if key.startswith("distilflow.champion.")]
    assert len(moves) == 4
    assert "mended the texts" in moves[-1]
    assert "after version 1: mended the texts" in client(begun).get_model_version(NAME, "2").tags["champion.by_hand"]


def test_promote_whose_reader_has_gone_ends_well_and_without_a_traceback(begun: Place) -> None:
    registered(begun)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "registry.promote", NAME, "1", "--reason", "once more"]
    place = {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": begun.address}
    ended = subprocess.run(
        command, cwd=begun.root, env=os.environ | place, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "once more" in client(begun).get_model_version(NAME, "1").tags["champion.by_hand"]


def test_promote_says_which_tests_it_passes_by_and_keeps_that_in_tag_and_history(begun: Place) -> None:
    begun.another_seed(7, selection=-0.1, rows=0.05)
    registered(begun, seeds=[42, 7])
    said = promote(begun, 2, "a demonstration").output
    assert "past the gate: failed present champion: task loss +0.0500" in said
    tag = client(begun).get_model_version(NAME, "2").tags["champion.by_hand"]
    assert "a demonstration; by hand, past the gate: failed present champion: task loss +0.0500" in tag
    moves = client(begun).get_registered_model(NAME).tags
    assert "past the gate: failed" in moves[max(key for key in moves if key.startswith("distilflow.champion."))]
    assert "no test of the gate failed" in promote(begun, 1, "back").output


def test_promote_of_a_version_of_an_earlier_release_says_that_its_tests_are_not_known(begun: Place) -> None:
    as_of_an_earlier_release(begun)
    assert "past the gate: its tests are not in the registry" in promote(begun, 1).output


def as_of_an_earlier_release(place: Place) -> None:
    """Version 1 with the tags that an earlier release gave it."""
    registry = client(place)
    for key in registry.get_model_version(NAME, "1").tags:
        if key.startswith("gate.test"):
            registry.delete_model_version_tag(NAME, "1", key)
    registry.set_model_version_tag(NAME, "1", "gate", "version 1 is the first champion: its accuracy ...")
    registry.set_model_version_tag(NAME, "1", "gate.settings", '{"first_margin": -10.0, "level": 0.9}')


def test_a_registry_of_an_earlier_release_is_judged_again_and_its_champion_stays_if_it_passes(begun: Place) -> None:
    as_of_an_earlier_release(begun)
    assert registered(begun, registry={"margin": -150.0}) == {"candidate": 1, "champion": 1}
    assert begun.registered()["unfit_champions"] == []
    assert client(begun).get_model_version(NAME, "1").tags["gate.test.enough.rows"].startswith("passed: ")
    begun.another_seed(7, selection=-0.1, rows=-0.1)
    assert registered(begun, seeds=[42, 7])["champion"] == 2


@pytest.mark.parametrize("at_hand", [True, False], ids=["its student at hand", "its student gone"])
def test_a_champion_that_fails_todays_tests_is_told_loudly_every_time_with_the_way_out(
    begun: Place, at_hand: bool
) -> None:
    as_of_an_earlier_release(begun)
    begun.another_seed(7, selection=-0.1)
    strict: dict[str, object] = {"margin": 50.0}
    for _ in range(2):
        assert registered(begun, seeds=[42, 7] if at_hand else [7], registry=strict)["champion"] == 1
        (told,) = begun.registered()["unfit_champions"]
        assert (told["name"], told["version"]) == (NAME, 1)
        assert "lower end not above registry.margin +50.0" in told["failed"][0]
        table = begun.output("register", "table.txt").read_text(encoding="utf-8")
        assert f"!! {NAME}: version 1 is champion and would NOT pass the gate" in table
        assert f"python -m flows promote {NAME} --none" in table
    assert "1 champion would NOT pass the gate (table.txt)" in begun.register().output


def test_a_champion_that_fails_gives_way_to_a_student_that_passes_however_low_its_loss(begun: Place) -> None:
    """A constant can have a lower loss than a student that is right and too sure of it."""
    begun.another_seed(7, selection=-0.1, rows=0.1)
    begun.answer_alike(42)
    as_of_an_earlier_release(begun)
    answers_alike = registered(begun, seeds=[42])
    assert answers_alike == {"candidate": 2, "champion": 1}, "the rows that evaluate saw changed: another version"
    client(begun).set_registered_model_alias(NAME, "champion", "2")
    client(begun).set_model_version_tag(NAME, "2", "gate.passed", "true")
    client(begun).set_model_version_tag(NAME, "2", "gate.against", "1")
    assert registered(begun, seeds=[42, 7]) == {"candidate": 3, "champion": 3}
    assert "version 2 would not pass itself: student above the majority" in begun.entry(7)["gate"]


def test_promote_none_leaves_no_champion_until_a_student_registered_later_passes(begun: Place) -> None:
    ended = run_stage_here(begun.root, "promote", NAME, "--none", "--reason", "answers one class only")
    assert "no version is champion now, by hand (answers one class only)" in ended.output
    assert f'the way back: python -m flows promote {NAME} 1 --reason "..."' in ended.output
    assert registered(begun) == {"candidate": 1}
    assert begun.entry()["gate"].startswith("no champion: taken away by hand (answers one class only)")
    again = run_stage_here(begun.root, "promote", NAME, "--none", "--reason", "again")
    assert again.status == 2 and "has no champion to take away" in again.errors
    begun.another_seed(7, selection=-0.1)
    assert registered(begun, seeds=[42, 7]) == {"candidate": 2, "champion": 2}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("quickstart-payment-finetun", "1"), f"no registered model quickstart-payment-finetun; did you mean {NAME}?"),
        ((NAME, "7"), f"{NAME} has no version 7; it has 1"),
        ((NAME, "first"), "version first: a version is a whole number"),
    ],
)
def test_promote_refuses_what_is_not_there_and_names_what_is(begun: Place, arguments: tuple, words: str) -> None:
    ended = run_stage_here(begun.root, "promote", *arguments, "--reason", "because")
    assert ended.status == 2
    (line,) = ended.errors.splitlines()
    assert words in line


def test_promote_wants_a_reason(begun: Place) -> None:
    ended = promote(begun, 1, "  ")
    assert ended.status == 2
    assert "--reason is empty" in ended.errors
    assert len([key for key in client(begun).get_registered_model(NAME).tags if "champion" in key]) == 1
