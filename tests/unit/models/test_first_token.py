"""The last layer runs for the first token alone: the same answers and gradients, and less work."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest
import torch
from small_networks import FAMILY_NAMES, batch, small
from torch import Tensor, nn

from models.classifier import Classifier

every_family = pytest.mark.parametrize("family", FAMILY_NAMES)
NARROWED = [name for name in FAMILY_NAMES if name != "opt"]
"""OPT reads the last token that is no padding, which is another one in each row."""
FEED_FORWARD = {
    "bert": "bert.encoder.layer.{}.intermediate",
    "roberta": "roberta.encoder.layer.{}.intermediate",
    "distilbert": "distilbert.transformer.layer.{}.ffn",
    "deberta-v2": "deberta.encoder.layer.{}.intermediate",
    "opt": "model.decoder.layers.{}.fc1",
}


def without_dropout(family: str, *, layers: int = 3) -> Classifier:
    """A network in training mode and float64 whose passes draw nothing."""
    network = small(family, layers=layers).double().train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            vars(module)["dropout"] = 0.0  # OPT's, which is a number
    return network


@contextmanager
def seen_by(network: Classifier, family: str, layer: int) -> Generator[list[int]]:
    """Count the tokens of a row that the feed-forward of a layer (from 1) is given, pass by pass."""
    lengths: list[int] = []
    module = network.backbone.get_submodule(FEED_FORWARD[family].format(layer - 1))

    def note(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        lengths.append(inputs[0].shape[-2])

    handle = module.register_forward_pre_hook(note)
    yield lengths
    handle.remove()


@every_family
def test_answers_and_gradients_are_those_of_a_pass_over_all_tokens(family: str) -> None:
    network, inputs = without_dropout(family), batch([9, 5, 7, 6])

    def answers_and_gradients(tokens: tuple[int, ...]) -> list[Tensor]:
        network.zero_grad()
        outputs = network(inputs, dataset="rte", layers=(0, 2, 3), tokens=tokens)
        read = [outputs.logits, outputs.pooled, *outputs.vectors.values()]
        sum((1 + number) * value.pow(3).sum() for number, value in enumerate(read)).backward()  # type: ignore[union-attr]
        slopes = {name: value.grad for name, value in network.named_parameters()}
        return [*read, *(slope if slope is not None else torch.zeros(1) for slope in slopes.values())]

    alone, whole = answers_and_gradients(()), answers_and_gradients((3,))
    for one, other in zip(alone, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", NARROWED)
def test_the_feed_forward_of_the_last_layer_sees_one_token_and_that_of_the_others_all(family: str) -> None:
    network, inputs = small(family), batch([9, 5, 7, 6])
    with seen_by(network, family, 3) as last, seen_by(network, family, 2) as before:
        for mode in (True, False):
            network.train(mode)(inputs, dataset="rte", layers=(3,))
    assert (last, before) == ([1, 1], [9, 9])


@every_family
def test_every_token_of_the_last_layer_is_there_where_it_is_asked_for(family: str) -> None:
    network, inputs = without_dropout(family), batch([9, 5, 7, 6])
    asked = network(inputs, dataset="rte", tokens=(2, 3)).tokens
    stock = network.export().base_model(**inputs, output_hidden_states=True).hidden_states
    assert asked[3].shape == (4, 9, 32)
    for layer in (2, 3):
        torch.testing.assert_close(asked[layer], stock[layer], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", NARROWED)
def test_few_inputs_are_run_whole(family: str) -> None:
    network = small(family)
    with seen_by(network, family, 3) as last:
        network(batch([9, 5, 7]), dataset="rte")
    assert last == [9]


@pytest.mark.parametrize("family", NARROWED)
def test_it_can_be_had_as_the_stock_model_runs_it(family: str) -> None:
    network = small(family)
    network.first_token_only = False
    with seen_by(network, family, 3) as last:
        network(batch([9, 5, 7, 6]), dataset="rte")
    assert last == [9]


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_attention_scores_of_the_last_layer_are_those_of_every_token(family: str) -> None:
    network, inputs = without_dropout(family), batch([9, 5, 7, 6])
    asked = network(inputs, dataset="rte", attentions=(3,)).attentions[3]
    assert asked.shape == (4, 4, 9, 9)
    torch.testing.assert_close(asked, network(inputs, dataset="rte", attentions=(3,), tokens=(3,)).attentions[3])


@every_family
def test_a_network_of_one_layer_learns_from_what_it_reads(family: str) -> None:
    """DeBERTa-v2's convolution stands behind its first layer, and reads all tokens of it."""
    network, inputs = without_dropout(family, layers=1), batch([9, 5, 7, 6])
    stock = network.export()(**inputs).logits
    torch.testing.assert_close(network(inputs, dataset="rte").logits, stock, rtol=1e-9, atol=1e-12)


def test_a_pass_that_fails_leaves_the_layer_as_it_was() -> None:
    network = small("bert").train()
    with pytest.raises(IndexError):
        network({name: value + 1000 for name, value in batch([9, 5, 7, 6]).items()}, dataset="rte")
    with seen_by(network, "bert", 3) as last:
        network(batch([9, 5, 7, 6]), dataset="rte", tokens=(3,))
    assert last == [9]
