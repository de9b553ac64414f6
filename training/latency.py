"""How long one forward pass takes on the CPU."""

import time
from collections.abc import Mapping

import numpy as np
import torch

from models.classifier import Classifier
from seeds import numpy_generator


@torch.inference_mode()
def measure_latency(
    models: Mapping[str, Classifier],
    *,
    dataset: str,
    choices: int,
    vocabulary: int,
    batch: int,
    length: int,
    threads: int,
    repeats: int,
) -> dict[str, dict[str, float]]:
    """Milliseconds of a forward pass over `batch` rows of `length` tokens: the median (p50) and p95 of each model.

    The models take turns, so that whatever else the machine does meets all of them; three rounds warm up. Only one
    process of one machine is timed: compare ratios, not machines.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    ids = torch.from_numpy(
        numpy_generator(0, "latency", dataset).integers(5, max(6, vocabulary), (batch * choices, length))
    )
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    taken: dict[str, list[float]] = {name: [] for name in models}
    try:
        for turn in range(repeats + 3):
            for name, model in models.items():
                model.eval()
                start = time.perf_counter()
                model(inputs, dataset=dataset, choices=choices)
                if turn >= 3:
                    taken[name].append((time.perf_counter() - start) * 1000)
    finally:
        torch.set_num_threads(before)
    return {
        name: {"p50": float(np.percentile(times, 50)), "p95": float(np.percentile(times, 95))}
        for name, times in taken.items()
    }
