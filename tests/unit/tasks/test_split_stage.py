"""The split stage's final line: what a person should know of the rows, and nothing that did not happen."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from stages import merged, run_stage_here, write_params

from data.quickstart import vocabulary

WORDS = [word for word in vocabulary() if word.isalpha()]


def line(folder: Path, train: Sequence[tuple[str, int]], dev: Sequence[tuple[str, int]] = (), **split: object) -> str:
    """What `split` prints for such rows, with the embedded tokenizer."""
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
        "student": {"methods": ["finetune"]},
        "mpdistil": {"datasets": []},
        "source": {"folder": "data"},
        "split": {"selection_minimum": 8, **split},
    }
    write_params(folder, **merged(given, {}))
    for stage in ("source", "split"):
        ended = run_stage_here(folder, stage, "--dataset", "reviews")
        assert ended.status == 0, ended.errors
    return ended.output


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
    said = line(tmp_path, [*ROWS, *again, *long], ROWS[:40], max_length=16)
    counted = (
        "; 40 train rows equal to dev rows dropped; 3 repetitions of an input; 1 inputs with contradicting labels; "
    )
    assert f" rows{counted}5 rows cut at 16 tokens, " in said, said
    manifest = json.loads((tmp_path / "outputs/split/reviews/tokens/manifest.json").read_text())
    assert sum(manifest["truncated"].values()) == 5


@pytest.mark.parametrize(("words", "warns"), [(1, False), (4, True)])
def test_a_tokenizer_that_knows_few_of_the_words_is_a_warning_from_a_fifth_on(
    words: int, warns: bool, tmp_path: Path
) -> None:
    rows = [(f"{known(n, 10 - words)} " + " ".join(["qzx"] * words), n % 2) for n in range(100)]
    said = line(tmp_path, rows)
    manifest = json.loads((tmp_path / "outputs/split/reviews/tokens/manifest.json").read_text())
    assert manifest["unknown_tokens"]["train"] == words / 10
    assert ("WARNING: 40% of train's tokens are unknown to the tokenizer (quickstart)" in said) == warns, said
