"""REINFORCE: its gradient is the one of the summed objective, and it finds the better arm."""

import pytest
import torch

from methods.policy import Policy
from training.curriculum.reinforce import Reinforce


def test_the_gradient_is_that_of_minus_the_weighted_log_probabilities() -> None:
    generator = torch.Generator().manual_seed(0)
    policy = Policy(4, 3, generator=generator).double()
    start = {name: value.clone() for name, value in policy.state_dict().items()}
    reinforce = Reinforce(policy, learning_rate=1e-3, generator=generator)
    states = [torch.randn(4, 4, dtype=torch.float64) for _ in range(5)]
    actions = [reinforce.sample(state).action for state in states]
    advantages = [0.5, -1.0, 2.0, 0.1, -0.3]
    reinforce.update(advantages)
    got = [parameter.grad for parameter in policy.parameters()]

    policy.load_state_dict(start)
    policy.zero_grad()
    log_probabilities = [policy(state)[action] for state, action in zip(states, actions, strict=True)]
    (-sum(a * log_p for a, log_p in zip(advantages, log_probabilities, strict=True))).backward()
    for ours, parameter in zip(got, policy.parameters(), strict=True):
        assert ours is not None and parameter.grad is not None
        torch.testing.assert_close(ours, parameter.grad, rtol=1e-8, atol=1e-12)


def test_a_choice_holds_its_probabilities_and_their_log() -> None:
    generator = torch.Generator().manual_seed(1)
    choice = Reinforce(Policy(4, 3, generator=generator), learning_rate=0.1, generator=generator).sample(
        torch.randn(4, 4)
    )
    assert sum(choice.probabilities) == pytest.approx(1.0, rel=1e-6)
    chosen = torch.tensor(choice.probabilities[choice.action]).log().item()
    assert choice.log_probability == pytest.approx(chosen, rel=1e-5)


def test_an_action_that_pays_is_chosen_more_and_more() -> None:
    generator = torch.Generator().manual_seed(2)
    reinforce = Reinforce(Policy(4, 3, generator=generator), learning_rate=0.05, generator=generator)
    state = torch.eye(4)
    for _ in range(60):
        actions = [reinforce.sample(state).action for _ in range(8)]
        reinforce.update([1.0 if action == 2 else -0.5 for action in actions])
    assert reinforce.sample(state).probabilities[2] > 0.9


def test_as_many_advantages_as_choices_are_wanted() -> None:
    generator = torch.Generator().manual_seed(3)
    reinforce = Reinforce(Policy(4, 3, generator=generator), learning_rate=0.1, generator=generator)
    reinforce.sample(torch.eye(4))
    with pytest.raises(ValueError, match="2 advantages for 1 choices"):
        reinforce.update([1.0, 2.0])
