"""A supplied teacher is believed only where its labels are the dataset's."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_networks import COPA, RTE, STSB, batch, small

from errors import UserError
from models.heads import HeadSpec
from models.initialise import load_supplied


def supplied(folder: Path, names: tuple[str, ...] = ("entailment", "not_entailment")) -> Path:
    small("bert", HeadSpec("theirs", "pair", names)).export().save_pretrained(folder)
    return folder


def test_the_same_labels_in_any_case_pass_and_the_answers_are_the_teachers(tmp_path: Path) -> None:
    start = load_supplied(supplied(tmp_path, ("Entailment", "NOT_ENTAILMENT")), RTE)
    inputs = batch([6, 4])
    assert start.notes == []
    assert torch.equal(start.classifier(inputs, dataset="rte").logits, small("bert")(inputs, dataset="rte").logits)
    assert start.classifier.export().config.id2label == {0: "entailment", 1: "not_entailment"}


def test_labels_in_another_order_are_refused_with_both_maps(tmp_path: Path) -> None:
    folder = supplied(tmp_path, ("not_entailment", "entailment"))
    with pytest.raises(UserError, match=r"\{0: 'not_entailment', 1: 'entailment'\}.*\{0: 'entailment', 1: 'not_ent"):
        load_supplied(folder, RTE)


def test_labels_without_names_pass_with_a_note(tmp_path: Path) -> None:
    start = load_supplied(supplied(tmp_path, ("LABEL_0", "LABEL_1")), RTE)
    assert len(start.notes) == 1
    assert "LABEL_0, LABEL_1" in start.notes[0] and "entailment, not_entailment" in start.notes[0]


def test_a_folder_without_a_label_map_has_two_labels_without_names(tmp_path: Path) -> None:
    folder = supplied(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (folder / "config.json").write_text(json.dumps(config))
    assert len(load_supplied(folder, RTE).notes) == 1


@pytest.mark.parametrize("spec", [COPA, STSB, HeadSpec("cb", "pair", ("a", "b", "c"))])
def test_another_number_of_outputs_is_refused(tmp_path: Path, spec: HeadSpec) -> None:
    with pytest.raises(UserError, match=rf"2 outputs .*{spec.dataset}.* needs {spec.num_outputs}"):
        load_supplied(supplied(tmp_path), spec)


@pytest.mark.parametrize("spec", [COPA, STSB])
def test_one_output_serves_choice_and_regression(tmp_path: Path, spec: HeadSpec) -> None:
    small("opt", spec).export().save_pretrained(tmp_path)
    start = load_supplied(tmp_path, spec)
    assert start.notes == []
    assert start.classifier.head_of(spec.dataset).out_features == 1


def test_a_pretrained_model_is_no_teacher(tmp_path: Path) -> None:
    file = supplied(tmp_path) / "model.safetensors"
    tensors = load_file(file)
    del tensors["classifier.weight"], tensors["classifier.bias"]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(UserError, match="no weights of a fine-tuned classification layer"):
        load_supplied(tmp_path, RTE)
