"""Replay of a pass's dropout masks: the generators' state is saved before a pass and restored for another."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomState:
    """State of the generators that dropout uses, on the CPU and on a batch's device."""

    cpu: Tensor
    device: torch.device
    own: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> "RandomState":
        """Save the state before a pass that will be replayed."""
        return cls(torch.get_rng_state(), device, torch.cuda.get_rng_state(device) if device.type == "cuda" else None)

    @contextmanager
    def replayed(self) -> Generator[None]:
        """Replay the draws after `now` within the block; the generators then continue from their present state."""
        with torch.random.fork_rng(devices=[self.device] if self.own is not None else []):
            torch.set_rng_state(self.cpu)
            if self.own is not None:
                torch.cuda.set_rng_state(self.own, self.device)
            yield
