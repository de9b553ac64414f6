"""A shallower copy of a network; layer_choice.py says which layers are kept."""

import copy
from collections.abc import Sequence

from transformers import AutoModelForSequenceClassification, PreTrainedModel

from models.families import family_of
from seeds import drawing_from


def keep_layers(source: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """Copy a stock model with only these layers (numbered from 1); everything else is kept."""
    config = copy.deepcopy(source.config)
    config.num_hidden_layers = len(layers)
    with drawing_from(0, "overwritten"):  # every weight is overwritten: this only leaves the global generator alone
        target = AutoModelForSequenceClassification.from_config(
            config, attn_implementation=source.config._attn_implementation
        )
    stack = f"{family_of(config).layers}."
    weights = source.state_dict()
    target.load_state_dict({name: weights[_source_name(name, stack, layers)] for name in target.state_dict()})
    return target.train(source.training)


def _source_name(name: str, stack: str, layers: Sequence[int]) -> str:
    if not name.startswith(stack):
        return name
    number, _, rest = name.removeprefix(stack).partition(".")
    return f"{stack}{layers[int(number)] - 1}.{rest}"
