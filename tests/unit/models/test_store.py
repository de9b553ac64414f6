"""Stored networks come back as they were, or with one clear error."""

import json
from pathlib import Path

import pytest
import torch
from small_networks import COPA, FAMILY_NAMES, RTE, STSB, batch, small
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

from errors import UserError
from models.classifier import Classifier
from models.heads import HeadSpec
from models.store import load_model, read_stored, save_model
from models.tokenizer import build_word_tokenizer, save_tokenizer
from tests.weights_hash import weights_hash


def full(family: str = "bert", spec: HeadSpec = RTE) -> Classifier:
    network = small(family, spec)
    network.add_head("cb", 3, seed=1)
    network.add_head("copa2", 1, seed=2)
    network.add_projection(20, seed=3)
    return network


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_network_comes_back_with_its_heads_and_projection(family: str, tmp_path: Path) -> None:
    network, inputs = full(family), batch([6, 4])
    save_model(tmp_path / "model", network, tokenizer_fingerprint="abc")
    back = load_model(tmp_path / "model")
    for dataset in ("rte", "cb", "copa2"):
        assert torch.equal(back(inputs, dataset=dataset).logits, network(inputs, dataset=dataset).logits)
    before, after = network.state_dict(), back.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert read_stored(tmp_path / "model").tokenizer_fingerprint == "abc"
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model", dtype=torch.float32)
    network.first_token_only = False
    assert torch.equal(stock(**inputs).logits, network(inputs, dataset="rte").logits)
    assert stock.config.id2label == {0: "entailment", 1: "not_entailment"}


@pytest.mark.parametrize("spec", [COPA, STSB])
def test_what_a_head_answers_comes_back(spec: HeadSpec, tmp_path: Path) -> None:
    save_model(tmp_path / "model", small("bert", spec))
    assert load_model(tmp_path / "model").spec == spec
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "config.json",
        "model.safetensors",
        "distilflow.json",
    }


def test_the_tokenizer_lies_beside_the_model(tmp_path: Path) -> None:
    tokenizer = build_word_tokenizer(["red", "ball"])
    save_tokenizer(tokenizer, tmp_path / "tokenizer")
    save_model(tmp_path / "model", small("bert"), tokenizer_folder=tmp_path / "tokenizer")
    read = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert isinstance(read, PreTrainedTokenizerFast)
    assert read("Red ball", "ball")["input_ids"] == tokenizer.encode("Red ball", "ball").ids
    with pytest.raises(UserError, match="no tokenizer files"):
        save_model(tmp_path / "other", small("bert"), tokenizer_folder=tmp_path)
    assert not (tmp_path / "other").exists()


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    save_model(tmp_path / "model", full())
    save_model(tmp_path / "model", small("bert", seed=8))
    assert not (tmp_path / "model" / "heads.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failed_write_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = full()
    save_model(tmp_path / "model", network)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.store.save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_model(tmp_path / "model", full("opt"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert weights_hash(tmp_path / "model") == weights_hash(network)


def test_what_a_killed_process_left_aside_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".model.partial").mkdir()
    (tmp_path / ".model.partial" / "heads.safetensors").write_text("half")
    save_model(tmp_path / "model", small("bert"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not (tmp_path / "model" / "heads.safetensors").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "heads.safetensors", "projection.safetensors"])
def test_a_cut_file_is_named(name: str, tmp_path: Path) -> None:
    save_model(tmp_path / "model", full())
    file = tmp_path / "model" / name
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(UserError, match=rf"{name}: corrupt or cut short"):
        load_model(tmp_path / "model")


def test_a_folder_from_elsewhere_is_refused(tmp_path: Path) -> None:
    small("bert").export().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"no distilflow\.json"):
        load_model(tmp_path)
    (tmp_path / "distilflow.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        load_model(tmp_path)


def test_the_hash_is_that_of_the_weights_in_memory_and_on_disk(tmp_path: Path) -> None:
    network = full()
    save_model(tmp_path / "model", network)
    hashed = weights_hash(network)
    assert hashed == weights_hash(tmp_path / "model") == weights_hash(load_model(tmp_path / "model"))
    for parameter in network.parameters():
        with torch.no_grad():
            parameter.view(-1)[0] += 1
        changed = weights_hash(network)
        assert changed != hashed
        hashed = changed


def test_the_hash_of_a_sharded_folder_is_that_of_a_whole_one(tmp_path: Path) -> None:
    small("bert").export().save_pretrained(tmp_path / "whole")
    small("bert").export().save_pretrained(tmp_path / "shards", max_shard_size="50KB")
    assert weights_hash(tmp_path / "whole") == weights_hash(tmp_path / "shards") == weights_hash(small("bert"))
