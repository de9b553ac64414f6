"""A training step in bf16 and through torch.compile, against float32; reported without a target."""

from itertools import cycle

import torch

from benchmarks.measuring import Measurement, Step, cpu_seconds, row_of, seconds_of
from benchmarks.pieces_bench import descend, sampled_batches
from benchmarks.workspace import Workspace, network
from data.batches import Batch
from methods.task_loss import task_loss
from models.classifier import Classifier
from training.supervised import make_optimizer


def rows(workspace: Workspace, repetitions: int) -> list[Measurement]:
    """Time the student's steps on RTE, and the cost of compiling before the first fast step."""
    batches = sampled_batches(workspace.split("rte", "train"), repetitions + 2)
    compiled = network("student")
    compiled.backbone.forward = torch.compile(compiled.backbone.forward, dynamic=True)
    warm = _step(compiled, batches, bf16=False)
    compiling = sum(seconds_of(warm) for _ in range(2))
    steps = {
        "float32": _step(network("student"), batches, bf16=False),
        "bf16": _step(network("student"), batches, bf16=True),
        "compile": warm,
    }
    seconds = cpu_seconds(steps, repetitions)
    plain = seconds["float32"]
    return [
        row_of("student's step in bf16, against float32", "CPU s", seconds["bf16"], plain, None),
        row_of("student's step through torch.compile, against without", "CPU s", seconds["compile"], plain, None),
        row_of("  compiling: the first two steps, against one without", "CPU s", [compiling], plain[:1], None),
    ]


def _step(model: Classifier, batches: list[Batch], *, bf16: bool) -> Step:
    optimizer, drawn = make_optimizer(model, 1e-5, 0.01), cycle(batches)

    def step() -> None:
        batch = next(drawn)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            outputs = model(batch.inputs, dataset=model.dataset)
        descend(model, optimizer, task_loss(outputs.logits, batch.labels, "pair"))

    return step
