"""Dropout masks of a pass, drawn once more: what dropout draws from is kept before a pass, and put back for another."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomState:
    """State of the generators that dropout draws from, on the CPU and on a batch's device."""

    cpu: Tensor
    device: torch.device
    own: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> "RandomState":
        """The state before a pass that is to be replayed."""
        return cls(torch.get_rng_state(), device, torch.cuda.get_rng_state(device) if device.type == "cuda" else None)

    @contextmanager
    def replayed(self) -> Generator[None]:
        """Draw again what was drawn after `now`; the generators go on afterwards where they were."""
        with torch.random.fork_rng(devices=[self.device] if self.own is not None else []):
            torch.set_rng_state(self.cpu)
            if self.own is not None:
                torch.cuda.set_rng_state(self.own, self.device)
            yield
