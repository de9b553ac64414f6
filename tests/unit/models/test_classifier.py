"""The classifier: shapes, pooled and sequence vectors, heads, export."""

from pathlib import Path

import pytest
import torch
from small_networks import COPA, FAMILY_NAMES, PADDING, RTE, STSB, VOCABULARY, batch, small
from torch import nn
from transformers import AutoModelForSequenceClassification

from errors import UserError
from models.classifier import Classifier
from models.heads import HeadSpec

every_family = pytest.mark.parametrize("family", FAMILY_NAMES)


@every_family
@pytest.mark.parametrize("lengths", [[9, 5, 7, 9, 3, 8], [6], [4, 2]])
def test_export_has_bit_for_bit_the_same_logits(family: str, lengths: list[int]) -> None:
    network, inputs = small(family), batch(lengths)
    network.add_head("cb", 3, seed=1)
    for dataset in ("rte", "cb"):
        with torch.no_grad():
            network.first_token_only = True
            ours = network(inputs, dataset=dataset).logits
            network.first_token_only = False
            whole = network(inputs, dataset=dataset).logits
            stock = network.export(dataset).eval()(**inputs).logits
        assert torch.equal(whole, stock)
        torch.testing.assert_close(ours, stock, rtol=0, atol=1e-5)


@every_family
def test_shapes_of_logits_pooled_and_vectors(family: str) -> None:
    network = small(family)
    outputs = network(batch([9, 5, 7]), dataset="rte", layers=(0, 2, 3))
    assert outputs.logits.shape == (3, 2)
    assert outputs.pooled.shape == (3, network.hidden_size) == (3, 32)
    assert {layer: vector.shape for layer, vector in outputs.vectors.items()} == dict.fromkeys((0, 2, 3), (3, 32))


@every_family
def test_the_head_applied_to_the_pooled_vector_gives_the_logits_in_training_mode_too(family: str) -> None:
    network = small(family).train()
    outputs = network(batch([9, 5, 7]), dataset="rte")
    torch.testing.assert_close(network.head_of("rte")(outputs.pooled), outputs.logits)


@every_family
def test_a_choice_is_scored_candidate_by_candidate(family: str) -> None:
    network, inputs = small(family, COPA), batch([9, 5, 7, 9, 3, 8])
    outputs = network(inputs, dataset="copa", choices=2, layers=(1,))
    assert outputs.logits.shape == (3, 2)
    assert outputs.pooled.shape == outputs.vectors[1].shape == (6, 32)
    alone = network({name: value[3:4] for name, value in inputs.items()}, dataset="copa").logits
    torch.testing.assert_close(outputs.logits[1, 1], alone[0, 0])


@every_family
def test_regression_has_one_score_and_says_so_in_the_export(family: str) -> None:
    network = small(family, STSB)
    assert network(batch([9, 5, 7]), dataset="stsb").logits.shape == (3, 1)
    config = network.export().config
    assert (config.num_labels, config.problem_type) == (1, "regression")


@every_family
def test_padding_changes_nothing(family: str) -> None:
    network = small(family)
    short = network(batch([6, 4]), dataset="rte", layers=(0, 3))
    long = network(batch([6, 4], width=15), dataset="rte", layers=(0, 3))
    torch.testing.assert_close(short.logits, long.logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(short.pooled, long.pooled, rtol=0, atol=1e-5)
    for layer in (0, 3):
        torch.testing.assert_close(short.vectors[layer], long.vectors[layer], rtol=0, atol=1e-5)


def test_the_sequence_vector_of_opt_is_that_of_the_last_token_which_is_no_padding() -> None:
    network, inputs = small("opt"), batch([6, 4])
    outputs = network(inputs, dataset="rte", layers=(1, 3))
    states = network.export().model(**inputs, output_hidden_states=True).hidden_states
    rows, last = torch.arange(2), torch.tensor([5, 3])
    assert torch.equal(outputs.vectors[1], states[1][rows, last])
    assert torch.equal(outputs.pooled, states[3][rows, last])
    assert torch.equal(outputs.pooled, outputs.vectors[3])


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "deberta-v2"])
def test_the_sequence_vector_of_the_others_is_that_of_the_first_token(family: str) -> None:
    network, inputs = small(family), batch([6, 4])
    outputs = network(inputs, dataset="rte", layers=(0, 2))
    states = network.export()(**inputs, output_hidden_states=True).hidden_states
    for layer in (0, 2):
        assert torch.equal(outputs.vectors[layer], states[layer][:, 0])


@pytest.mark.parametrize(
    ("family", "place"),
    [
        ("bert", "bert.pooler.dense"),
        ("roberta", "classifier.dense"),
        ("distilbert", "pre_classifier"),
        ("deberta-v2", "pooler.dense"),
    ],
)
def test_the_state_is_the_weight_of_the_last_square_layer(family: str, place: str) -> None:
    network = small(family)
    weight = network.state_weight()
    assert weight is not None and weight.shape == (32, 32)
    assert torch.equal(weight, network.export().state_dict()[f"{place}.weight"])


def test_opt_has_no_state() -> None:
    assert small("opt").state_weight() is None


@every_family
def test_heads_keep_the_familys_bias(family: str) -> None:
    network = small(family)
    added = network.add_head("cb", 3, seed=1)
    assert (network.head_of("rte").bias is None) == (added.bias is None) == (family == "opt")


def test_a_head_depends_on_its_seed_and_its_datasets_name_alone() -> None:
    network, again = small("bert"), small("bert")
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, other = network.add_head("a", 3, seed=5), network.add_head("b", 3, seed=5)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first.weight, again.add_head("a", 3, seed=5).weight)
    assert not torch.equal(first.weight, other.weight)
    assert not torch.equal(first.weight, small("bert").add_head("a", 3, seed=6).weight)
    wide = small("bert", hidden=128).add_head("d", 200, seed=5)
    assert wide.weight.std().item() == pytest.approx(0.02, rel=0.05)


