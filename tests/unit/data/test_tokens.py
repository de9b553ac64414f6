"""Tokens and batches: what the model sees, that nothing is lost on the way, and how little of it is padding."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_rows import CHOICE, PAIR, SCORE, SHARED, SINGLE, TOKENIZER, needs_shared, single_rows, spec_of
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from data.batches import batch_order, collate, useful_share
from data.description import load_spec
from data.records import DatasetSpec, Row
from data.sources import read_rows
from data.splits import make_splits
from data.tokens import TokenSplit, joined, open_split, save_split, tokenize_split, tokenizer_fingerprint
from errors import UserError
from tests.default_shares import SHARES

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "b", "c", "d", "sentence", "number", "because", "so"]


def word_tokenizer(words: list[str] = WORDS, pad: bool = False) -> Tokenizer:
    """A word a token, with BERT's special tokens."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    if pad:
        tokenizer.enable_padding(pad_id=7)
    return tokenizer


def tokenised(folder: Path, spec: DatasetSpec, rows: list[Row], max_length: int = 16) -> TokenSplit:
    save_split(folder, "train", tokenize_split(spec, rows, word_tokenizer(), max_length))
    return open_split(folder, "train")


def pair(first: str, second: str, label: float = 0) -> Row:
    return Row(f"{first}/{second}", {"first": first, "second": second}, label)


def test_a_pair_is_stored_with_special_tokens_and_types(tmp_path: Path) -> None:
    split = tokenised(tmp_path, spec_of(PAIR), [pair("a b", "c", 2), pair("d", "a", 1)])
    assert split.input_ids(0).tolist() == [1, 4, 5, 2, 6, 2]
    types = split.token_types(0)
    assert types is not None and types.tolist() == [0, 0, 0, 0, 1, 1]
    assert split.labels.tolist() == [2, 1] and split.labels.dtype == np.int64
    assert split.row_ids == ["a b/c", "d/a"] and split.lengths.tolist() == [6, 5] and len(split) == 2


def test_single_texts_have_no_types_and_scores_are_float32(tmp_path: Path) -> None:
    assert tokenised(tmp_path, spec_of(SINGLE), single_rows(3)).token_types(0) is None
    assert tokenised(tmp_path, spec_of(SCORE), [pair("a", "b", 3.8)]).labels.dtype == np.float32


def test_a_choice_keeps_its_candidates_adjacent(tmp_path: Path) -> None:
    rows = [Row(str(i), {"premise": "a .", "one": "b", "two": "c d d", "question": "cause"}, i % 2) for i in range(3)]
    split = tokenised(tmp_path, spec_of(CHOICE), rows)
    assert split.choices == 2 and split.lengths.tolist() == [8] * 3
    assert split.input_ids(1, 0).tolist() == [1, 4, 10, 2, 5, 2]
    assert split.input_ids(1, 1).tolist() == [1, 4, 10, 2, 6, 7, 7, 2]
    batch = collate(split, [2, 0])
    assert batch.inputs["input_ids"].shape == (4, 8) and batch.choices == 2
    assert batch.labels.tolist() == [0, 0] and batch.rows.tolist() == [2, 0]
    assert batch.inputs["attention_mask"].sum(dim=1).tolist() == [6, 8, 6, 8]


def test_splits_end_to_end_are_their_rows_one_after_the_other(tmp_path: Path) -> None:
    spec, rows = spec_of(PAIR), [pair("a b", "c", 2), pair("d", "a", 1), pair("sentence", "b b b", 0)]
    parts = [tokenised(tmp_path / str(i), spec, some) for i, some in enumerate((rows[:1], [], rows[1:]))]
    whole, both = tokenised(tmp_path / "whole", spec, rows), joined(parts)
    assert joined(parts[:1]) is parts[0]
    assert both.row_ids == whole.row_ids and both.header == whole.header
    for name in ("labels", "lengths", "tokens", "types", "offsets"):
        assert np.array_equal(getattr(both, name), getattr(whole, name)), name
    assert both.tokens.dtype == np.int32 and both.labels.dtype == np.int64


