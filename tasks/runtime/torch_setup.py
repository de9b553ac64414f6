"""Torch setup of a stage: threads, seeds and one accelerator."""

import contextlib
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Generator
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from transformers.utils import ModelOutput, logging

from errors import UserError
from models.classifier import Classifier
from seeds import start_all
from tasks.runtime.distributed import PROCESSES, report_once
from tasks.runtime.malloc import keep_freed_memory
from tasks.runtime.stage import Stage
from training.fsdp import ASKED, is_asked

SHARDING = ("DEEPSPEED", "MEGATRON_LM")
"""Accelerate's sharding modes besides FSDP."""


def start_torch(stage: Stage) -> Accelerator:
    """Fix threads and seeds, then use the hardware that accelerate was launched for.

    Threads are set here and not by the machine, because they change the last bits of a result. Global generators start
    alike in all processes, and a training starts them anew. Raises UserError for hardware that is not there, or that no stage can use.
    """
    torch.set_num_threads(stage.parameters.threads)
    # Off on purpose: TF32 and autotuning would change results from one GPU to the next behind DVC's back.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    logging.set_verbosity_error()
    start_all(stage.seed_of("start of the process"))
    keep_freed_memory()
    accelerator = _accelerator("bf16" if stage.parameters.precision == "bf16" else "no")
    report_once()
    stage.device = accelerator.device.type
    if accelerator.device.type == "cuda":
        stage.device = torch.cuda.get_device_name(accelerator.device)
    return accelerator


def _accelerator(precision: str) -> Accelerator:
    """Create the accelerator. Raises UserError unless it uses all launched processes."""
    sharding = [name for name in SHARDING if os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true"]
    if sharding:
        raise UserError(
            f"the hardware file splits parameters over processes in a way that no stage knows ({sharding[0]}); use "
            "hardware/fsdp.yaml, or hardware/multi_gpu.yaml if a network fits one GPU"
        )
    # Of several processes on a CPU accelerate makes several single ones, unless it is told; hardware/cpu_2.yaml hides GPUs.
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "").startswith("-1")
    with _without(ASKED):  # training.fsdp splits parameters; to accelerate these are processes like any
        accelerator = Accelerator(cpu=PROCESSES > 1 and hidden, mixed_precision=precision)
    if accelerator.num_processes != PROCESSES:
        raise UserError(
            f"launched with {PROCESSES} processes, but accelerate takes each for a single one: it finds no GPU for them; "
            "on a CPU use hardware/cpu_2.yaml, or `launch: python -m`"
        )
    return accelerator


@contextlib.contextmanager
def _without(name: str) -> Generator[None]:
    """Unset an environment variable within the block."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value


def check_whole_parameters(what: str) -> None:
    """Raise UserError if the hardware file shards the parameters of a stage that needs them whole."""
    if is_asked():
        raise UserError(
            f"{what} needs whole parameters in every process, and the hardware file splits them (FSDP); launch it with "
            "hardware/multi_gpu.yaml (on a CPU: cpu_2.yaml)"
        )


def compile_if_asked(stage: Stage, model: Classifier) -> None:
    """Wrap the network's training passes in torch.compile, if params.yaml asks for it.

    One graph for all lengths of a batch. The module stays the one it was: its weights keep their names.
    """
    if not stage.parameters.compile:
        return
    check_whole_parameters("compile: true")
    if next(model.backbone.parameters()).device.type == "cpu":
        check_compiler()
    plain, compiled = model.backbone.forward, torch.compile(model.backbone.forward, dynamic=True)

    def forward(*values: Tensor, **named: Tensor) -> ModelOutput:
        return (compiled if model.training else plain)(*values, **named)

    model.backbone.forward = forward


def check_compiler() -> None:
    """Raise UserError if torch.compile would fail on a CPU: without a C++ compiler, or with a space in a path."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"compile: true, but there is no C++ compiler '{compiler}', which torch.compile needs on a CPU; install g++, name "
            "another one in CXX, or set compile: false"
        )
    folders = {
        "the environment that torch is installed in": Path(torch.__file__).parent,
        "Python's headers": Path(sysconfig.get_paths()["include"]),
        "TORCHINDUCTOR_CACHE_DIR": Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or tempfile.gettempdir()),
    }
    for what, folder in folders.items():
        if any(sign.isspace() for sign in str(folder)):
            raise UserError(
                f"compile: true, but torch.compile cannot link with a space in a path: {folder} ({what}); put it in a folder "
                "without spaces, or set compile: false"
            )


def as_it_is_used(model: Classifier) -> None:
    """Undo `compile_if_asked`."""
    vars(model.backbone).pop("forward", None)
