"""Memory for scoring: a network's weights, and the peak of a forward pass."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.classifier import Classifier


class LiveTensors(TorchDispatchMode):
    """Counter of live bytes of operations' outputs, and of their peak.

    What an operation allocates and frees inside itself isn't seen. Counted by storage, so a view costs nothing; unlike
    the process's resident memory it is the same on every machine.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak = 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf)
        return result

    def ignore(self, tensors: Sequence[Tensor]) -> None:
        """Exclude existing tensors: an operation may return a view of one."""
        self._known.update(tensor.untyped_storage()._cdata for tensor in tensors)

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)  # the address may come again
        self.live -= size


@torch.inference_mode()
def measure_memory(model: Classifier, inputs: dict[str, Tensor], *, dataset: str, choices: int) -> dict[str, int]:
    """Bytes of the weights (with buffers), and of the peak of one pass over `inputs` on top of them."""
    weights = list({tensor.untyped_storage()._cdata: tensor for tensor in _tensors(model)}.values())
    live = LiveTensors()
    live.ignore([*weights, *inputs.values()])
    model.eval()
    with live:
        model(inputs, dataset=dataset, choices=choices)
    return {"weights": sum(tensor.untyped_storage().nbytes() for tensor in weights), "activations": live.peak}


def _tensors(model: Classifier) -> chain[Tensor]:
    return chain(model.parameters(), model.buffers())
