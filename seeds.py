"""Random number generators by name: all are made here, seeded by a hash of names.

The names of a stage's stream are (seed, stage, dataset, purpose): two stages, two datasets, two heads never share one, and a
dataset that is added to the benchmark changes no other's. A piece that draws several things from the one number it is given
(a curriculum: the policy's start, its actions) names each of them below that number.

What is left out of the names is shared on purpose, so that what is compared differs in what it is compared by:
- the method: students of one dataset and seed start alike and see the same batches and dropout masks, by whatever method
  they learn (the stages student, assisted_student and meta_student count as one; so do curriculum and multi_task);
- losses, rewards, samplers and learning rates: with the same policy, two of them draw the same actions;
- the list of datasets, other keys of params.yaml, and the number of processes (but for dropout);
- the training seed, in a latency, whose tokens are the same for all networks of a dataset.
Splits are no draws (rows are ranked by hashes, data/splits.py); the quickstart's rows have generators of their own, named
in the same manner (data/quickstart.py).
"""

import hashlib
import json
import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # the report draws permutations, and must start without torch
    import torch


def named(seed: int, *names: str | int) -> int:
    """A 63-bit seed for names: (stage, dataset, purpose), or a part of a stream that has `seed` already."""
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """A numpy generator."""
    return np.random.default_rng(named(seed, *names))


def torch_generator(seed: int, *names: str | int) -> "torch.Generator":
    """A torch generator on the CPU: its draws are the same on every device."""
    import torch

    return torch.Generator().manual_seed(named(seed, *names))


def start_all(seed: int, *names: str | int) -> None:
    """Seed the global generators of python, numpy and torch (all devices): dropout uses torch's."""
    import torch

    number = named(seed, *names)
    random.seed(number)
    np.random.seed(number % 2**32)  # it takes no more
    torch.manual_seed(number)


def start_own_process(number: int) -> None:
    """Reseed torch's global generators for one of several processes, so that dropout masks differ between them."""
    import torch

    torch.manual_seed(named(torch.initial_seed(), "process", number))


@contextmanager
def drawing_from(seed: int, *names: str | int, device: "torch.device | None" = None) -> Generator[None]:
    """Within the block, seed torch's global generators (CPU and `device`) by name; restore their state afterwards."""
    import torch

    cuda = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        if cuda:
            torch.manual_seed(named(seed, *names))
        else:
            torch.default_generator.manual_seed(named(seed, *names))  # a GPU's is left alone
        yield
