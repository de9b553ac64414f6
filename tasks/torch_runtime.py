"""Torch as a stage uses it: threads, seeds and one accelerator."""

import random

import numpy as np
import torch
from accelerate import Accelerator, DistributedType
from transformers.utils import logging

from tasks.processes import PROCESSES
from tasks.stage import Stage, StageError

RUNS_ON = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


def start_torch(stage: Stage) -> Accelerator:
    """Fix threads and seeds, then take the hardware that accelerate was launched for.

    Threads are set here and not by the machine, because they change the last bits of a result. Seeds are alike in all
    processes: weights are drawn from them. Raises StageError when parameters are to be sharded over processes.
    """
    torch.set_num_threads(stage.parameters.threads)
    # Off on purpose: TF32 and autotuning would change results from one GPU to the next behind DVC's back.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    logging.set_verbosity_error()
    random.seed(stage.seed)
    np.random.seed(stage.seed)
    torch.manual_seed(stage.seed)
    # accelerate takes several processes without a GPU for several single ones, unless it is told.
    accelerator = Accelerator(cpu=PROCESSES > 1 and not torch.cuda.is_available())
    if accelerator.num_processes != PROCESSES:
        raise StageError(
            f"launched with {PROCESSES} processes, but accelerate found {accelerator.num_processes}; "
            "use a file of hardware/ as it is, or `launch: python -m`"
        )
    if accelerator.distributed_type not in RUNS_ON:
        raise StageError(
            f"distributed_type {accelerator.distributed_type.value}: parameters that are split over processes can't be "
            "trained or stored here; use hardware/multi_gpu.yaml, where every process holds all of them"
        )
    stage.device = accelerator.device.type
    if accelerator.device.type == "cuda":
        stage.device = torch.cuda.get_device_name(accelerator.device)
    return accelerator
