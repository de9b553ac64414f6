"""The final linear layers: what one answers, and how a new one starts."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from transformers import PretrainedConfig

from models.errors import ModelError

Kind = Literal["single", "pair", "choice", "regression"]


@dataclass(frozen=True)
class HeadSpec:
    """What a head answers: the dataset, its kind, and its label names in order (empty for regression)."""

    dataset: str
    kind: Kind
    label_names: tuple[str, ...] = ()

    @property
    def num_outputs(self) -> int:
        """Units of the linear layer: 1 for a choice (one score a candidate) and for regression."""
        return 1 if self.kind in ("choice", "regression") else len(self.label_names)

    def __post_init__(self) -> None:
        if self.kind in ("single", "pair") and len(self.label_names) < 2:
            raise ModelError(
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
        if self.kind == "choice":
            config.problem_type = None  # transformers has no name for it
        else:
            config.problem_type = "regression" if self.kind == "regression" else "single_label_classification"


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Draw from torch's CPU generator started at `seed`, and put its state back afterwards."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)


def new_linear(inputs: int, outputs: int, *, std: float, bias: bool, seed: int) -> nn.Linear:
    """A linear layer, weight (outputs, inputs) ~ N(0, std^2), bias 0; the global generator is not touched."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(outputs, inputs, generator=generator) * std)
        if bias:
            layer.bias.zero_()
    return layer
