"""Rewards against float64 numpy."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from methods.curriculum_rewards import alignment_reward, binary_reward, gain_reward, real_reward
from methods.task_loss import true_class_score

RNG = np.random.default_rng(3)
OURS, THEIRS = RNG.uniform(size=8), RNG.uniform(size=8)


def test_binary_counts_rows_and_real_takes_the_mean_lead() -> None:
    ours, theirs = torch.tensor(OURS), torch.tensor(THEIRS)
    np.testing.assert_allclose(binary_reward(ours, theirs).item(), (OURS > THEIRS).mean(), rtol=1e-8)
    np.testing.assert_allclose(real_reward(ours, theirs).item(), (OURS - THEIRS).mean(), rtol=1e-8)
    assert binary_reward(ours, ours).item() == 0.0, "a tie is no win"


def test_a_regression_is_rewarded_for_the_smaller_error() -> None:
    labels, ours, theirs = RNG.normal(size=8), RNG.normal(size=(8, 1)), RNG.normal(size=(8, 1))
    e_s, e_t = abs(ours[:, 0] - labels), abs(theirs[:, 0] - labels)
    scores = [true_class_score(torch.tensor(z), torch.tensor(labels), "regression") for z in (ours, theirs)]
    np.testing.assert_allclose(binary_reward(*scores).item(), (e_t > e_s).mean(), rtol=1e-8)
    np.testing.assert_allclose(real_reward(*scores).item(), (e_t - e_s).mean(), rtol=1e-8)


def test_gains_of_an_episode_sum_to_first_minus_last() -> None:
    losses = RNG.uniform(size=6).tolist()
    gains = [gain_reward(before, after) for before, after in pairwise(losses)]
    np.testing.assert_allclose(sum(gains), losses[0] - losses[-1], rtol=1e-8)
    assert gain_reward(2.0, 1.0) == 1.0


def test_alignment_is_the_cosine_over_all_parameters() -> None:
    first, second = [RNG.normal(size=s) for s in ((3, 2), (4,))], [RNG.normal(size=s) for s in ((3, 2), (4,))]
    a, b = (np.concatenate([part.ravel() for part in parts]) for parts in (first, second))
    got = alignment_reward([torch.tensor(g) for g in first], [torch.tensor(g) for g in second])
    np.testing.assert_allclose(got.item(), a @ b / np.sqrt(a @ a) / np.sqrt(b @ b), rtol=1e-8)


def test_a_missing_gradient_counts_as_zero_and_a_vanishing_one_as_no_alignment() -> None:
    ones = torch.ones(2)
    assert alignment_reward([ones, None], [ones, ones]).item() == pytest.approx(2**-0.5)
    assert alignment_reward([None], [ones]).item() == 0.0
    assert alignment_reward([torch.zeros(2)], [ones]).item() == 0.0


def test_scores_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="two \\(B,\\)"):
        real_reward(torch.zeros(4), torch.zeros(4, 1))
