"""Timing of a forward pass on the CPU: single rows (latency), and large batches (throughput)."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from models.classifier import Classifier
from seeds import numpy_generator

WARM_UP = 3
"""Warm-up rounds before latency is timed."""
PASSES = 5
"""Maximum timed passes of a throughput: each takes as long as many of a latency."""


@dataclass(frozen=True)
class Timing:
    """Settings: `choices` candidates of random tokens per row, `repeats` passes, a number of threads."""

    dataset: str
    choices: int
    vocabulary: int
    length: int
    threads: int = 1
    repeats: int = 1

    def inputs(self, batch: int) -> dict[str, torch.Tensor]:
        """Rows of drawn tokens without padding, (batch * choices, length)."""
        shape = (batch * self.choices, self.length)
        drawn = numpy_generator(0, "latency", self.dataset).integers(5, max(6, self.vocabulary), shape)
        ids = torch.from_numpy(drawn)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}


def measure_latency(models: Mapping[str, Classifier], timing: Timing, batch: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a forward pass over `batch` rows: the median (p50) and p95 of each model.

    The models take turns, so that whatever else the machine does meets all of them; three rounds warm up. Only one
    process of one machine is timed: compare ratios, not machines.
    """
    taken = _timed(models, timing, batch, timing.repeats, WARM_UP)
    return {
        name: {"p50": float(np.percentile(times, 50)), "p95": float(np.percentile(times, 95))}
        for name, times in taken.items()
    }


def measure_throughput(models: Mapping[str, Classifier], timing: Timing, batch: int) -> dict[str, float]:
    """Rows a second of passes over `batch` rows, by the median pass of each model.

    In turns, as above; one round warms up, and at most `PASSES` are timed.
    """
    taken = _timed(models, timing, batch, min(timing.repeats, PASSES), 1)
    return {name: 1000 * batch / float(np.median(times)) for name, times in taken.items()}


@torch.inference_mode()
def _timed(
    models: Mapping[str, Classifier], timing: Timing, batch: int, repeats: int, warm_up: int
) -> dict[str, list[float]]:
    """Milliseconds of each model's passes, interleaved, without warm-up rounds."""
    before, inputs = torch.get_num_threads(), timing.inputs(batch)
    torch.set_num_threads(timing.threads)
    taken: dict[str, list[float]] = {name: [] for name in models}
    try:
        for turn in range(repeats + warm_up):
            for name, model in models.items():
                model.eval()
                start = time.perf_counter()
                model(inputs, dataset=timing.dataset, choices=timing.choices)
                if turn >= warm_up:
                    taken[name].append((time.perf_counter() - start) * 1000)
    finally:
        torch.set_num_threads(before)
    return taken
