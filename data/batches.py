"""Tokenised rows -> batches of tensors, padded to the longest row of the batch and grouped by length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.tokens import TokenSplit
from errors import UserError
from seeds import numpy_generator

POOL_BATCHES, POOLS = 16, 8
"""Shuffled rows are sorted by length within pools of an eighth of the rows, but at least 16 batches. On RTE at batch 8
to 32, at least 95 % of the tokens are useful, and at most 16 % of a batch's pairs meet again in the next epoch; sorting
all rows at once would give 98 %, and the same batches over and over on a small dataset."""


@dataclass(frozen=True)
class Batch:
    """B rows, each with K candidates (K = 1 unless the dataset is a choice)."""

    inputs: dict[str, Tensor]
    """input_ids, attention_mask and, where the split has them, token_type_ids, each (B*K, L); a row's K are adjacent."""
    labels: Tensor
    """(B,) long; float for regression."""
    rows: Tensor
    """(B,) long: positions of the rows in the split, the keys of stored signals."""
    choices: int

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        return Batch(moved, self.labels.to(device), self.rows.to(device), self.choices)

    def __len__(self) -> int:
        return len(self.labels)


def collate(split: TokenSplit, indices: Sequence[int]) -> Batch:
    """The rows at `indices`, padded on the right to the longest candidate among them."""
    candidates = [(i, k) for i in indices for k in range(split.choices)]
    width = int(split.lengths[list(indices)].max())
    shape = (len(candidates), width)
    ids = np.full(shape, split.pad_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    types = np.zeros(shape, dtype=np.int64)
    for position, (i, k) in enumerate(candidates):
        tokens, kinds = split.input_ids(i, k), split.token_types(i, k)
        ids[position, : len(tokens)] = tokens
        mask[position, : len(tokens)] = 1
        if kinds is not None:
            types[position, : len(kinds)] = kinds
    inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    if split.types is not None:
        inputs["token_type_ids"] = torch.from_numpy(types)
    rows = np.asarray(indices, dtype=np.int64)
    return Batch(inputs, torch.from_numpy(split.labels[rows]), torch.from_numpy(rows), split.choices)


def batch_order(lengths: np.ndarray, batch_size: int, *, seed: int, epoch: int, shuffle: bool) -> list[list[int]]:
    """Row indices of every batch of one epoch; each of the N rows of `lengths` (N,) exactly once.

    Shuffled: the rows in random order, sorted by length within pools, the batches in random order; a
    function of seed and epoch alone. Not shuffled: all rows by length, the longest first, so that a batch too large
    for the memory fails at once.
    """
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; it must be 1 or more")
    if not shuffle:
        return _cut(np.argsort(-lengths, kind="stable"), batch_size)
    generator = numpy_generator(seed, "order of batches", epoch)
    order = generator.permutation(len(lengths))
    pool = batch_size * max(POOL_BATCHES, len(lengths) // (POOLS * batch_size))
    batches = []
    for start in range(0, len(order), pool):
        rows = order[start : start + pool]
        batches += _cut(rows[np.argsort(lengths[rows], kind="stable")], batch_size)
    return [batches[i] for i in generator.permutation(len(batches))]


def draw_rows(count: int, wanted: int, seed: int) -> list[int]:
    """Indices of `wanted` rows of `count` (all, if there are fewer), by seed, in ascending order."""
    return sorted(numpy_generator(seed, "rows").permutation(count)[:wanted].tolist())


def useful_share(lengths: np.ndarray, batches: Sequence[Sequence[int]]) -> float:
    """Share of non-padding tokens in padded batches, from 0 to 1 (rows counted by their longest candidate)."""
    padded = sum(len(batch) * int(lengths[list(batch)].max()) for batch in batches)
    return float(lengths.sum()) / padded if padded else 1.0


def _cut(order: np.ndarray, batch_size: int) -> list[list[int]]:
    return [order[start : start + batch_size].tolist() for start in range(0, len(order), batch_size)]