def test_a_split_without_types_has_zeros_beside_one_that_has_them(tmp_path: Path) -> None:
    with_types = tokenised(tmp_path / "pairs", spec_of(PAIR), [pair("a", "b")])
    without = tokenised(tmp_path / "texts", spec_of(SINGLE), single_rows(1))
    types = joined([without, with_types]).types
    assert types is not None and types.tolist() == [0] * len(without.tokens) + [0, 0, 0, 1, 1]
    assert joined([without, without]).types is None


@pytest.mark.parametrize(
    ("truncate", "expected"),
    [("longest", "a a a b b"), ("first", "a b b b b"), ("second", "a a a a b")],
)
def test_only_the_text_that_may_be_cut_is_cut(tmp_path: Path, truncate: str, expected: str) -> None:
    rows = [pair("a a a a", "b b b b")]
    split = tokenised(tmp_path, spec_of(PAIR, truncate=truncate), rows, max_length=8)
    words = [WORDS[i] for i in split.input_ids(0) if i > 3]
    assert " ".join(words) == expected or (truncate == "longest" and len(words) == 5)
    assert split.truncated == 1 and split.lengths.tolist() == [8]


def test_a_text_that_must_not_be_cut_and_is_too_long_names_its_row(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="row a a a a a a a a/b: the first text has 8 tokens and must not be cut"):
        tokenised(tmp_path, spec_of(PAIR, truncate="second"), [pair("a " * 7 + "a", "b")], max_length=8)
    with pytest.raises(UserError, match="adds 3 special tokens"):
        tokenised(tmp_path, spec_of(PAIR), [pair("a", "b")], max_length=3)


def test_the_tokenizers_own_settings_are_left_alone() -> None:
    tokenizer = word_tokenizer(pad=True)
    tokenizer.enable_truncation(5)
    before = tokenizer.to_str()
    table = tokenize_split(spec_of(PAIR), [pair("a a a a", "b b b b"), pair("a", "b")], tokenizer, 16)
    assert tokenizer.to_str() == before
    assert [len(row[0]) for row in table.column("input_ids").to_pylist()] == [11, 5]
    assert json.loads(table.schema.metadata[b"distilflow"])["pad_id"] == 7


def test_a_tokenizer_without_a_padding_token_is_refused() -> None:
    tokenizer = word_tokenizer(["none", "[CLS]", "[SEP]", "[UNK]"])
    with pytest.raises(UserError, match="no padding token"):
        tokenize_split(spec_of(SINGLE), single_rows(1), tokenizer, 16)
    assert tokenize_split(spec_of(SINGLE), single_rows(1), tokenizer, 16, pad_id=0).num_rows == 1


def test_an_empty_split_can_be_stored_and_opened(tmp_path: Path) -> None:
    assert len(tokenised(tmp_path, spec_of(PAIR), [])) == 0


def test_a_missing_or_foreign_file_says_which_stage_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run the split stage again"):
        open_split(tmp_path, "train")
    (tmp_path / "train.arrow").write_bytes(b"ARROW1 no")
    with pytest.raises(UserError, match="not a tokenised split"):
        open_split(tmp_path, "train")


