"""Teacher signals: the frozen teacher's outputs for every row, stored once and read by batches.

One safetensors file per split: `logits` (N, C), `pooled` (N*K, H) in float32 and, for train, `vectors.<layer>` (N*K, H)
in float16; row i of a choice dataset with K candidates lies at i*K .. i*K+K-1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from errors import UserError
from models.model_outputs import Outputs
from training.predict import Predictions

TRAJECTORY = "trajectory.safetensors"


@dataclass(frozen=True)
class TeacherSignals:
    """The teacher's outputs for all rows of one split; see the module for shapes."""

    logits: torch.Tensor
    pooled: torch.Tensor
    vectors: dict[int, torch.Tensor]

    @property
    def choices(self) -> int:
        """Encoded inputs of a row."""
        return self.pooled.shape[0] // self.logits.shape[0]

    def of_rows(self, rows: torch.Tensor, layers: Sequence[int] = ()) -> Outputs:
        """The outputs for some rows, as of a teacher that ran on them.

        Args:
            rows: (B,) indices into the split.
            layers: hidden-state indices of the sequence vectors wanted.
        """
        index = rows.cpu()
        encoded = (index[:, None] * self.choices + torch.arange(self.choices)).reshape(-1)
        return Outputs(
            logits=self.logits[index].to(rows.device),
            pooled=self.pooled[encoded].to(rows.device),
            vectors={layer: self.vectors[layer][encoded].float().to(rows.device) for layer in layers},
        )


def save_signals(folder: Path, split: str, predictions: Predictions) -> None:
    """Write one split's signals. Raises UserError if an output is NaN or infinite."""
    tensors = {"logits": predictions.logits, "pooled": predictions.pooled}
    tensors |= {f"vectors.{layer}": value for layer, value in predictions.vectors.items()}
    for name, value in tensors.items():
        if not np.isfinite(value).all():
            raise UserError(
                f"{split}: the teacher's {name} hold NaN or infinity (beyond 65504 where stored in 16 bit); it can "
                "teach nothing: train it with a lower learning rate, or supply another one"
            )
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(value) for name, value in tensors.items()},
        folder / f"{split}.safetensors",
    )


def open_signals(folder: Path, split: str, *, rows: int) -> TeacherSignals:
    """Read one split's signals.

    Args:
        rows: how many rows the split has.

    Raises:
        UserError: the file is damaged, or is of another version of the split.
    """
    path = folder / f"{split}.safetensors"
    try:
        stored = {name: torch.from_numpy(value) for name, value in load_file(path).items()}
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); delete it and run the {_stage(folder)} stage again") from None
    if stored["logits"].shape[0] != rows:
        raise UserError(
            f"{path}: {stored['logits'].shape[0]} rows, but the split has {rows}; run the {_stage(folder)} stage again"
        )
    vectors = {int(name.split(".")[1]): value for name, value in stored.items() if name.startswith("vectors.")}
    return TeacherSignals(stored["logits"], stored["pooled"], vectors)


def open_joined(folder: Path, rows: Mapping[str, int]) -> TeacherSignals:
    """Read the signals of several splits, concatenated in that order.

    Args:
        rows: how many rows each split has.

    Raises:
        UserError: a file is damaged, or is of another version of its split, or lacks vectors that another has.
    """
    parts = [open_signals(folder, split, rows=count) for split, count in rows.items()]
    if len(parts) == 1:
        return parts[0]
    layers = parts[0].vectors.keys()
    if any(part.vectors.keys() != layers for part in parts):
        raise UserError(
            f"{folder}: {' and '.join(rows)} hold the vectors of different layers; run the {_stage(folder)} stage again"
        )
    return TeacherSignals(
        torch.cat([part.logits for part in parts]),
        torch.cat([part.pooled for part in parts]),
        {layer: torch.cat([part.vectors[layer] for part in parts]) for layer in layers},
    )


def _stage(folder: Path) -> str:
    """The stage that writes a folder of this name."""
    return "student" if folder.name == "seen" else "signals"


def save_trajectory(folder: Path, epochs: Sequence[np.ndarray]) -> None:
    """Write the teacher's train logits (N, C) after each epoch; an empty list means no epochs."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"epoch.{number}": np.ascontiguousarray(logits) for number, logits in enumerate(epochs, start=1)}
    save_file(tensors, folder / TRAJECTORY)


def open_trajectory(folder: Path, *, rows: int) -> list[torch.Tensor]:
    """The logits (N, C) after epochs 1, 2, ... of the teacher. Raises UserError if missing or damaged."""
    path = folder / TRAJECTORY
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: missing or damaged ({error}); run the teacher stage again") from None
    if not stored:
        raise UserError(f"{path}: holds no epoch; set teacher.trajectory: true and run the teacher stage again")
    found = [torch.from_numpy(stored[f"epoch.{number}"]) for number in range(1, len(stored) + 1)]
    if found[0].shape[0] != rows:
        raise UserError(f"{path}: {found[0].shape[0]} rows, but the split has {rows}; run the teacher stage again")
    return found
