"""A shallower copy of a network: which layers are kept, and the copy itself."""

import copy
import itertools
from collections.abc import Sequence

from transformers import AutoModelForSequenceClassification, PreTrainedModel

from models.errors import ModelError
from models.families import family_of
from seeds import drawing_from


def spread_layers(available: int, wanted: int) -> tuple[int, ...]:
    """`wanted` layers of `available`, evenly spread, numbered from 1, the last always kept.

    The i-th is i * available // wanted: 6 -> 3 keeps (2, 4, 6), 12 -> 4 keeps (3, 6, 9, 12), 12 -> 5 keeps
    (2, 4, 7, 9, 12). A number is also the index of the hidden state after that layer.
    """
    return tuple(number * available // wanted for number in range(1, wanted + 1))


def choose_layers(available: int, layers: int | Sequence[int]) -> tuple[int, ...]:
    """Layer numbers, from 1, for a count (spread evenly) or an explicit list (rising).

    Raises ModelError for more layers than there are, a number out of range, or a list that does not rise.
    """
    count = layers if isinstance(layers, int) else len(layers)
    if not 1 <= count <= available:
        raise ModelError(f"{count} layers asked, allowed are 1 to {available}: the source has {available}")
    if isinstance(layers, int):
        return spread_layers(available, layers)
    chosen = tuple(layers)
    if chosen[0] < 1 or chosen[-1] > available or any(a >= b for a, b in itertools.pairwise(chosen)):
        raise ModelError(f"layers {list(chosen)}: allowed are rising numbers from 1 to {available}")
    return chosen


def keep_layers(source: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """A copy of a stock model with only these layers (numbered from 1); all else is carried over."""
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
