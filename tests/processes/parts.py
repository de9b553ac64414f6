"""The job of each of two launched processes: `parts.py FOLDER`, small networks trained whole and in parts.

Both ways draw the same dropout masks, so weights differ by rounding at most. What it finds goes to FOLDER/<rank>.json.
"""

import copy
import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate import Accelerator
from small_networks import FAMILY_NAMES, small
from tiny_problem import SPEC, TARGET, settings, splits
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from data.batches import Batch
from methods.finetune import Finetune
from methods.interface import LossInputs
from models.model_outputs import Outputs
from training.fsdp import ASKED
from training.resume import Cadence, Checkpoints
from training.resume_files import CheckpointFiles, State
from training.supervised import train


class Watch:
    """Notes what share of the parameters is here as an epoch ends; stops the run at the end of one, if told to."""

    def __init__(self, last: int = 0) -> None:
        self.last, self.share = last, 1.0

    def __call__(self, epoch: int, network: nn.Module) -> None:
        values = list(network.parameters())
        here = sum(value.to_local().numel() if isinstance(value, DTensor) else value.numel() for value in values)
        self.share = here / sum(value.numel() for value in values)
        if epoch == self.last:
            raise InterruptedError

    def state_dict(self) -> State:
        return {}

    def load_state_dict(self, state: State) -> None: ...


def loss(outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
    """The loss of a teacher."""
    return Finetune().loss(LossInputs(outputs, None, batch.labels, SPEC.kind))


def trained(
    network: nn.Module, accelerator: Accelerator, *, in_parts: bool, watch: Watch, files: CheckpointFiles | None = None
) -> nn.Module:
    """A copy of a network after three epochs of three steps, with a checkpoint after each fourth step."""
    os.environ[ASKED] = str(in_parts).lower()
    own, rows = copy.deepcopy(network), splits()
    torch.manual_seed(3)
    checkpoints = None if files is None else Checkpoints(files, Cadence(None, steps=4), accelerator)
    train(
        own,
        rows.train,
        rows.selection,
        TARGET,
        lambda epoch: loss,
        settings(),
        accelerator=accelerator,
        after_epoch=watch,
        checkpoints=checkpoints,
    )
    return own


def apart(one: nn.Module, other: nn.Module) -> float:
    """The largest difference of two weights of the same name."""
    weights = other.state_dict()
    assert not any(isinstance(value, DTensor) for value in weights.values())
    return max((value - weights[name]).abs().max().item() for name, value in one.state_dict().items())


def main(folder: Path) -> None:
    """Every family whole and in parts; one of them stopped and gone on with, too."""
    accelerator, found = Accelerator(cpu=True), dict[str, dict[str, float]]()
    for family in FAMILY_NAMES:
        network, watch = small(family, SPEC, layers=2, hidden=36), Watch()  # 3 classes: heads are no multiple of 2
        whole = trained(network, accelerator, in_parts=False, watch=Watch())
        parts = trained(network, accelerator, in_parts=True, watch=watch)
        found[family] = {"moved": apart(network, whole), "apart": apart(whole, parts), "share": watch.share}
    network, said = small("bert", SPEC, layers=2), list[str]()
    files = CheckpointFiles(folder / "checkpoints", {}, said.append)
    undisturbed = trained(network, accelerator, in_parts=True, watch=Watch())
    try:
        trained(network, accelerator, in_parts=True, watch=Watch(last=2), files=files)
    except InterruptedError:
        resumed = trained(network, accelerator, in_parts=True, watch=Watch(), files=files)
        found["resumed"] = {"apart": apart(undisturbed, resumed), "lines": len(said)}
    (folder / f"{dist.get_rank()}.json").write_text(json.dumps(found), encoding="utf-8")
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
