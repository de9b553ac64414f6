"""Memory of a pass and rows a second: against what is known of plain tensors, and of networks of two sizes."""

import pytest
import torch
from small_networks import FAMILY_NAMES, VOCABULARY, small

from training.latency import Timing, measure_throughput
from training.memory import LiveTensors, measure_memory


def test_the_peak_is_what_is_held_at_a_time_and_views_cost_nothing() -> None:
    with torch.inference_mode(), LiveTensors() as live:
        first = torch.zeros(100)  # 400 bytes
        second = first + 1
        seen = second.reshape(10, 10).T
        del first, second, seen
        third = torch.ones(150)
    assert (live.peak, live.live) == (800, 600)
    del third
    assert live.live == 0


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_weights_are_counted_once_and_activations_grow_with_the_batch(family: str) -> None:
    model = small(family)
    held = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in model.parameters()}
    few, many = (
        measure_memory(
            model,
            Timing("rte", 1, VOCABULARY, length=16).inputs(batch),
            dataset="rte",
            choices=1,
        )
        for batch in (4, 32)
    )
    assert few["weights"] == many["weights"] >= sum(held.values())
    assert few["weights"] < sum(held.values()) + 100_000  # buffers: positions, masks
    assert 4 * few["activations"] < many["activations"] < 9 * few["activations"]
    assert few["activations"] >= 4 * 4 * 16 * 32 * 2  # an embedding and a layer's output of float32 at least


def test_rows_a_second_of_a_smaller_network_are_more() -> None:
    models = {"student": small("bert", layers=1), "teacher": small("bert", layers=12)}
    found = measure_throughput(models, Timing("rte", 1, VOCABULARY, length=32, threads=1, repeats=3), batch=32)
    assert found["student"] > 2 * found["teacher"] > 0
