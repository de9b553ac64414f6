"""The split stage's final line: what a person should know of the rows, and nothing that did not happen."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from stages import Ended, merged, run_stage_here, write_params

from data.quickstart import vocabulary

WORDS = [word for word in vocabulary() if word.isalpha()]


def ended(
    folder: Path, train: Sequence[tuple[str, int]], dev: Sequence[tuple[str, int]] = (), **split: object
) -> Ended:
    """Run `split` for such rows, with the embedded tokenizer."""
    own = folder / "data" / "reviews"
    own.mkdir(parents=True)
    (own / "dataset.yaml").write_text("kind: single\ntext: text\nlabels: [bad, good]\n")
    for name, rows in (("train", train), ("dev", dev)):
        if rows:
            lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in rows]
            (own / f"{name}.jsonl").write_text("".join(lines))
    given: dict[str, object] = {
        "benchmark": "own",
        "datasets": ["reviews"],
        "methods": ["finetune"],
        "source": {"folder": "data"},
        "split": {"selection_minimum": 8, **split},
    }
    write_params(folder, **merged(given, {}))
    assert run_stage_here(folder, "source", "--dataset", "reviews").status == 0
    end = run_stage_here(folder, "split", "--dataset", "reviews")
    assert end.status == 0, end.errors
    return end


def line(folder: Path, train: Sequence[tuple[str, int]], dev: Sequence[tuple[str, int]] = (), **split: object) -> str:
    """The final line of `split`."""
    return ended(folder, train, dev, **split).output


def metrics(folder: Path) -> dict:
    return json.loads((folder / "outputs/split/reviews/metrics.json").read_text())


def known(number: int, length: int = 2) -> str:
    """A text of the tokenizer's own words; different for each number below 100."""
    return " ".join([WORDS[number % 10], WORDS[10 + number // 10 % 10], *([WORDS[20]] * (length - 2))])


ROWS = [(known(n), n % 2) for n in range(100)]


def test_of_rows_without_a_wart_only_the_counts_are_said(tmp_path: Path) -> None:
    said = line(tmp_path, ROWS)
    assert said.startswith("split reviews: train 56, quiz 21, selection 8, dev 15 rows, "), said
    assert ";" not in said


def test_rows_that_dev_holds_repetitions_contradictions_and_cuts_are_counted(tmp_path: Path) -> None:
    again = [(known(50), 0), (known(50), 0), (known(51), 0)]
    long = [(f"{known(n)} {known(0, 30)}", n % 2) for n in range(5)]
    dev = [(text, label if n else 1 - label) for n, (text, label) in enumerate(ROWS[:40])]
    said = line(tmp_path, [*ROWS, *again, *long], dev, max_length=16)
    counted = (
        "; 40 train rows equal to dev rows dropped (40 dev rows were in train, 1 of them with another label); "
        "3 repetitions of an input; 1 input with contradicting labels; "
    )
    assert f" rows{counted}5 rows cut at 16 tokens, " in said, said
    manifest = json.loads((tmp_path / "outputs/split/reviews/tokens/manifest.json").read_text())
    assert sum(manifest["truncated"].values()) == 5
    wanted = {"dropped_equal_to_dev": 40, "duplicate_inputs": 3, "inputs_with_two_labels": 1, "dev_rows_in_train": 40}
    assert wanted.items() <= metrics(tmp_path).items()


def test_few_dev_rows_are_a_warning_said_once_with_what_one_row_is_worth(tmp_path: Path) -> None:
    own = ended(tmp_path / "own", ROWS[40:], ROWS[:40])
    assert own.errors.count("WARNING") == 1 and "WARNING" not in own.output
    assert "dev of 40 rows measures little: one row is 2.5 points of accuracy" in own.errors
    assert "dev_fraction" not in own.errors, "that key has no say where there is a dev file"
    assert metrics(tmp_path / "own")["points_per_row"] == {"dev": 2.5}
    held_out = ended(tmp_path / "held_out", ROWS)
    assert "dev of 15 rows" in held_out.errors and "raise split.dev_fraction" in held_out.errors


def test_a_hundred_dev_rows_are_enough(tmp_path: Path) -> None:
    more = [(f"{text} {WORDS[30]}", label) for text, label in ROWS]
    assert "WARNING" not in ended(tmp_path, more, ROWS).errors
    assert metrics(tmp_path)["warnings"] == []


@pytest.mark.parametrize(("words", "warns"), [(1, False), (4, True)])
def test_a_tokenizer_that_knows_few_of_the_words_is_a_warning_from_a_fifth_on(
    words: int, warns: bool, tmp_path: Path
) -> None:
    rows = [(f"{known(n, 10 - words)} " + " ".join(["qzx"] * words), n % 2) for n in range(100)]
    end = ended(tmp_path, rows)
    manifest = json.loads((tmp_path / "outputs/split/reviews/tokens/manifest.json").read_text())
    assert manifest["unknown_tokens"]["train"] == words / 10
    assert f"; {100 * words} unknown tokens ({words / 10:.1%}), " in end.output, end.output
    count = metrics(tmp_path)["unknown_tokens"]["train"]
    assert count["count"] * 10 == count["of"] * words
    warned = (
        f"WARNING: {count['count']} of train's {count['of']} tokens (40%) are unknown to the tokenizer (quickstart)"
    )
    assert (warned in end.errors) == warns, end.errors
    assert ("set split.tokenizer to" in end.errors) == warns
