"""The planted problem: does the curriculum find the one dataset that helps? (sizes as in docs: see tests/planted.py)"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import fmean, median, stdev

import pytest
import torch

from methods.curriculum_rewards import Reward
from tests.planted import SETTINGS, plant, run
from training.curriculum.action_statistics import action_shares, curricula
from training.curriculum.types import Probe, SamplerName

SEEDS = range(5)
ARMS: dict[str, tuple[SamplerName, Reward]] = {
    "uniform": ("uniform", "binary"),
    "target": ("target", "binary"),
    "binary": ("policy", "binary"),
    "real": ("policy", "real"),
    "gain": ("policy", "gain"),
    "alignment": ("policy", "alignment"),
}


@dataclass(frozen=True)
class Arm:
    """One way to choose, over the seeds: accuracy on fresh rows, share of the disguise in the last quarter."""

    accuracies: list[float]
    shares: list[float]

    @property
    def accuracy(self) -> float:
        return fmean(self.accuracies)

    @property
    def share(self) -> float:
        return fmean(self.shares)


def play(sampler: SamplerName, reward: Reward, seed: int) -> tuple[float, float]:
    planted = plant(seed)
    settings = replace(SETTINGS, episodes=100, sampler=sampler, reward=reward, seed=seed)
    result = run(planted, settings)
    assert len(result.steps) == 100 * 8
    last_quarter = action_shares(curricula(result.steps)[-25:], ["disguise"])
    return planted.accuracy(), fmean(shares["disguise"] for shares in last_quarter)


@pytest.fixture(scope="module")
def arms() -> Iterator[dict[str, Arm]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    results: dict[str, Arm] = {}
    for name, (sampler, reward) in ARMS.items():
        played = [play(sampler, reward, seed) for seed in SEEDS]
        results[name] = Arm([accuracy for accuracy, _ in played], [share for _, share in played])
    torch.set_num_threads(threads)
    for name, arm in results.items():
        spread = stdev(arm.accuracies)
        print(f"\n{name:9}  accuracy {arm.accuracy:.3f} ± {spread:.3f}  disguise {arm.share:.2f}", end="")
    yield results


@pytest.mark.slow
@pytest.mark.parametrize("reward", ["gain", "alignment"])
def test_the_policy_finds_the_disguise_and_the_student_is_better_for_it(arms: dict[str, Arm], reward: str) -> None:
    """In the median seed: a policy may settle on another dataset, as `gain`'s does in one of these five."""
    assert arms[reward].share >= 0.6
    pairs = zip(arms[reward].accuracies, arms["uniform"].accuracies, strict=True)
    assert median(own - other for own, other in pairs) >= 0.02


@pytest.mark.slow
def test_the_papers_rewards_choose_as_chance_does(arms: dict[str, Arm]) -> None:
    for reward in ("binary", "real"):
        assert abs(arms[reward].share - 1 / 6) < 0.1


@pytest.mark.parametrize("reward", ["gain", "alignment", "binary"])
def test_a_probe_of_rows_that_the_student_trains_on_is_refused(reward: Reward) -> None:
    planted = plant(0)
    quiz = planted.target.one_pass(1)
    trained_on = Probe(quiz[:1], frozenset(f"target-{row}" for row in quiz[0].rows.tolist()))
    with pytest.raises(ValueError, match="8 rows of the probe are rows that the student trains on"):
        run(replace(planted, probe=trained_on), replace(SETTINGS, reward=reward))