@every_family
def test_a_random_network_depends_on_its_seed_alone(family: str) -> None:
    torch.manual_seed(1)
    first = small(family).state_dict()
    torch.manual_seed(2)
    same, other = small(family).state_dict(), small(family, seed=8).state_dict()
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_export_names_its_labels_and_those_of_another_dataset_are_not_the_own() -> None:
    network = small("bert")
    network.add_head("mrpc", 2, seed=1)
    spec = HeadSpec("mrpc", "pair", ("not_equivalent", "equivalent"))
    assert network.export().config.id2label == {0: "entailment", 1: "not_entailment"}
    assert network.export("mrpc").config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert network.export("mrpc", spec=spec).config.label2id == {"not_equivalent": 0, "equivalent": 1}


def test_an_export_is_a_copy_of_its_own() -> None:
    network = small("bert")
    before = network.head_of("rte").weight.clone()
    with torch.no_grad():
        network.export().get_parameter("classifier.weight").zero_()
    assert torch.equal(network.head_of("rte").weight, before)


@pytest.mark.parametrize("family", ["distilbert", "roberta", "opt"])
def test_token_types_are_left_out_where_the_network_knows_none(family: str) -> None:
    network, inputs = small(family), batch([6, 4])
    if family == "roberta":
        network.backbone.config.type_vocab_size = 1  # as in the published checkpoints
    with_types = inputs | {"token_type_ids": torch.ones_like(inputs["input_ids"])}
    assert torch.equal(network(with_types, dataset="rte").logits, network(inputs, dataset="rte").logits)


def test_token_types_count_in_bert() -> None:
    network, inputs = small("bert"), batch([6, 4])
    with_types = inputs | {"token_type_ids": torch.ones_like(inputs["input_ids"])}
    assert not torch.equal(network(with_types, dataset="rte").logits, network(inputs, dataset="rte").logits)


@every_family
def test_eager_attention_agrees_with_the_default(family: str) -> None:
    inputs = batch([9, 5, 7])
    one, other = small(family), small(family, attention="eager")
    assert other.backbone.config._attn_implementation == "eager"
    torch.testing.assert_close(one(inputs, dataset="rte").logits, other(inputs, dataset="rte").logits)


@every_family
def test_the_gradient_reaches_backbone_and_head(family: str) -> None:
    network = small(family).train()
    outputs = network(batch([9, 5, 7]), dataset="rte", layers=(1,))
    (outputs.logits.sum() + outputs.vectors[1].sum()).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


def test_a_projection_maps_the_pooled_vector_to_the_teachers_width() -> None:
    student = small("deberta-v2", hidden=16)
    projection = student.add_projection(32, seed=2)
    pooled = student(batch([6, 4]), dataset="rte").pooled
    assert student.projection is projection
    assert projection(pooled).shape == (2, 32)


def test_the_stock_loader_reads_what_the_export_saves(tmp_path: Path) -> None:
    network, inputs = small("roberta"), batch([6, 4])
    network.export().save_pretrained(tmp_path)
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float32)
    assert torch.equal(stock(**inputs).logits, network(inputs, dataset="rte").logits)


def test_wrong_calls_say_what_is_allowed() -> None:
    network, inputs = small("bert"), batch([6, 4, 5])
    with pytest.raises(UserError, match=r"'cb'.*'rte'"):
        network(inputs, dataset="cb")
    with pytest.raises(UserError, match=r"\[4\].*0 \(embeddings\) to 3"):
        network(inputs, dataset="rte", layers=(1, 4))
    with pytest.raises(UserError, match="choice needs 1"):
        network(inputs, dataset="rte", choices=3)
    network.add_head("copa", 1, seed=1)
    with pytest.raises(UserError, match="3 inputs"):
        network(inputs, dataset="copa", choices=2)
    with pytest.raises(UserError, match="has a head already"):
        network.add_head("copa", 1, seed=1)
    with pytest.raises(UserError, match=r"'my\.data' cannot name a head"):
        network.add_head("my.data", 1, seed=1)


def test_a_stock_model_with_another_number_of_outputs_is_refused() -> None:
    with pytest.raises(UserError, match="needs 1 outputs, the model has 2"):
        Classifier(small("bert").export(), STSB)


def test_a_tokenizer_that_does_not_fit_is_refused() -> None:
    network = small("roberta")
    network.check_tokenizer(VOCABULARY, PADDING, 38)
    with pytest.raises(UserError, match="61 tokens"):
        network.check_tokenizer(VOCABULARY + 1, PADDING, 38)
    with pytest.raises(UserError, match="pads with 0, RoBERTa expects 1"):
        network.check_tokenizer(VOCABULARY, 0, 38)
    with pytest.raises(UserError, match="reads at most 38"):
        network.check_tokenizer(VOCABULARY, PADDING, 39)
    small("bert").check_tokenizer(VOCABULARY, 0, 40)


def test_roberta_reads_inputs_of_its_maximum_length() -> None:
    network = small("roberta")
    assert network(batch([network.max_length]), dataset="rte").logits.shape == (1, 2)


def test_a_head_spec_of_one_class_is_refused() -> None:
    with pytest.raises(UserError, match="at least 2"):
        HeadSpec("rte", "pair", ("only",))


def test_final_layers_are_replaced_by_nothing() -> None:
    assert isinstance(small("roberta").backbone.get_submodule("classifier.out_proj"), nn.Identity)
    assert small("roberta").spec == RTE
