"""Statistics of the curricula as in section 5 of MPDistil: shares, similarity and distance of consecutive
episodes.

A curriculum is the sequence of actions of one episode.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np


def curricula(steps: Iterable[Mapping[str, float | int | str | None]]) -> list[list[str]]:
    """The curriculum of every episode in order, from the rows of `CurriculumResult.steps`."""
    by_episode: dict[int, list[tuple[int, str]]] = {}
    for row in steps:
        place = (int(row["step"] or 0), str(row["action"]))
        by_episode.setdefault(int(row["episode"] or 0), []).append(place)
    return [[action for _, action in sorted(by_episode[number])] for number in sorted(by_episode)]


def action_shares(episodes: Sequence[Sequence[str]], names: Sequence[str]) -> list[dict[str, float]]:
    """Share of each dataset in each episode."""
    counts = [Counter(actions) for actions in episodes]
    return [{name: count[name] / count.total() for name in names} for count in counts]


def cumulative_shares(episodes: Sequence[Sequence[str]], names: Sequence[str]) -> list[dict[str, float]]:
    """Share of each dataset in all episodes up to each one (Fig. 4a is the last)."""
    seen: Counter[str] = Counter()
    result: list[dict[str, float]] = []
    for actions in episodes:
        seen.update(actions)
        result.append({name: seen[name] / seen.total() for name in names})
    return result


def consecutive_similarities(episodes: Sequence[Sequence[str]]) -> list[float]:
    """|LCS(C_i, C_i+1)| / |C_i| of consecutive episodes (section 5, Fig. 4b): 1 means equal curricula."""
    return [_longest_common_subsequence(first, second) / len(first) for first, second in pairwise(episodes)]


def consecutive_distances(episodes: Sequence[Sequence[str]]) -> list[float]:
    """Chi-square distance of the counts of consecutive episodes (Fig. 4c): 1/2 sum (a - b)^2 / (a + b).

    The paper does not print its formula; this is the symmetric one, over the datasets that either episode
    has.
    """
    counts = [Counter(actions) for actions in episodes]
    return [_chi_square(first, second) for first, second in pairwise(counts)]


def _chi_square(first: Counter[str], second: Counter[str]) -> float:
    names = first.keys() | second.keys()
    return 0.5 * sum((first[name] - second[name]) ** 2 / (first[name] + second[name]) for name in sorted(names))


def _longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """LCS length by dynamic programming, one row at a time: best[j] is for the prefix of `first` and second[:j]."""
    other = np.asarray(list(second))
    best = np.zeros(len(second) + 1, dtype=np.int64)
    for action in first:
        extended = np.maximum(best[1:], best[:-1] + (other == action))
        best[1:] = np.maximum.accumulate(extended)
    return int(best[-1])
