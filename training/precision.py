"""The precision of a network's passes: training's are what params.yaml says, those that score or choose are float32.

Autocast is entered around a pass and never fixed to a network, as `Accelerator.prepare_model` does: a network that is
scored between two steps of its training would otherwise be scored in bf16, too.
"""

from contextlib import AbstractContextManager

import torch
from accelerate import Accelerator


def training_precision(accelerator: Accelerator) -> AbstractContextManager[None]:
    """The precision that was asked for. Enter it for a pass that a gradient is taken of."""
    return accelerator.autocast()


def scoring_precision(device: torch.device) -> AbstractContextManager[None]:
    """float32, also within a region of autocast. Enter it for a pass whose numbers are reported, stored or chosen by."""
    return torch.autocast(device.type, enabled=False)
