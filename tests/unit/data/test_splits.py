"""Splits: who goes where, what never shares, what is dropped, and that nothing depends on the order of the file."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rows import PAIR, SCORE, SHARED, SINGLE, needs_shared, single_rows, spec_of

from data.description import load_spec
from data.records import Row
from data.sources import read_rows
from data.splits import Splits, make_splits
from data.units import apportion, input_key
from errors import UserError
from tests.default_shares import SHARES

SPEC = spec_of(SINGLE)
TRAINING = ("train", "quiz", "selection")


def ids(splits: Splits, name: str) -> set[str]:
    return {row.id for row in splits.rows[name]}


def sizes(splits: Splits) -> dict[str, int]:
    return {name: len(rows) for name, rows in splits.rows.items()}


def made(rows: Sequence[Row], dev: Sequence[Row] | None = None, seed: int = 0, on_dev: bool = False) -> Splits:
    """Splits of SINGLE rows, with a dev set of their own by default."""
    if dev is None:
        dev = [Row(f"d{i}", {"text": f"dev {i}"}, i % 2) for i in range(20)]
    return make_splits(SPEC, rows, {"dev": list(dev)} if dev else {}, seed=seed, shares=SHARES, selection_on_dev=on_dev)


def test_a_tenth_is_quiz_a_tenth_selection_and_the_rest_train() -> None:
    splits = made(single_rows(1000))
    assert sizes(splits) == {"train": 800, "quiz": 100, "selection": 100, "dev": 20}
    assert splits.manifest["selected_on"] == "selection" and not splits.manifest["dev_held_out"]


def test_selection_has_64_rows_but_at_most_a_fifth() -> None:
    assert sizes(made(single_rows(400)))["selection"] == 64
    assert sizes(made(single_rows(200)))["selection"] == 40


def test_classes_keep_their_proportions() -> None:
    rows = [Row(str(i), {"text": f"text {i}"}, int(i % 10 == 0)) for i in range(1000)]
    for name in TRAINING:
        part = made(rows).rows[name]
        assert sum(row.label for row in part) == len(part) / 10


def test_every_training_row_is_in_exactly_one_split() -> None:
    rows = single_rows(300)
    splits = made(rows)
    together = [row.id for name in TRAINING for row in splits.rows[name]]
    assert sorted(together) == sorted(row.id for row in rows)


def test_the_order_of_the_file_does_not_matter() -> None:
    rows = single_rows(500)
    shuffled = random.Random(1).sample(rows, len(rows))
    for name in TRAINING:
        assert ids(made(rows), name) == ids(made(shuffled), name)


def test_another_seed_makes_other_splits_and_the_same_seed_the_same_hashes() -> None:
    rows = single_rows(500)
    assert made(rows).manifest == made(rows).manifest
    assert ids(made(rows), "quiz") != ids(made(rows, seed=1), "quiz")


def test_adding_rows_moves_few() -> None:
    rows = single_rows(1100)
    before, after = made(rows[:1000]), made(rows)
    place = {row.id: name for name in TRAINING for row in after.rows[name]}
    moved = sum(place[row.id] != name for name in TRAINING for row in before.rows[name])
    assert moved < 50  # of 1000; a shuffle by seed alone would move about 340


def test_identical_inputs_share_a_split_whatever_their_case_and_white_space() -> None:
    rows = single_rows(300)
    twins = [Row(f"t{i}", {"text": f"  SENTENCE number\t{i}"}, row.label) for i, row in enumerate(rows)]
    splits = made([*rows, *twins])
    assert splits.manifest["duplicate_inputs"] == 300
    for name in TRAINING:
        keys = Counter(input_key(SPEC, row) for row in splits.rows[name])
        assert set(keys.values()) == {2}


def test_one_text_with_two_labels_stays_together_and_is_counted() -> None:
    rows = single_rows(200)
    contrary = [Row(f"c{i}", rows[i].fields, 1 - int(rows[i].label)) for i in range(30)]
    splits = made([*rows, *contrary])
    assert splits.manifest["inputs_with_two_labels"] == 30
    place = {row.id: name for name in TRAINING for row in splits.rows[name]}
    assert all(place[f"c{i}"] == place[str(i)] for i in range(30))


def test_rows_of_a_group_share_a_split_and_sizes_still_hold() -> None:
    rows = [Row(str(i), {"text": f"text {i}"}, i % 2, group=f"g{i // 5}") for i in range(1000)]
    splits = made(rows)
    place = {row.group: name for name in TRAINING for row in splits.rows[name]}
    assert all(place[row.group] == name for name in TRAINING for row in splits.rows[name])
    assert abs(sizes(splits)["quiz"] - 100) <= 5 and abs(sizes(splits)["selection"] - 100) <= 5


def test_groups_that_share_a_text_are_one_unit() -> None:
    rows = [Row(str(i), {"text": f"text {i}"}, i % 2, group=f"g{i}") for i in range(200)]
    bridge = Row("bridge", rows[0].fields, 0, group="g1")
    splits = made([*rows, bridge])
    place = {row.id: name for name in TRAINING for row in splits.rows[name]}
    assert place["0"] == place["bridge"] == place["1"]
    assert splits.manifest["largest_unit"] == 3


def test_a_giant_group_does_not_make_a_tenth_into_a_half() -> None:
    giant = [Row(f"big{i}", {"text": f"big {i}"}, i % 2, group="giant") for i in range(500)]
    for seed in range(5):
        splits = made([*single_rows(500), *giant], seed=seed)
        assert sizes(splits)["quiz"] <= 110
        assert {"big0", "big499"} <= ids(splits, "train")


def test_a_train_row_equal_to_a_dev_row_is_dropped_and_counted() -> None:
    rows = single_rows(200)
    dev = [Row("x", {"text": "Sentence Number 7 "}, 0), Row("y", {"text": "unseen"}, 1)]
    splits = made(rows, dev)
    assert splits.manifest["dropped_equal_to_dev"] == 1
    assert "7" not in set().union(*(ids(splits, name) for name in TRAINING))


def test_without_a_dev_file_fifteen_percent_are_held_out_first() -> None:
    rows = [Row(str(i), {"text": f"text {i // 2}"}, i // 2 % 2, group=f"g{i // 4}") for i in range(1000)]
    splits = make_splits(SPEC, rows, {}, seed=0, shares=SHARES)
    assert abs(sizes(splits)["dev"] - 150) <= 4 and splits.manifest["dev_held_out"] is True
    groups = {row.group for row in splits.rows["dev"]}
    assert not groups & {row.group for name in TRAINING for row in splits.rows[name]}
    other = make_splits(SPEC, rows, {}, seed=5, shares=SHARES)
    assert ids(other, "dev") == ids(splits, "dev") and ids(other, "quiz") != ids(splits, "quiz")
    assert ids(make_splits(SPEC, rows, {}, seed=0, shares=SHARES, dev_seed=1), "dev") != ids(splits, "dev")


def test_the_papers_protocol_selects_on_dev_and_says_so() -> None:
    splits = made(single_rows(1000), on_dev=True)
    assert splits.manifest["selected_on"] == "dev"
    assert splits.rows["selection"] == splits.rows["dev"]
    assert sizes(splits)["train"] == 900


def test_scores_are_spread_over_quintiles() -> None:
    rows = [Row(str(i), {"first": f"a {i}", "second": "b"}, (i % 51) / 10) for i in range(1000)]
    dev = {"dev": [Row("d", {"first": "x", "second": "y"}, 1.0)]}
    splits = make_splits(spec_of(SCORE), rows, dev, seed=0, shares=SHARES)
    for name in TRAINING:
        below = sum(row.label < 2.5 for row in splits.rows[name]) / len(splits.rows[name])
        assert abs(below - 25 / 51) < 0.06


def test_a_dev_file_that_lacks_a_class_is_an_error_that_names_it() -> None:
    with pytest.raises(UserError, match=r"split 'dev' of 1 rows holds no row of good; .* add such rows to its file"):
        made(single_rows(100), [Row("d", {"text": "only"}, 0)])


@pytest.mark.parametrize(
    ("dev", "on_dev", "needed", "parts"),
    [
        (None, False, 3, "train, quiz and selection"),
        (None, True, 2, "train and quiz"),
        ([], False, 4, "train, quiz, selection and dev"),
        ([], True, 3, "train, quiz and dev"),
    ],
)
def test_a_class_needs_a_row_for_each_part_of_the_train_file(
    dev: list[Row] | None, on_dev: bool, needed: int, parts: str
) -> None:
    def rows(good: int) -> list[Row]:
        return [Row(str(i), {"text": f"text {i}"}, int(i < good)) for i in range(100)]

    assert made(rows(needed), dev, on_dev=on_dev)
    with pytest.raises(UserError) as refused:
        made(rows(needed - 1), dev, on_dev=on_dev)
    said = str(refused.value)
    assert f"class 'good' has {needed - 1} train row" in said
    assert f"{parts} are parts of the train file" in said and f"of its own: {needed} at least" in said
    assert "split." not in said, "no share of rows can mend that"


def test_a_dev_file_is_a_way_out_only_where_it_leaves_enough_rows() -> None:
    def refused(good: int) -> str:
        with pytest.raises(UserError) as found:
            made([Row(str(i), {"text": f"text {i}"}, int(i < good)) for i in range(100)], [])
        return str(found.value)

    assert "give a dev file (then 3 are enough)" in refused(3)
    assert "dev file" not in refused(2)
    assert made([Row(str(i), {"text": f"text {i}"}, int(i < 3)) for i in range(100)])


@pytest.mark.parametrize(("different", "said"), [(1, "one input or group"), (3, "3 different inputs or groups")])
def test_rows_with_one_input_are_told_from_too_few_rows(different: int, said: str) -> None:
    rows = [Row(str(i), {"text": f"text {i}"}, 0) for i in range(90)]
    same = [Row(f"s{i}", {"text": f"Thank  you {i % different}"}, 1) for i in range(10)]
    with pytest.raises(
        UserError, match=f"class 'good' has 10 train rows, but only {said} .*4 at least. Add rows of it"
    ):
        made(rows + same, [])
    assert made(rows + [Row(f"s{i}", {"text": f"thank you {i}"}, 1) for i in range(4)], [])


def test_shares_that_leave_nothing_for_train_are_named_and_lower_ones_work() -> None:
    rows = [Row(str(i), {"text": f"text {i}"}, i % 2) for i in range(6)]
    dev = {"dev": [Row("d0", {"text": "dev 0"}, 0), Row("d1", {"text": "dev 1"}, 1)]}
    with pytest.raises(
        UserError, match=r"'train' holds no row of bad: the other splits take them all; lower split.quiz"
    ):
        make_splits(SPEC, rows, dev, seed=0, shares=replace(SHARES, quiz=0.49, selection=0.49, selection_maximum=0.49))
    assert make_splits(SPEC, rows, dev, seed=0, shares=replace(SHARES, quiz=0.2))


def test_groups_too_large_for_a_share_are_named_and_a_larger_share_works() -> None:
    rows = [Row(str(i), {"text": f"text {i}"}, i % 2, group=f"group {i % 8}") for i in range(96)]
    with pytest.raises(
        UserError, match=r"'quiz' holds no row of bad: .* stay together, here 12 .*raise split.quiz, or"
    ):
        make_splits(SPEC, rows, {"dev": single_rows(20)}, seed=0, shares=replace(SHARES, quiz=0.05))
    assert make_splits(SPEC, rows, {"dev": single_rows(20)}, seed=0, shares=replace(SHARES, quiz=0.15))


def test_a_class_that_shares_its_groups_with_a_larger_one_is_told_so() -> None:
    rows = [Row(f"s{i}", {"text": f"other {i}"}, 0) for i in range(100)]
    rows += [Row(str(i), {"text": f"text {i}"}, int(i % 4 == 0), group=f"group {i // 4}") for i in range(20)]
    with pytest.raises(UserError, match=r"row of good: its 5 rows share inputs or groups with more rows of other"):
        made(rows)


def test_rows_that_dev_holds_are_said_where_nothing_or_too_little_is_left() -> None:
    with pytest.raises(UserError, match=r"no train rows are left .*all 100 were dropped, because dev holds the same"):
        made(single_rows(100), single_rows(100))
    rows = [Row(str(i), {"text": f"text {i}"}, int(i < 4)) for i in range(100)]
    with pytest.raises(UserError, match=r"'good' has 2 train rows \(3 more train rows were dropped, because dev holds"):
        made(rows, [rows[0], rows[1], rows[99]])
    with pytest.raises(UserError, match=r"no train rows are left to split; .*add some|3 at least"):
        made(single_rows(2))


def test_dropped_rows_are_counted_with_their_labels_and_with_the_dev_rows_that_they_equal() -> None:
    dev = [Row(f"d{i}", {"text": f"dev {i}"}, i % 2) for i in range(20)]
    leaks = [Row("a", {"text": "DEV  0"}, 0), Row("b", {"text": "dev 0"}, 1), Row("c", {"text": "dev 3"}, 0)]
    manifest = made([*single_rows(100), *leaks], dev).manifest
    counted = {
        name: manifest[name] for name in ("dropped_equal_to_dev", "dropped_with_another_label", "dev_rows_in_train")
    }
    assert counted == {"dropped_equal_to_dev": 3, "dropped_with_another_label": 2, "dev_rows_in_train": 2}


@pytest.mark.parametrize(
    ("name", "value"), [("quiz", 0.0), ("selection", 0.5), ("dev_fraction", 1.5), ("selection_minimum", 0)]
)
def test_shares_that_make_no_sense_are_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"split.{name} is {value}"):
        replace(SHARES, **{name: value})


@given(st.integers(0, 500), st.dictionaries(st.integers(0, 6), st.integers(1, 300), min_size=1))
def test_apportioned_shares_add_up_and_are_near_proportion(total: int, counts: dict[int, int]) -> None:
    total = min(total, sum(counts.values()))
    shares = apportion(total, counts)
    assert min(shares.values()) >= 1
    for key, share in shares.items():
        assert share <= max(1, total * counts[key] / sum(counts.values()) + 1)
    if total >= sum(counts.values()) / min(counts.values()):  # no class is too rare for its one row
        assert sum(shares.values()) == total


TEXTS = st.sampled_from([f"word {i}" for i in range(12)])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 2), st.sampled_from(["g", "h", "i", None])), max_size=40))
def test_wild_rows_split_cleanly_or_not_at_all(given_rows: list[tuple[str, str, int, str | None]]) -> None:
    spec = spec_of(PAIR)
    rows = [Row(str(i), {"first": a, "second": b}, y, g) for i, (a, b, y, g) in enumerate(given_rows)]
    try:
        splits = make_splits(spec, rows, {}, seed=0, shares=SHARES)
    except UserError:
        return
    place: dict[str, str] = {}
    for name, part in splits.rows.items():
        assert {row.label for row in part} == {0, 1, 2}
        for row in part:
            assert place.setdefault(input_key(spec, row), name) == name
            assert row.group is None or place.setdefault(f"group {row.group}", name) == name
    assert sum(sizes(splits).values()) == len(rows)


@needs_shared
@pytest.mark.parametrize(
    ("benchmark", "dataset", "dropped", "contrary"),
    [
        ("superglue", "cb", 0, 0),
        ("superglue", "wsc", 0, 0),
        ("glue", "cola", 16, 11),
        ("glue", "stsb", 6, 4),
        ("glue", "qqp", 2, 0),
    ],
)
def test_the_warts_of_real_rows_are_counted(benchmark: str, dataset: str, dropped: int, contrary: int) -> None:
    folder = SHARED / "data" / benchmark
    found = read_rows(load_spec(folder, benchmark, dataset), folder)
    splits = make_splits(found.spec, found.rows["train"], {"dev": found.rows["dev"]}, seed=0, shares=SHARES)
    assert splits.manifest["dropped_equal_to_dev"] == dropped
    assert splits.manifest["inputs_with_two_labels"] == contrary
    in_dev = {input_key(found.spec, row) for row in splits.rows["dev"]}
    assert not any(input_key(found.spec, row) in in_dev for name in TRAINING for row in splits.rows[name])
    for name in TRAINING:
        assert {row.label for row in splits.rows[name]} >= set(range(len(found.spec.label_names)))


@needs_shared
@pytest.mark.parametrize("seed", range(20))
def test_every_split_of_cb_holds_all_three_classes_with_any_seed(seed: int) -> None:
    folder = SHARED / "data" / "superglue"
    found = read_rows(load_spec(folder, "superglue", "cb"), folder)
    splits = make_splits(found.spec, found.rows["train"], {"dev": found.rows["dev"]}, seed=seed, shares=SHARES)
    neutral = {name: sum(row.label == 2 for row in rows) for name, rows in splits.rows.items()}
    assert neutral == {"train": 11, "quiz": 2, "selection": 3, "dev": 5}
