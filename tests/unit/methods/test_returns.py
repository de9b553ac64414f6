"""Returns and baselines against the sums as they are written."""

import numpy as np
import pytest

from methods.returns import discounted_returns, make_baseline

REWARDS = np.random.default_rng(4).normal(size=7)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 1.0])
def test_the_return_is_the_papers_sum(gamma: float) -> None:
    """G_t = sum_{k=t+1}^{E} gamma^(k-t-1) R_k, where R_k follows action k - 1."""
    length = len(REWARDS)
    after = {k: REWARDS[k - 1] for k in range(1, length + 1)}
    expected = [sum(gamma ** (k - t - 1) * after[k] for k in range(t + 1, length + 1)) for t in range(length)]
    np.testing.assert_allclose(discounted_returns(REWARDS.tolist(), gamma), expected, rtol=1e-8)


def test_an_actions_return_begins_with_its_own_reward_and_holds_none_before() -> None:
    assert discounted_returns([1.0, 2.0, 4.0], 0.0) == [1.0, 2.0, 4.0]
    assert discounted_returns([100.0, 2.0, 4.0], 1.0)[1:] == [6.0, 4.0]


def test_gamma_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="gamma"):
        discounted_returns([1.0], 1.5)


def test_no_baseline_leaves_returns_alone_and_episode_takes_their_mean_off() -> None:
    assert make_baseline("none").advantages([1.0, 2.0, 6.0]) == [1.0, 2.0, 6.0]
    assert make_baseline("episode").advantages([1.0, 2.0, 6.0]) == [-2.0, -1.0, 3.0]


def test_running_is_the_mean_at_that_position_over_the_episodes_before() -> None:
    baseline = make_baseline("running")
    assert baseline.advantages([1.0, 10.0]) == [1.0, 10.0]
    assert baseline.advantages([3.0, 20.0, 5.0]) == [2.0, 10.0, 5.0]
    assert baseline.advantages([5.0, 18.0, 7.0]) == [3.0, 3.0, 2.0]


def test_normalised_is_a_fading_mean_and_deviation() -> None:
    episodes = np.random.default_rng(5).normal(3.0, 2.0, size=(4, 8))
    baseline = make_baseline("normalised")
    for last in range(4):
        got = baseline.advantages(episodes[last].tolist())
        weights = 0.9 ** np.arange(last, -1, -1)
        weights /= weights.sum()
        mean = weights @ episodes[: last + 1].mean(1)
        deviation = np.sqrt(weights @ (episodes[: last + 1] ** 2).mean(1) - mean**2)
        np.testing.assert_allclose(got, (episodes[last] - mean) / deviation, rtol=1e-8)


def test_normalised_makes_nothing_of_equal_returns() -> None:
    assert make_baseline("normalised").advantages([0.3, 0.3]) == [0.0, 0.0]


def test_another_baseline_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed are none"):
        make_baseline("best")  # ty: ignore[invalid-argument-type]
