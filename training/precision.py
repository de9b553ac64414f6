"""Precision of a network's passes: params.yaml's for training, float32 for scoring and choosing.

Autocast is entered around a pass and never fixed to a network, as `Accelerator.prepare_model` does: a network that is
scored between two steps of its training would otherwise be scored in bf16, too.
"""

from contextlib import AbstractContextManager

import torch
from accelerate import Accelerator


def training_precision(accelerator: Accelerator) -> AbstractContextManager[None]:
    """Context of training passes: the requested precision."""
    return accelerator.autocast()


def scoring_precision(device: torch.device) -> AbstractContextManager[None]:
    """Context of passes whose outputs are reported, stored or used for choosing: float32, even within autocast."""
    return torch.autocast(device.type, enabled=False)
