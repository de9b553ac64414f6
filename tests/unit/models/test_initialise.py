"""The four ways a student starts, and what is said when one cannot."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_networks import FAMILY_NAMES, RTE, STSB, batch, small
from transformers import AutoModel

from errors import UserError
from models.classifier import Classifier
from models.families import FAMILIES
from models.initialise import from_checkpoint, from_config, from_pretrained_layers, from_teacher_layers
from models.layer_choice import choose_layers, spread_layers

every_family = pytest.mark.parametrize("family", FAMILY_NAMES)


def saved(network: Classifier, folder: Path) -> Path:
    network.export().save_pretrained(folder)
    return folder


def expect_layers(student: Classifier, source: Classifier, kept: tuple[int, ...]) -> None:
    """Every weight but the head's is the source's; layer i is the source's kept[i]."""
    stack = FAMILIES[source.backbone.config.model_type].layers + "."
    weights = source.backbone.state_dict()
    for name, tensor in student.backbone.state_dict().items():
        if name.startswith(stack):
            number, rest = name.removeprefix(stack).split(".", 1)
            name = f"{stack}{kept[int(number)] - 1}.{rest}"
        assert torch.equal(tensor, weights[name]), name


def test_layers_are_spread_evenly_and_the_last_is_kept() -> None:
    assert spread_layers(6, 3) == (2, 4, 6)
    assert spread_layers(12, 4) == (3, 6, 9, 12)
    assert spread_layers(12, 5) == (2, 4, 7, 9, 12)
    assert spread_layers(12, 1) == (12,)
    assert spread_layers(4, 4) == (1, 2, 3, 4)


@pytest.mark.parametrize("layers", [7, 0, [], [1, 2, 7], [0, 1], [2, 1], [3, 3]])
def test_layers_that_are_not_there_are_refused(layers: int | list[int]) -> None:
    with pytest.raises(UserError, match="1 to 6"):
        choose_layers(6, layers)


@every_family
def test_a_student_of_pretrained_layers_has_them_and_a_new_head(family: str, tmp_path: Path) -> None:
    source = small(family, layers=4)
    folder = saved(source, tmp_path)
    student = from_pretrained_layers(folder, RTE, 2, seed=5).classifier
    assert student.num_layers == 2
    expect_layers(student, source, (2, 4))
    assert not torch.equal(student.head_of("rte").weight, source.head_of("rte").weight)
    again = from_pretrained_layers(folder, RTE, 2, seed=5).classifier
    assert torch.equal(again.head_of("rte").weight, student.head_of("rte").weight)
    assert student(batch([6, 4]), dataset="rte", layers=(2,)).logits.shape == (2, 2)


@every_family
def test_a_student_of_the_teachers_layers_has_them_and_its_head(family: str) -> None:
    teacher = small(family, layers=4)
    student = from_teacher_layers(teacher, [1, 3]).classifier
    expect_layers(student, teacher, (1, 3))
    assert torch.equal(student.head_of("rte").weight, teacher.head_of("rte").weight)
    with torch.no_grad():
        student.head_of("rte").weight.zero_()
    assert teacher.head_of("rte").weight.abs().sum() > 0


@every_family
def test_all_layers_of_a_teacher_answer_as_the_teacher(family: str) -> None:
    teacher, inputs = small(family), batch([6, 4])
    student = from_teacher_layers(teacher, 3).classifier
    assert torch.equal(student(inputs, dataset="rte").logits, teacher(inputs, dataset="rte").logits)


@every_family
def test_a_plain_encoder_gets_a_seeded_head_and_says_what_else_is_new(family: str, tmp_path: Path) -> None:
    source = small(family)
    saved(source, tmp_path / "classifier")
    AutoModel.from_pretrained(tmp_path / "classifier").save_pretrained(tmp_path / "encoder")
    start = from_checkpoint(tmp_path / "encoder", STSB, seed=5)
    again = from_checkpoint(tmp_path / "encoder", STSB, seed=5)
    weights, same = start.classifier.state_dict(), again.classifier.state_dict()
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert start.classifier(batch([6, 4]), dataset="stsb").logits.shape == (2, 1)
    state = FAMILIES[family].state
    expected = [] if family in ("bert", "opt") else [f"{state} is not in the checkpoint, made anew"]
    assert [note.partition(": ")[2] for note in start.notes] == expected


