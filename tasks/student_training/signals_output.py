"""Outputs of a teacher network for every row, stored for the students."""

import numpy as np
import torch

from metrics import compute_metrics
from models.classifier import Classifier
from progress import watched
from tasks.runtime.stage import Stage
from tasks.runtime.stage_datasets import TokenisedDataset
from training.predict import SoFar, predict
from training.resume import Checkpoints
from training.resume_files import State
from training.teacher_signals import save_signals


def store_signals(
    stage: Stage,
    model: Classifier,
    dataset: TokenisedDataset,
    *,
    device: torch.device,
    layers: tuple[int, ...] = (),
    taught: tuple[str, ...] = ("train",),
    checkpoints: Checkpoints | None = None,
) -> dict[str, dict[str, float]]:
    """Write <stage's folder>/signals for all splits; return the scores of each.

    Args:
        layers: hidden-state indices whose sequence vectors are stored.
        taught: the splits that they are stored for.
        checkpoints: keep what was said so far, and begin where an interrupted run of the same stood.
    """
    scores: dict[str, dict[str, float]] = {}
    names = dataset.splits
    run = _Run()
    with (checkpoints or Checkpoints()).watching(run) as after_batch:
        for name in watched(names, total=len(names), title=stage.title, unit="splits"):
            split = dataset.split(name)
            said = predict(
                model,
                split,
                dataset=stage.dataset,
                batch_size=stage.parameters.signals.batch_size,
                device=device,
                layers=layers if name in taught else (),
                so_far=run.of(name),
                after_batch=after_batch,
            )
            if stage.writes:
                save_signals(stage.folder / "signals", name, said)
            scores[name] = compute_metrics(
                ("loss", *dataset.spec.metrics), said.logits, split.labels, dataset.spec.kind
            )
    return scores


class _Run:
    """Outputs so far by split, as the content of a resume state: a killed process's output files are lost."""

    def __init__(self) -> None:
        self._said: dict[str, SoFar] = {}

    def of(self, split: str) -> SoFar:
        """Outputs of one split."""
        return self._said.setdefault(split, SoFar())

    def state_dict(self) -> State:
        return {
            split: {
                "batches": said.batches,
                "parts": {name: torch.from_numpy(np.concatenate(rows)) for name, rows in said.parts.items()},
            }
            for split, said in self._said.items()
        }

    def load_state_dict(self, state: State) -> None:
        for split, kept in state.items():
            parts = kept["parts"]
            self._said[split] = SoFar(kept["batches"], {name: [rows.numpy()] for name, rows in parts.items()})
