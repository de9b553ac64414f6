"""The problem of the step benchmarks: random networks of the main job's shape, and random batches of full length."""

from dataclasses import dataclass

import torch
from torch import Tensor

from data.batches import Batch
from methods.co_training import Learner, Pair, ProjectedModel
from models.classifier import Classifier
from models.heads import HeadSpec
from models.initialise import from_config
from training.supervised import make_optimizer
from training.teacher_signals import TeacherSignals

ROWS = 64
"""Rows that have stored signals."""


@dataclass(frozen=True)
class Shape:
    """Sizes of both networks and of a batch; the defaults are those of the targets."""

    hidden: int = 384
    heads: int = 12
    teacher_layers: int = 6
    student_layers: int = 3
    vocabulary: int = 30522
    batch: int = 8
    length: int = 128
    classes: int = 3

    @property
    def spec(self) -> HeadSpec:
        """A dataset with the given number of classes."""
        return HeadSpec("bench", "pair", tuple(f"label_{number}" for number in range(self.classes)))

    def network(self, layers: int, *, seed: int) -> Classifier:
        """A random BERT in training mode."""
        config: dict[str, str | int] = {
            "model_type": "bert",
            "hidden_size": self.hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": self.heads,
            "intermediate_size": 4 * self.hidden,
            "max_position_embeddings": max(512, self.length),
        }
        start = from_config(config, self.spec, seed=seed, vocab_size=self.vocabulary, pad_token_id=0)
        return start.classifier.train()

    def batches(self, count: int, *, seed: int) -> list[Batch]:
        """Random batches, every row of full length."""
        draw = torch.Generator().manual_seed(seed)
        size = (self.batch, self.length)
        return [
            Batch(
                {
                    "input_ids": torch.randint(1, self.vocabulary, size, generator=draw),
                    "attention_mask": torch.ones(size, dtype=torch.long),
                },
                torch.randint(self.classes, (self.batch,), generator=draw),
                torch.randint(ROWS, (self.batch,), generator=draw),
                choices=1,
            )
            for _ in range(count)
        ]

    def pair(self, *, rate: float = 1e-5) -> Pair:
        """Both networks as joint training makes them."""
        networks = self.network(self.student_layers, seed=1), self.network(self.teacher_layers, seed=2)
        return Pair(*[_learner(one, rate) for one in networks], kind=self.spec.kind)

    def signals(self, layers: tuple[int, ...]) -> TeacherSignals:
        """Stored outputs of a teacher that never ran."""
        draw = torch.Generator().manual_seed(3)

        def values(width: int) -> Tensor:
            return torch.randn(ROWS, width, generator=draw)

        return TeacherSignals(
            values(self.classes), values(self.hidden), {n: values(self.hidden).half() for n in layers}
        )


def _learner(network: Classifier, rate: float) -> Learner:
    seen = ProjectedModel(network)
    return Learner(seen, make_optimizer(seen, rate, 0.01), clip_norm=1.0)
