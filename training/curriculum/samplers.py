"""Samplers of each step's dataset in the curriculum: the policy, an even draw, or a fixed choice."""

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
    """Chooses an action, and may learn from an episode's advantages; most learn nothing."""

    def sample(self) -> SampledAction:
        raise NotImplementedError

    def learn(self, advantages: Sequence[float]) -> None:
        return


class PolicySampler(Sampler):
    """Samples from the policy given the student's present state."""

    PARTS = ("_reinforce",)

    def __init__(self, reinforce: Reinforce, state: Callable[[], Tensor]) -> None:
        self._reinforce, self._state = reinforce, state

    def sample(self) -> SampledAction:
        return self._reinforce.sample(self._state())

    def learn(self, advantages: Sequence[float]) -> None:
        self._reinforce.update(advantages)


class UniformSampler(Sampler):
    """Draws every dataset with equal probability, the target included."""

    PARTS = ("_generator",)

    def __init__(self, actions: int, generator: torch.Generator) -> None:
        self._actions, self._generator = actions, generator

    def sample(self) -> SampledAction:
        action = int(torch.randint(self._actions, (1,), generator=self._generator))
        return SampledAction(action, -math.log(self._actions), (1 / self._actions,) * self._actions)


class FixedSampler(Sampler):
    """Always chooses the same dataset."""

    def __init__(self, actions: int, action: int) -> None:
        self._choice = SampledAction(action, 0.0, tuple(float(a == action) for a in range(actions)))

    def sample(self) -> SampledAction:
        return self._choice


def effective_sampler(asked: SamplerName, actions: int) -> tuple[SamplerName, str | None]:
    """The sampler to run, and a remark if it is not the requested one: one dataset leaves a policy no choice."""
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
    """The sampler called `name`; policy initialisation and actions have a generator each, by `seed`."""
    generator = torch_generator(seed, "actions")
    if name == "policy":
        policy = Policy(state().shape[-1], actions, generator=torch_generator(seed, "policy")).to(device)
        return PolicySampler(Reinforce(policy, learning_rate=policy_lr, generator=generator), state)
    if name == "uniform":
        return UniformSampler(actions, generator)
    return FixedSampler(actions, target)
