"""Section 5 of MPDistil: shares, similarity, distance."""

import itertools
import random

import pytest

from training.curriculum.action_statistics import (
    action_shares,
    consecutive_distances,
    consecutive_similarities,
    cumulative_shares,
    curricula,
)


def longest_by_trial(first: str, second: str) -> int:
    """The longest of all subsequences of `first` that is one of `second`."""

    def contains(whole: str, part: tuple[str, ...]) -> bool:
        rest = iter(whole)
        return all(letter in rest for letter in part)

    lengths = range(len(first), 0, -1)
    return next((n for n in lengths if any(contains(second, c) for c in itertools.combinations(first, n))), 0)


def test_similarity_is_the_longest_common_subsequence_over_the_length() -> None:
    draw = random.Random(0)
    episodes = ["".join(draw.choices("abc", k=7)) for _ in range(6)]
    expected = [longest_by_trial(a, b) / 7 for a, b in itertools.pairwise(episodes)]
    assert consecutive_similarities(episodes) == expected
    assert consecutive_similarities(["abc", "abc", "cba"]) == [1.0, pytest.approx(1 / 3)]


def test_distance_is_the_chi_square_of_the_counts() -> None:
    assert consecutive_distances(["aab", "aba", "bbc"]) == [0.0, pytest.approx(0.5 * (4 / 2 + 1 / 3 + 1))]


def test_shares_are_by_episode_or_up_to_it() -> None:
    assert action_shares(["aab", "bbb"], ["a", "b"]) == [{"a": 2 / 3, "b": 1 / 3}, {"a": 0.0, "b": 1.0}]
    assert cumulative_shares(["aab", "bbb"], ["a", "b"])[-1] == {"a": 1 / 3, "b": 2 / 3}


def test_curricula_are_read_from_the_rows_of_steps() -> None:
    steps = [
        {"episode": 2, "step": 0, "action": "rte"},
        {"episode": 1, "step": 1, "action": "cb"},
        {"episode": 1, "step": 0, "action": "copa"},
    ]
    assert curricula(steps) == [["copa", "cb"], ["rte"]]
