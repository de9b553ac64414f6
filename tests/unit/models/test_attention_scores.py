"""Attention scores before the softmax, all tokens' vectors, and student branches, in every family."""

from typing import cast

import pytest
import torch
from small_networks import COPA, RTE, VOCABULARY, batch, small

from errors import UserError
from models.branches import Branch, Branched
from models.layers import keep_layers

WITH_SCORES = ("bert", "roberta", "distilbert", "opt")
FAMILIES = (*WITH_SCORES, "deberta-v2")
INPUTS = batch([9, 5, 7])


@pytest.mark.parametrize("family", WITH_SCORES)
def test_the_softmax_of_the_scores_is_the_attention_that_eager_code_gives(family: str) -> None:
    network = small(family, attention="eager")
    said = network(INPUTS, dataset="rte", attentions=(1, 3))
    stock = network.backbone(**INPUTS, output_attentions=True).attentions
    for layer in (1, 3):
        assert torch.allclose(said.attentions[layer].softmax(-1), stock[layer - 1], atol=1e-6)
        assert bool(torch.isneginf(said.attentions[layer][1, :, 0, 5:]).all())  # padding


@pytest.mark.parametrize("family", WITH_SCORES)
def test_a_network_says_the_same_when_it_is_asked_for_scores(family: str) -> None:
    network = small(family)
    plain = network(INPUTS, dataset="rte", layers=(1,))
    asked = network(INPUTS, dataset="rte", layers=(1,), tokens=(0, 1), attentions=(2,))
    assert torch.allclose(asked.logits, plain.logits, atol=1e-6)
    assert asked.tokens[1].shape == (3, 9, 32)
    assert asked.mask is not None
    assert asked.mask.sum(-1).tolist() == [9, 5, 7]
    assert torch.equal(network(INPUTS, dataset="rte", layers=(1,)).logits, plain.logits)
    assert network.backbone.config._attn_implementation == "sdpa"


def test_dropout_falls_where_eager_attention_lets_it_fall() -> None:
    network = small("bert", attention="eager").train()
    torch.manual_seed(3)
    plain = network(INPUTS, dataset="rte").logits
    torch.manual_seed(3)
    asked = network(INPUTS, dataset="rte", attentions=(1,))
    assert torch.allclose(asked.logits, plain, atol=1e-6)
    assert bool(torch.isfinite(asked.attentions[1][0]).all())


def test_a_family_whose_attention_is_its_own_is_refused() -> None:
    with pytest.raises(UserError, match="DeBERTa-v2 gives no attention scores"):
        small("deberta-v2")(INPUTS, dataset="rte", attentions=(1,))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("spec", [RTE, COPA], ids=["pair", "choice"])
def test_student_branches_stand_on_every_family(family: str, spec) -> None:
    teacher, student = small(family, spec, layers=4, hidden=48), small(family, spec, layers=2, seed=11)
    choices = 2 if spec is COPA else 1
    inputs = batch([9, 5, 7, 4])
    before = teacher(inputs, dataset=spec.dataset, choices=choices).logits
    branched = Branched(teacher, student, seed=1)
    assert branched.places == (2,)
    assert not branched(inputs, dataset=spec.dataset, choices=choices).branches
    branched.train()
    for module in branched.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    said = branched(inputs, dataset=spec.dataset, choices=choices)
    assert said.branches[2].shape == said.logits.shape
    assert bool(torch.isfinite(said.branches[2]).all())
    said.branches[2].sum().backward()
    reached = {name for name, value in teacher.named_parameters() if value.grad is not None and value.grad.any()}
    assert any(".1." in name for name in reached)
    assert not any(".2." in name or ".3." in name for name in reached)
    assert torch.allclose(branched.eval()(inputs, dataset=spec.dataset, choices=choices).logits, before, atol=1e-6)


def test_a_branch_is_the_students_own_later_layers() -> None:
    student = small("bert", layers=3, seed=11)
    branched = Branched(small("bert", layers=6), student, seed=1)
    assert branched.places == (2, 4)
    rest = keep_layers(student.export(), (3,)).state_dict()
    copied = cast(Branch, branched.branches["4"]).rest.export().state_dict()
    assert all(torch.equal(copied[name], value) for name, value in rest.items())


def test_a_student_of_one_layer_has_no_branches() -> None:
    with pytest.raises(UserError, match="2 layers or more"):
        Branched(small("bert", layers=3), small("bert", layers=1), seed=1)


def test_vectors_in_place_of_words_give_what_the_words_give() -> None:
    network = small("bert")
    words = network.backbone.get_input_embeddings()(INPUTS["input_ids"] % VOCABULARY)
    assert torch.equal(network(INPUTS, dataset="rte", embedded=words).logits, network(INPUTS, dataset="rte").logits)
