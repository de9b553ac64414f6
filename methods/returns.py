"""Returns and advantages of an episode's actions from its rewards.

Rewards are indexed by their action: `rewards[t]` is R_{t+1}, taken after the step on action t. So
G_t = sum_{k > t} gamma^(k-t-1) R_k (MPDistil, section 3) is sum_{j >= t} gamma^(j-t) rewards[j], and the
reward of an earlier action is never in a later action's return.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal, Protocol

from errors import UserError

BaselineName = Literal["none", "running", "episode", "normalised"]


def discounted_returns(rewards: Sequence[float], gamma: float) -> list[float]:
    """G_t of each action; gamma of 0 credits each action with its own reward alone."""
    if not 0 <= gamma <= 1:
        raise UserError(f"gamma must be in [0, 1], but it is {gamma}")
    returns: list[float] = []
    following = 0.0
    for reward in reversed(rewards):
        following = reward + gamma * following
        returns.append(following)
    return returns[::-1]


class Baseline(Protocol):
    """Converts the returns of one episode to advantages; may keep statistics for the next episode."""

    def advantages(self, returns: Sequence[float]) -> list[float]: ...


class NoBaseline:
    """The unchanged returns (the paper)."""

    def advantages(self, returns: Sequence[float]) -> list[float]:
        return list(returns)


class EpisodeBaseline:
    """Returns minus their mean over the episode."""

    def advantages(self, returns: Sequence[float]) -> list[float]:
        mean = fmean(returns)
        return [value - mean for value in returns]


@dataclass
class RunningBaseline:
    """Returns minus the mean at that position over earlier episodes (0 before the first).

    The episode itself is left out, so that the baseline does not depend on the actions it is taken from.
    """

    sums: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def advantages(self, returns: Sequence[float]) -> list[float]:
        missing = max(0, len(returns) - len(self.sums))
        self.sums += [0.0] * missing
        self.counts += [0] * missing
        result: list[float] = []
        for position, value in enumerate(returns):
            seen = self.counts[position]
            result.append(value - (self.sums[position] / seen if seen else 0.0))
            self.sums[position] += value
            self.counts[position] += 1
        return result


@dataclass
class NormalisedBaseline:
    """Returns standardised by a running mean and deviation of all steps; `decay` weighs the past.

    A fading average, because gains shrink as the student learns: against the mean of all time every late
    action would look bad. The episode itself counts, so that the first one has a scale.
    """

    decay: float = 0.9
    weight: float = 0.0
    mean: float = 0.0
    square: float = 0.0

    def advantages(self, returns: Sequence[float]) -> list[float]:
        self.weight = self.decay * self.weight + (1 - self.decay)
        share = (1 - self.decay) / self.weight
        self.mean += share * (fmean(returns) - self.mean)
        self.square += share * (fmean(value * value for value in returns) - self.square)
        deviation = max(self.square - self.mean**2, 0.0) ** 0.5
        # Equal returns have no deviation, and nothing to tell actions apart by.
        scale = 1 / deviation if deviation > 1e-6 * abs(self.mean) and deviation > 0 else 0.0
        return [(value - self.mean) * scale for value in returns]


def make_baseline(name: BaselineName) -> Baseline:
    """A new baseline by name. Raises UserError on an unknown one."""
    if name == "none":
        return NoBaseline()
    if name == "running":
        return RunningBaseline()
    if name == "episode":
        return EpisodeBaseline()
    if name == "normalised":
        return NormalisedBaseline()
    raise UserError(f"baseline {name!r}: allowed are none, running, episode and normalised")
