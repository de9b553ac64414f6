"""Tokenizers: made of words, saved, loaded, compared."""

import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from data.tokens import padding_id
from errors import UserError
from models.tokenizer import build_word_tokenizer, check_same_tokenizer, load_tokenizer, save_tokenizer


def test_words_follow_the_special_tokens_in_their_order() -> None:
    tokenizer = build_word_tokenizer(["the", "Ball", "the", "."])
    assert [tokenizer.id_to_token(number) for number in range(tokenizer.get_vocab_size())] == [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "ball",
        ".",
    ]
    assert padding_id(tokenizer) == 0


def test_a_pair_has_token_types() -> None:
    encoded = build_word_tokenizer(["the", "ball"]).encode("The ball", "THE dog")
    assert encoded.ids == [2, 5, 6, 3, 5, 1, 3]
    assert encoded.type_ids == [0, 0, 0, 0, 1, 1, 1]


def test_a_word_that_is_split_when_read_is_refused() -> None:
    with pytest.raises(UserError, match='"don\'t"'):
        build_word_tokenizer(["ball", "don't"])


def test_a_saved_tokenizer_is_read_by_transformers_and_by_us(tmp_path: Path) -> None:
    tokenizer = build_word_tokenizer(["the", "ball"])
    save_tokenizer(tokenizer, tmp_path, max_length=32)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    stock = AutoTokenizer.from_pretrained(tmp_path)
    assert isinstance(stock, PreTrainedTokenizerFast)
    encoded = stock("The ball", "the [MASK]", padding="max_length", max_length=9)
    assert encoded["input_ids"] == [2, 5, 6, 3, 5, 4, 3, 0, 0]
    assert encoded["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1, 0, 0]
    assert stock.model_max_length == 32
    assert load_tokenizer(str(tmp_path)).to_str() == tokenizer.to_str()


def test_truncation_and_padding_of_a_checkpoint_are_left_off(tmp_path: Path) -> None:
    tokenizer = build_word_tokenizer(["the", "ball"])
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=9)
    save_tokenizer(tokenizer, tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert len(load_tokenizer(tmp_path.name, [tmp_path.parent]).encode("the ball the ball").ids) == 6


def test_an_older_folder_goes_through_the_converter(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "ball"]))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    assert load_tokenizer(str(tmp_path)).encode("The ball").ids == [2, 5, 6, 3]


def test_a_broken_tokenizer_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    for text in ("{", '{"version": "1.0"}'):
        (tmp_path / "tokenizer.json").write_text(text)
        with pytest.raises(UserError, match=r"tokenizer\.json"):
            load_tokenizer(str(tmp_path))


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match=rf"{tmp_path}: no tokenizer\.json"):
        load_tokenizer(str(tmp_path))


def test_different_tokenizers_are_refused() -> None:
    check_same_tokenizer("a" * 64, "a" * 64)
    with pytest.raises(UserError, match="different tokenizers"):
        check_same_tokenizer("a" * 64, "b" * 64)


def test_reading_a_tokenizer_imports_no_torch() -> None:
    code = "import sys, models.tokenizer; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
