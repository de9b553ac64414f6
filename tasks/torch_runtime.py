"""Torch as a stage uses it: threads, seeds and one accelerator."""

import os
import random

import numpy as np
import torch
from accelerate import Accelerator
from transformers.utils import logging

from tasks.stage import Stage, StageError


def start_torch(stage: Stage) -> Accelerator:
    """Fix threads and seeds, then take the hardware that accelerate was launched for.

    Threads are set here and not by the machine, because they change the last bits of a result. Raises StageError
    when more than one process was launched: stages run in one process.
    """
    torch.set_num_threads(stage.parameters.threads)
    # Off on purpose: TF32 and autotuning would change results from one GPU to the next behind DVC's back.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    logging.set_verbosity_error()
    random.seed(stage.seed)
    np.random.seed(stage.seed)
    torch.manual_seed(stage.seed)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise StageError(
            f"launched with {os.environ['WORLD_SIZE']} processes, but a stage runs in one; "
            "set `launch: python -m` in params.yaml, or num_processes: 1 in the hardware file"
        )
    accelerator = Accelerator()
    stage.device = accelerator.device.type
    if accelerator.device.type == "cuda":
        stage.device = torch.cuda.get_device_name(accelerator.device)
    return accelerator