def test_a_split_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tokenize_split(spec_of(SINGLE), single_rows(5), word_tokenizer(), 16)
    monkeypatch.setattr("data.atomic_files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        save_split(tmp_path, "train", table)
    assert list(tmp_path.iterdir()) == []


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_split(tmp_path, name, tokenize_split(spec_of(SINGLE), single_rows(50), word_tokenizer(), 16))
    assert (tmp_path / "one.arrow").read_bytes() == (tmp_path / "two.arrow").read_bytes()


def test_the_fingerprint_sees_the_vocabulary_and_the_template_but_no_settings() -> None:
    plain, settled = word_tokenizer(), word_tokenizer(pad=True)
    settled.enable_truncation(9)
    assert tokenizer_fingerprint(plain) == tokenizer_fingerprint(settled)
    assert tokenizer_fingerprint(plain) != tokenizer_fingerprint(word_tokenizer([*WORDS, "more"]))
    other = word_tokenizer()
    other.post_processor = processors.TemplateProcessing(single="$A [SEP]", pair="$A $B", special_tokens=[("[SEP]", 2)])
    assert tokenizer_fingerprint(plain) != tokenizer_fingerprint(other)


def test_one_post_processor_written_in_two_ways_has_one_fingerprint() -> None:
    other = word_tokenizer()
    other.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    assert tokenizer_fingerprint(word_tokenizer()) == tokenizer_fingerprint(other)


def test_a_batch_is_padded_to_its_longest_row_and_labels_keep_their_type(tmp_path: Path) -> None:
    split = tokenised(tmp_path, spec_of(SCORE), [pair("a", "b", 1.5), pair("a b c", "d", 2.5), pair("a", "a", 0.0)])
    batch = collate(split, [0, 1])
    assert batch.inputs["input_ids"].tolist() == [[1, 4, 2, 5, 2, 0, 0], [1, 4, 5, 6, 2, 7, 2]]
    assert batch.inputs["attention_mask"].tolist() == [[1] * 5 + [0] * 2, [1] * 7]
    assert batch.inputs["token_type_ids"].tolist() == [[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1]]
    assert batch.labels.dtype == torch.float32 and batch.labels.tolist() == [1.5, 2.5] and len(batch) == 2
    assert batch.to("cpu").rows.tolist() == [0, 1]


LENGTHS = st.lists(st.integers(1, 200), max_size=300).map(np.array)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 3), st.booleans())
def test_an_epoch_holds_every_row_exactly_once(lengths: np.ndarray, size: int, epoch: int, shuffle: bool) -> None:
    batches = batch_order(lengths, size, seed=1, epoch=epoch, shuffle=shuffle)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // size) and all(0 < len(batch) <= size for batch in batches)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, 500)
    first = batch_order(lengths, 8, seed=1, epoch=0, shuffle=True)
    assert first == batch_order(lengths, 8, seed=1, epoch=0, shuffle=True)
    assert first != batch_order(lengths, 8, seed=1, epoch=1, shuffle=True)
    assert first != batch_order(lengths, 8, seed=2, epoch=0, shuffle=True)
    ordered = [lengths[i] for batch in batch_order(lengths, 8, seed=1, epoch=0, shuffle=False) for i in batch]
    assert ordered == sorted(ordered, reverse=True)
    with pytest.raises(ValueError, match="batch_size is 0"):
        batch_order(lengths, 0, seed=1, epoch=0, shuffle=True)


def real_split(folder: Path, benchmark: str, dataset: str, split: str) -> tuple[DatasetSpec, TokenSplit]:
    rows_folder = SHARED / "data" / benchmark
    found = read_rows(load_spec(rows_folder, benchmark, dataset), rows_folder)
    rows = make_splits(found.spec, found.rows["train"], {"dev": found.rows["dev"]}, seed=0, shares=SHARES).rows[split]
    save_split(folder, split, tokenize_split(found.spec, rows, Tokenizer.from_file(str(TOKENIZER)), 128))
    return found.spec, open_split(folder, split)


@needs_shared
def test_at_least_93_percent_of_the_tokens_of_rte_are_useful(tmp_path: Path) -> None:
    _, split = real_split(tmp_path, "superglue", "rte", "train")
    for size in (8, 16, 32):
        orders = [batch_order(split.lengths, size, seed=0, epoch=epoch, shuffle=True) for epoch in range(3)]
        assert np.mean([useful_share(split.lengths, order) for order in orders]) >= 0.93


@needs_shared
def test_real_boolq_keeps_every_question_whole(tmp_path: Path) -> None:
    spec, split = real_split(tmp_path, "superglue", "boolq", "quiz")
    assert split.truncated > 0 and split.lengths.max() == 128
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    folder = SHARED / "data" / "superglue"
    questions = {row.id: str(row.fields["question"]) for row in read_rows(spec, folder).rows["train"]}
    for i, row in enumerate(split.row_ids):
        question = tokenizer.encode(questions[row]).ids
        assert split.input_ids(i)[: len(question)].tolist() == question


@needs_shared
def test_opening_a_split_costs_milliseconds(tmp_path: Path) -> None:
    real_split(tmp_path, "superglue", "wic", "train")
    began = time.process_time()
    open_split(tmp_path, "train")
    assert time.process_time() - began < 0.2
