"""The policy's state and probabilities against float64 numpy."""

import numpy as np
import torch

from methods.policy import Policy


def policy(seed: int = 0) -> Policy:
    return Policy(4, 3, generator=torch.Generator().manual_seed(seed))


def test_the_state_is_the_weight_times_a_learned_vector() -> None:
    ours = policy().double()
    weight = torch.randn(4, 4, dtype=torch.float64)
    v, w, b = (p.detach().numpy() for p in (ours.vector, ours.head.weight, ours.head.bias))
    scores = w @ (weight.numpy() @ v) + b
    expected = scores - np.log(np.exp(scores).sum())
    np.testing.assert_allclose(ours(weight).detach().numpy(), expected, rtol=1e-8)


def test_a_pooled_vector_is_the_state_itself() -> None:
    ours, pooled = policy().double(), torch.randn(4, dtype=torch.float64)
    expected = torch.log_softmax(ours.head(pooled), -1)
    assert torch.equal(ours(pooled), expected)


def test_no_gradient_reaches_the_student_and_the_vector_gets_one() -> None:
    ours, weight = policy(), torch.nn.Parameter(torch.randn(4, 4))
    ours(weight)[1].backward()
    assert weight.grad is None
    assert ours.vector.grad is not None and ours.vector.grad.abs().sum() > 0


def test_the_seed_decides_the_start() -> None:
    assert torch.equal(policy(1).vector, policy(1).vector)
    assert not torch.equal(policy(1).vector, policy(2).vector)
