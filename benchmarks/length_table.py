"""Length quantiles of real rows, sampled by the bench when no folder of rows is given.

Measured on the train rows of GLUE's RTE (2,490) and MRPC (3,668) with the tokenizer of bert-base-uncased, special tokens
included, before anything is cut: the shortest row, then every 5 %, then the longest. Facts about the rows, not rows.
"""

import numpy as np

TOTAL = {
    "rte": (13, 29, 33, 37, 40, 43, 45, 47, 50, 53, 56, 59, 62, 67, 72, 85, 103, 120, 135, 157, 289),
    "mrpc": (19, 32, 36, 39, 41, 44, 45, 47, 50, 51, 53, 55, 57, 59, 61, 62, 64, 67, 70, 74, 103),
}
SECOND = {"rte": 11, "mrpc": 25}
"""Mean tokens of the second text."""
ROWS = {"rte": (2490, 277), "mrpc": (3668, 408)}
"""(train, dev)."""
SPECIAL = 3
"""Tokens that a tokenizer adds to a pair."""


def draw_lengths(dataset: str, rows: int, *, seed: int) -> list[tuple[int, int]]:
    """Draw (tokens of the first text, tokens of the second) per row; the second is its mean wherever that fits."""
    places = np.random.default_rng(seed).random(rows)
    totals = np.interp(places, np.linspace(0, 1, len(TOTAL[dataset])), TOTAL[dataset]).round().astype(int)
    seconds = np.minimum(SECOND[dataset], totals - SPECIAL - 1)
    return [(int(total - SPECIAL - second), int(second)) for total, second in zip(totals, seconds, strict=True)]
