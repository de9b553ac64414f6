"""What a network that teaches says about every row, stored for those who learn from it."""

import torch

from models.classifier import Classifier
from tasks.datasets import TokenisedDataset
from tasks.stage import Stage
from training.metrics import compute_metrics
from training.predict import predict
from training.progress import watched
from training.signals import save_signals


def store_signals(
    stage: Stage,
    model: Classifier,
    dataset: TokenisedDataset,
    *,
    device: torch.device,
    layers: tuple[int, ...] = (),
) -> dict[str, dict[str, float]]:
    """Write <stage's folder>/signals, all splits; the scores of each are returned.

    Args:
        layers: hidden-state indices whose sequence vectors are stored for train.
    """
    scores: dict[str, dict[str, float]] = {}
    names = dataset.splits
    for name in watched(names, total=len(names), title=stage.title, unit="splits"):
        split = dataset.split(name)
        said = predict(
            model,
            split,
            dataset=stage.dataset,
            batch_size=stage.parameters.signals.batch_size,
            device=device,
            layers=layers if name == "train" else (),
        )
        if stage.writes:
            save_signals(stage.folder / "signals", name, said)
        scores[name] = compute_metrics(("loss", *dataset.spec.metrics), said.logits, split.labels, dataset.spec.kind)
    return scores
