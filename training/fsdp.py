"""Sharded training (FSDP 2), for a network whose optimiser does not fit a GPU.

Of every weight of a backbone, its gradient and AdamW's two means, a process keeps one part in `count()`; a layer is whole on
a process only while it runs. A network comes to `train` whole and leaves it whole: what reads weights outside of a pass
(scores, files, a matched teacher) never meets a part. Heads, projection and the maps of branches are small, stay whole, and
their gradients are averaged like those of any network.

torch's `fully_shard` is called here, and not accelerate's wrapping of it: that wants the model and its optimiser in one
call, and leaves a CPU out, on which the same code is tested. accelerate starts the processes and says that it was asked.
"""

import copy
import os
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from models.classifier import Classifier
from training.data_parallel import count, is_first, is_part
from training.resume_files import State

ASKED = "ACCELERATE_USE_FSDP"
"""Set by accelerate's launcher for a hardware file of `distributed_type: FSDP`."""


def is_asked() -> bool:
    """Return whether the hardware file asks for sharding, and there are several processes."""
    return count() > 1 and os.environ.get(ASKED, "").lower() == "true"


@contextmanager
def split_while_training(network: nn.Module, accelerator: Accelerator) -> Generator[nn.Module]:
    """The network to train in place of another: a sharded copy if the hardware file asks for it, else the network.

    The network waits in the host's memory meanwhile, and gets the copy's weights at the end, if all went well. A projection
    is the same object in both: losses that hold one go on with it.
    """
    if not is_asked():
        yield network
        return
    own = _split_copy(network.cpu(), accelerator.device)
    yield own
    with torch.no_grad():
        weights = own.state_dict()
        for name, value in network.state_dict().items():
            value.copy_(_whole(weights[name]))
    network.to(accelerator.device)
    accelerator.free_memory()  # it would keep the parts, and the optimiser's


def gathered(state: State) -> State:
    """Gather a sharded state; every process must call it, the main process gets it."""
    return cast(State, _gathered(state)) if is_asked() else state


def load_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load whole weights into a network, sharded or not."""
    network.load_state_dict(split_as(weights, network.state_dict()))


def load_optimizer(optimizer: torch.optim.Optimizer, state: State) -> None:
    """Load an optimiser's whole state into one of the same parameters, sharded or not."""
    parameters = [value for group in optimizer.param_groups for value in group["params"]]
    found = state["state"]
    parts = {
        index: {key: _part(value, parameters[index]) if value.ndim else value for key, value in values.items()}
        for index, values in found.items()
    }
    optimizer.load_state_dict({**state, "state": parts})


def split_as(weights: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Shard whole weights like the tensors of the same names in `like`; every process must hold all of them."""
    return {name: _part(value, like[name]) for name, value in weights.items()}


def _split_copy(network: nn.Module, device: torch.device) -> nn.Module:
    projections = [part.projection for part in _classifiers(network) if part.projection is not None]
    # Losses apply them, to the rows of all processes: no pass of the network would put their parts together.
    own = copy.deepcopy(network, {id(one): one for one in projections})
    mesh = init_device_mesh(device.type, (count(),))
    # Nothing here changes an output in place, which is what it warns of.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    for part in _classifiers(own):
        layers = cast(nn.ModuleList, part.backbone.get_submodule(part.family.layers))
        for unit in (*layers, part.backbone):
            # Also the outermost: after a pass, what is registered as the parameters are always the parts.
            fully_shard(unit, mesh=mesh, reshard_after_forward=True)
    for value in (*own.parameters(), *own.buffers()):
        if not is_part(value):
            value.data = value.data.to(device)
    return own


def _classifiers(network: nn.Module) -> list[Classifier]:
    """The network, or the teacher and branches that it consists of."""
    return [part for part in network.modules() if isinstance(part, Classifier)]


def _gathered(value: object) -> object:
    if isinstance(value, DTensor):
        whole = value.full_tensor()
        return whole.cpu() if is_first() else whole.new_empty(0)  # one copy in the host's memory, not one a process
    if isinstance(value, Mapping):
        return {key: _gathered(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_gathered(part) for part in value)
    return value


def _whole(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def _part(value: Tensor, like: Tensor) -> Tensor:
    """This process's shard of a tensor that all processes hold, without communication."""
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