def test_a_missing_pooler_is_said_and_starts_from_the_seed(tmp_path: Path) -> None:
    folder = saved(small("bert"), tmp_path)
    drop(folder, "bert.pooler.dense.weight", "bert.pooler.dense.bias")
    start, other = from_checkpoint(folder, RTE, seed=5), from_checkpoint(folder, RTE, seed=6)
    assert start.notes == [f"{folder}: bert.pooler.dense is not in the checkpoint, made anew"]
    one, two = start.classifier.state_weight(), other.classifier.state_weight()
    assert one is not None and two is not None and not torch.equal(one, two)


def test_a_missing_weight_of_the_backbone_is_an_error(tmp_path: Path) -> None:
    folder = saved(small("bert"), tmp_path)
    drop(folder, "bert.encoder.layer.1.output.dense.weight")
    with pytest.raises(UserError, match=r"missing.*bert\.encoder\.layer\.1\.output\.dense\.weight"):
        from_checkpoint(folder, RTE, seed=5)


def test_a_checkpoint_whose_sizes_disagree_with_its_weights_is_an_error(tmp_path: Path) -> None:
    folder = saved(small("bert"), tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 99}))
    with pytest.raises(UserError, match=r"another shape.*word_embeddings"):
        from_checkpoint(folder, RTE, seed=5)


def test_loading_draws_nothing_from_the_global_generator_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    saved(small("roberta"), tmp_path / "classifier")
    AutoModel.from_pretrained(tmp_path / "classifier").save_pretrained(tmp_path / "encoder")
    capfd.readouterr()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    from_pretrained_layers(tmp_path / "encoder", RTE, 2, seed=5)
    assert torch.equal(torch.rand(3), expected)
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    small("bert").export().half().save_pretrained(tmp_path)
    network = from_checkpoint(tmp_path, RTE, seed=5).classifier
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_a_configuration_has_one_vocabulary_of_names_in_every_family() -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    for family in FAMILY_NAMES:
        start = from_config({"model_type": family, **sizes}, RTE, seed=1, vocab_size=50, pad_token_id=0)
        shapes = {tuple(tensor.shape) for tensor in start.classifier.backbone.state_dict().values()}
        assert {(24, 16), (16, 24), (50, 16)} <= shapes


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "gpt2"}, r"'gpt2' is not supported.*bert .*roberta .*distilbert .*deberta-v2 .*opt "),
        ({}, "'None' is not supported"),
        ({"model_type": "bert", "hiden_size": 16}, r"BERT has no key 'hiden_size'; did you mean 'hidden_size'"),
        (
            {"model_type": "bert", "hidden_size": 30, "num_attention_heads": 4},
            "hidden_size 30 is not a multiple of num_attention_heads 4",
        ),
        ({"model_type": "bert", "hidden_size": "wide"}, "cannot be built"),
        (
            {"model_type": "bert", "hidden_size": 16, "num_attention_heads": 0},
            "is not a multiple of num_attention_heads 0",
        ),
        ({"model_type": "bert", "vocab_size": 4, "pad_token_id": 9, "hidden_size": 24}, "cannot be built"),
    ],
)
def test_a_configuration_that_cannot_be_is_one_line(config: dict[str, str | int], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        from_config(config, RTE, seed=1)
    assert "\n" not in str(caught.value)


def test_an_unknown_attention_is_refused() -> None:
    with pytest.raises(UserError, match="'sdpa' and 'eager'"):
        small("bert", attention="flash")


def drop(folder: Path, *names: str) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    save_file({name: tensor for name, tensor in tensors.items() if name not in names}, file, {"format": "pt"})
