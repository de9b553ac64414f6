"""Samplers of the dataset of each step of the curriculum: the policy, chance, or a fixed choice."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from errors import UserError
from methods.policy import Policy
from seeds import torch_generator
from training.curriculum.reinforce import Reinforce, SampledAction
from training.curriculum.types import SamplerName
from training.resume import Resumable


class Sampler(Resumable):
    """Picks an action, and may learn from what the actions of an episode were worth; most learn nothing."""

    def sample(self) -> SampledAction:
        raise NotImplementedError

    def learn(self, advantages: Sequence[float]) -> None:
        return


class PolicySampler(Sampler):
    """Samples from the policy given the student's state as it is at that moment."""

    PARTS = ("_reinforce",)

    def __init__(self, reinforce: Reinforce, state: Callable[[], Tensor]) -> None:
        self._reinforce, self._state = reinforce, state

    def sample(self) -> SampledAction:
        return self._reinforce.sample(self._state())

    def learn(self, advantages: Sequence[float]) -> None:
        self._reinforce.update(advantages)


class UniformSampler(Sampler):
    """Every dataset is as likely, the target among them."""

    PARTS = ("_generator",)

    def __init__(self, actions: int, generator: torch.Generator) -> None:
        self._actions, self._generator = actions, generator

    def sample(self) -> SampledAction:
        action = int(torch.randint(self._actions, (1,), generator=self._generator))
        return SampledAction(action, -math.log(self._actions), (1 / self._actions,) * self._actions)


class FixedSampler(Sampler):
    """Always the same dataset."""

    def __init__(self, actions: int, action: int) -> None:
        self._choice = SampledAction(action, 0.0, tuple(float(a == action) for a in range(actions)))

    def sample(self) -> SampledAction:
        return self._choice


def effective_sampler(asked: SamplerName, actions: int) -> tuple[SamplerName, str | None]:
    """The sampler that runs, and why it is not the one asked for: a policy over one dataset has nothing to choose."""
    if asked not in ("policy", "uniform", "target", "kd_only"):
        raise UserError(f"sampler {asked!r}: allowed are policy, uniform, target and kd_only")
    if actions == 1 and asked in ("policy", "uniform"):
        return "target", f"the benchmark has one dataset, so sampler {asked} has one action and ran as target"
    return asked, None


def make_sampler(
    name: SamplerName,
    *,
    actions: int,
    target: int,
    state: Callable[[], Tensor],
    policy_lr: float,
    seed: int,
    device: torch.device,
) -> Sampler:
    """The sampler called `name`; the policy's start and the actions have a generator each, by `seed`."""
    generator = torch_generator(seed, "actions")
    if name == "policy":
        policy = Policy(state().shape[-1], actions, generator=torch_generator(seed, "policy")).to(device)
        return PolicySampler(Reinforce(policy, learning_rate=policy_lr, generator=generator), state)
    if name == "uniform":
        return UniformSampler(actions, generator)
    return FixedSampler(actions, target)
