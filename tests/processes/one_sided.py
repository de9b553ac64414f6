"""A stage that fails in its second process alone, while the first waits for it."""

import torch
import torch.distributed as dist

from errors import UserError
from tasks.runtime.stage import Stage, run_stage
from tasks.runtime.torch_setup import start_torch


def work(stage: Stage) -> None:
    """Never ends in the first process."""
    start_torch(stage)
    if dist.get_rank() == 1:
        raise UserError("the second process fails")
    while True:
        dist.all_reduce(torch.zeros(3))


if __name__ == "__main__":
    run_stage("signals", work)
