"""The embedded benchmark: the same rows everywhere, noise in train only, labels that follow from the texts."""

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter

import pytest
from made_rows import ROOT

from data import quickstart
from data.description import CATALOG, load_spec
from data.quickstart_world import CONDITIONS, NUMBERS, PRICES, THINGS
from data.rendering import render
from data.sources import read_rows
from errors import UserError

DATASETS = sorted(quickstart.MAKERS)
SMALL = {"seed": 3, "train_rows": 300, "dev_rows": 200, "label_noise": 0.25}
CLEAN = {**SMALL, "label_noise": 0.0}
LOT = re.compile(r"(\w+) (broken|old|good|golden) \w+ (\w+)")


def texts(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(value for column, value in row.items() if column not in ("id", "label"))


def coins(text: object) -> float:
    """Return the value of a text's goods, read from its words only."""
    lots = LOT.findall(str(text))
    assert lots
    return math.fsum(NUMBERS[number] * CONDITIONS[how] * THINGS[what] for number, how, what in lots)


def expected(dataset: str, row: dict[str, object]) -> object:
    """The label of a clean row, worked out again from its texts."""
    if dataset == "bargain":
        return "choice1" if coins(row["choice1"]) > coins(row["choice2"]) else "choice2"
    if dataset == "payment":
        times = coins(row["premise"]) / PRICES[str(row["hypothesis"]).split()[-1]]
        return "entailment" if times >= 1.6 else "contradiction" if times < 1 / 1.6 else "neutral"
    has = coins(row["text"])
    if dataset == "worth":
        return pytest.approx(5 * math.log(1 + has / 4) / math.log(109), abs=6e-4)
    return "poor" if has < 18 else "modest" if has < 45 else "rich"


@pytest.mark.parametrize("dataset", DATASETS)
def test_clean_labels_follow_from_the_texts(dataset: str) -> None:
    splits = quickstart.generate(dataset, SMALL)
    assert all(row["label"] == expected(dataset, row) for row in splits["dev"])
    assert all(row["label"] == expected(dataset, row) for row in quickstart.generate(dataset, CLEAN)["train"])


@pytest.mark.parametrize("dataset", DATASETS)
def test_noise_changes_train_labels_only_and_about_as_many_as_asked(dataset: str) -> None:
    large = {**SMALL, "train_rows": 2000}
    noisy, clean = quickstart.generate(dataset, large), quickstart.generate(dataset, {**large, "label_noise": 0.0})
    assert noisy["dev"] == clean["dev"]
    assert [texts(row) for row in noisy["train"]] == [texts(row) for row in clean["train"]]
    pairs = [(a["label"], b["label"]) for a, b in zip(noisy["train"], clean["train"], strict=True)]
    if dataset == "worth":
        errors = [float(str(a)) - float(str(b)) for a, b in pairs]
        assert all(0.0 <= float(str(a)) <= 5.0 for a, _ in pairs)
        assert 0.9 < math.sqrt(sum(e * e for e in errors) / len(errors)) < 1.3  # 0.25 of 5, less what is clipped
    else:
        assert 0.21 < sum(a != b for a, b in pairs) / len(pairs) < 0.29


@pytest.mark.parametrize("dataset", DATASETS)
def test_no_text_comes_twice_and_ids_are_unique(dataset: str) -> None:
    splits = quickstart.generate(dataset, SMALL)
    rows = [row for split in splits.values() for row in split]
    assert {name: len(split) for name, split in splits.items()} == {"train": 300, "dev": 200}
    assert len({texts(row) for row in rows}) == len(rows) == len({row["id"] for row in rows})


@pytest.mark.parametrize("dataset", [name for name in DATASETS if name != "worth"])
def test_classes_are_about_even(dataset: str) -> None:
    counts = Counter(row["label"] for row in quickstart.generate(dataset, CLEAN)["train"])
    assert min(counts.values()) > 0.75 * 300 / len(counts)


def test_dev_does_not_change_with_the_size_of_train() -> None:
    fewer = quickstart.generate("standing", {**SMALL, "train_rows": 9})
    assert fewer["dev"] == quickstart.generate("standing", SMALL)["dev"]


def test_another_seed_makes_other_rows() -> None:
    assert quickstart.generate("worth", SMALL)["dev"] != quickstart.generate("worth", {**SMALL, "seed": 4})["dev"]


def test_the_rows_are_the_same_in_every_process() -> None:
    program = (
        "import json, sys, hashlib; from data import quickstart; "
        f"rows = [quickstart.generate(name, {SMALL!r}) for name in {DATASETS!r}]; "
        "assert 'torch' not in sys.modules; "
        "print(hashlib.sha256(json.dumps(rows).encode()).hexdigest())"
    )
    here = hashlib.sha256(json.dumps([quickstart.generate(name, SMALL) for name in DATASETS]).encode()).hexdigest()
    environment = {**os.environ, "PYTHONHASHSEED": "123", "PYTHONPATH": str(ROOT)}
    shown = subprocess.run([sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert shown.stdout.strip() == here, shown.stderr


def test_the_vocabulary_holds_every_word_and_none_is_in_vain() -> None:
    used: set[str] = set()
    for dataset in DATASETS:
        spec = load_spec(None, "quickstart", dataset)
        for row in quickstart.generate(dataset, {**SMALL, "train_rows": 1000})["train"]:
            fields = {column: str(row[column]) for column in spec.columns}
            used |= {word for pair in render(spec.render, fields) for text in pair if text for word in text.split()}
    assert sorted(used) == quickstart.vocabulary()
    assert all(word == word.lower() for word in used)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_description_is_read_and_its_rows_pass_the_checks(dataset: str) -> None:
    spec = load_spec(None, "quickstart", dataset)
    found = read_rows(spec, CATALOG / "quickstart")
    assert (len(found.rows["train"]), len(found.rows["dev"])) == (1600, 500)
    kinds = {"standing": "single", "payment": "pair", "worth": "regression", "bargain": "choice"}
    assert found.spec.kind == kinds[dataset]


def test_every_dataset_has_a_description_and_no_other_lies_there() -> None:
    assert sorted(path.parent.name for path in (CATALOG / "quickstart").glob("*/dataset.yaml")) == DATASETS


def test_an_unknown_dataset_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no dataset 'rte'; it makes: standing, payment, worth, bargain"):
        quickstart.generate("rte", SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 5}, "'rows' is unknown; known: seed, train_rows, dev_rows, label_noise"),
        ({"seed": "7"}, "'seed' is '7'; must be a whole number from 0"),
        ({"seed": True}, "'seed' is True"),
        ({"train_rows": 0}, "'train_rows' is 0; must be a whole number from 1 to 100000"),
        ({"dev_rows": 10**9}, "'dev_rows' is 1000000000"),
        ({"label_noise": 1.0}, "'label_noise' is 1.0; must be a share from 0 to below 1"),
        ({"label_noise": math.nan}, "'label_noise' is nan"),
        ({"label_noise": "a quarter"}, "'label_noise' is 'a quarter'"),
    ],
)
def test_a_bad_parameter_is_an_error_that_says_what_is_allowed(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        quickstart.generate("standing", {**SMALL, **change})


def test_all_bad_parameters_are_listed_at_once() -> None:
    with pytest.raises(UserError, match=r"'seed' is missing; 'train_rows' is -1.*'label_noise' is 2"):
        quickstart.generate("worth", {"train_rows": -1, "dev_rows": 5, "label_noise": 2})
