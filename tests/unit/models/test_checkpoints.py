"""Finding checkpoints: search folders, the Hub, and files that are not whole."""

import json
import time
from pathlib import Path

import pytest
from small_networks import RTE, small

from errors import UserError
from models.checkpoints import fetch, resolve_checkpoint, weight_files
from models.initialise import from_checkpoint


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def model_folder(folder: Path) -> Path:
    small("bert", layers=1).export().save_pretrained(folder)
    return folder


def test_search_folders_come_before_the_hub(tmp_path: Path) -> None:
    full, short = model_folder(tmp_path / "a" / "org" / "model"), model_folder(tmp_path / "b" / "other")
    search = [tmp_path / "missing", tmp_path / "a", tmp_path / "b"]
    assert fetch("org/model", search) == full
    assert fetch("org/other", search) == short
    assert fetch(str(full)) == full
    assert resolve_checkpoint("org/unknown", search) == "org/unknown"


def test_a_missing_folder_is_named_with_what_was_searched(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"'{tmp_path}/no/such' does not exist \(search folders: {tmp_path}\)"):
        resolve_checkpoint(f"{tmp_path}/no/such", [tmp_path])
    with pytest.raises(UserError, match=r"no config\.json"):
        resolve_checkpoint(str(tmp_path))


@pytest.mark.usefixtures("offline")
def test_an_unreachable_hub_is_said_quickly_with_the_way_out(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(UserError, match=r"'org/model' at revision abc.*name a folder that holds it") as caught:
        fetch("org/model", [tmp_path], revision="abc")
    assert time.monotonic() - start < 30
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"only weights in safetensors.*pytorch_model\.bin"):
        from_checkpoint(folder, RTE, seed=1)


@pytest.mark.parametrize("length", [0, 5, 200, -1])
def test_cut_weights_are_named(tmp_path: Path, length: int) -> None:
    file = model_folder(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(UserError, match=r"model\.safetensors: corrupt or cut short"):
        from_checkpoint(tmp_path, RTE, seed=1)


def test_sharded_weights_are_read_and_a_missing_shard_is_named(tmp_path: Path) -> None:
    small("bert").export().save_pretrained(tmp_path, max_shard_size="50KB")
    files = weight_files(tmp_path)
    assert len(files) > 1
    assert from_checkpoint(tmp_path, RTE, seed=1).classifier.num_layers == 3
    files[1].unlink()
    with pytest.raises(UserError, match=rf"{files[1].name}: missing"):
        from_checkpoint(tmp_path, RTE, seed=1)


def test_another_family_is_refused_with_the_five(tmp_path: Path) -> None:
    folder = model_folder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "t5"}))
    with pytest.raises(UserError, match=r"config\.json: model_type 't5'.*BERT.*RoBERTa.*DistilBERT.*DeBERTa-v2.*OPT"):
        from_checkpoint(folder, RTE, seed=1)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        from_checkpoint(folder, RTE, seed=1)
