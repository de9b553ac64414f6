"""The final linear layers: their outputs and their initialisation."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import PretrainedConfig

from errors import UserError
from kinds import KINDS, Kind
from seeds import torch_generator


@dataclass(frozen=True)
class HeadSpec:
    """The outputs of a head: the dataset, its kind, and its label names in order (empty for regression)."""

    dataset: str
    kind: Kind
    label_names: tuple[str, ...] = ()

    @property
    def num_outputs(self) -> int:
        """Units of the linear layer: 1 for a choice (one score per candidate) and for regression."""
        return KINDS[self.kind].outputs(self.label_names)

    def __post_init__(self) -> None:
        if KINDS[self.kind].has_named_classes and len(self.label_names) < 2:
            raise UserError(
                f"dataset {self.dataset!r} of kind {self.kind!r} has label names {list(self.label_names)}: "
                "a classification head needs at least 2"
            )

    def write_to(self, config: PretrainedConfig) -> None:
        """Set label count, label names and problem type of a stock configuration, in place."""
        # The names of a choice's candidates are no labels of its one unit: they stay in distilflow.json.
        names = self.label_names if self.num_outputs > 1 else ("score",)
        config.num_labels = self.num_outputs
        config.id2label = dict(enumerate(names))
        config.label2id = {name: number for number, name in enumerate(names)}
        config.problem_type = KINDS[self.kind].problem_type


def head_name(dataset: str) -> str:
    """The name for drawing a head: with one seed, two heads of a network never start alike."""
    return f"head of {dataset}"


def new_linear(inputs: int, outputs: int, *, std: float, bias: bool, seed: int, name: str) -> nn.Linear:
    """A linear layer, weight (outputs, inputs) ~ N(0, std^2) by seed and name, bias 0; no global generator is used."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)
    generator = torch_generator(seed, name)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(outputs, inputs, generator=generator) * std)
        if bias:
            layer.bias.zero_()
    return layer
