"""Stage 4: the order of a step, who is credited with what, what is kept, and what is refused."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data.batches import Batch
from methods.task_loss import task_loss
from models.model_outputs import Outputs
from tests.planted import NAMES, SETTINGS, Planted, TinyStudent, plant, run
from training.curriculum.reinforce import Reinforce
from training.curriculum.types import CurriculumResult


def weights(student: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in student.parameters()]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@dataclass(frozen=True)
class Call:
    """One forward of the student: when, with which weights, and what it said."""

    training: bool
    dataset: str
    weights: list[Tensor]
    logits: Tensor


class Watched(TinyStudent):
    """Remembers every forward."""

    calls: list[Call]

    def forward(
        self, inputs: dict[str, Tensor], *, dataset: str, choices: int = 1, layers: Sequence[int] = ()
    ) -> Outputs:
        outputs = super().forward(inputs, dataset=dataset, choices=choices, layers=layers)
        self.calls.append(Call(self.training, dataset, weights(self), outputs.logits.detach()))
        return outputs


def watched(seed: int = 0) -> tuple[Planted, Watched]:
    planted, student = plant(seed, passes=1), Watched()
    student.load_state_dict(planted.student.state_dict())
    student.calls = []
    return replace(planted, student=student), student


@pytest.mark.parametrize("reward", ["binary", "real"])
def test_the_reward_of_an_action_is_taken_after_the_students_step_on_it(reward) -> None:
    planted, student = watched()
    result = run(planted, replace(SETTINGS, reward=reward, episodes=1), probe=False, scores=lambda: {"loss": 0.0})
    assert len(student.calls) == 2 * len(result.steps) == 16
    quiz = planted.target.one_pass(1)
    steps = zip(result.steps, student.calls[::2], student.calls[1::2], quiz, strict=True)
    for row, trained, rewarded, batch in steps:
        assert (trained.training, trained.dataset) == (True, row["action"])
        assert (rewarded.training, rewarded.dataset) == (False, "target")
        assert not same(trained.weights, rewarded.weights), "the student has moved in between"
        z = rewarded.logits.double().numpy()
        ours = (np.exp(z) / np.exp(z).sum(-1, keepdims=True))[np.arange(8), batch.labels.numpy()]
        theirs = planted.target.meta_scores[batch.rows].double().numpy()
        expected = (ours > theirs).mean() if reward == "binary" else (ours - theirs).mean()
        assert row["reward"] == pytest.approx(expected, rel=1e-5, abs=1e-7)
    for rewarded, following in zip(student.calls[1:-1:2], student.calls[2::2], strict=True):
        assert same(rewarded.weights, following.weights), "and nothing else moves it before the next action"


def test_each_action_is_credited_with_the_rewards_that_follow_it() -> None:
    result = run(plant(0, passes=1), replace(SETTINGS, reward="real"))
    for episode in (1, 2):
        rows = [row for row in result.steps if row["episode"] == episode]
        rewards = [float(row["reward"] or 0.0) for row in rows]
        expected = [sum(0.99 ** (k - t) * rewards[k] for k in range(t, 8)) for t in range(8)]
        np.testing.assert_allclose([row["return"] for row in rows], expected, rtol=1e-8)
        np.testing.assert_allclose([row["advantage"] for row in rows], expected, rtol=1e-8)


def test_the_policys_gradient_leaves_the_student_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = plant(0, passes=1)
    student, seen = planted.student, []

    def unmoved(method: str):
        original = getattr(Reinforce, method)

        def checked(self: Reinforce, argument):
            before = weights(student)
            grads = [None if p.grad is None else p.grad.clone() for p in student.parameters()]
            policy = weights(self.policy)
            result = original(self, argument)
            assert same(before, weights(student))
            for old, parameter in zip(grads, student.parameters(), strict=True):
                new = parameter.grad
                assert (old is None) == (new is None)
                assert old is None or new is None or torch.equal(old, new)
            seen.append((method, same(policy, weights(self.policy))))
            return result

        monkeypatch.setattr(Reinforce, method, checked)

    unmoved("sample")
    unmoved("update")
    run(planted, replace(SETTINGS, reward="real"), probe=False)
    assert seen == 2 * (8 * [("sample", True)] + [("update", False)]), "while the policy itself learns"


def test_the_policy_sees_the_student_as_it_is_at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    planted, student = watched()
    states: list[Tensor] = []
    original = Reinforce.sample

    def remember(self: Reinforce, state: Tensor):
        states.append(state.detach().clone())
        return original(self, state)

    monkeypatch.setattr(Reinforce, "sample", remember)
    run(planted, replace(SETTINGS, episodes=1), probe=False, scores=lambda: {"loss": 0.0})
    pooler = [name for name, _ in student.named_parameters()].index("pooler.weight")
    assert same(states, [call.weights[pooler] for call in student.calls[::2]])
    assert not any(torch.equal(a, b) for a, b in pairwise(states))


def test_gains_sum_to_the_probes_first_loss_minus_its_last() -> None:
    planted = plant(0, passes=1)
    first = planted.selection_scores()["loss"]
    losses: list[float] = []

    def scores() -> dict[str, float]:
        losses.append(planted.selection_scores()["loss"])
        return {"loss": -float(len(losses))}

    result = run(planted, replace(SETTINGS, reward="gain"), scores=scores)
    gained = [sum(float(r["reward"] or 0) for r in result.steps if r["episode"] == e) for e in (1, 2)]
    assert losses[0] == pytest.approx(first)
    np.testing.assert_allclose(gained, [losses[0] - losses[1], losses[1] - losses[2]], rtol=1e-4, atol=1e-7)
    assert [row["return"] for row in result.steps] == [row["reward"] for row in result.steps]


def test_the_probe_is_read_once_a_step() -> None:
    planted, student = watched()
    run(planted, replace(SETTINGS, reward="gain", episodes=1), scores=lambda: {"loss": 0.0})
    # After the step the quiz batch is read for the paper's rewards, and then the probe.
    assert [(call.training, len(call.logits)) for call in student.calls] == [(False, 64)] + 8 * [
        (True, 8),
        (False, 8),
        (False, 64),
    ]


def test_alignment_is_the_cosine_of_the_shared_gradients_before_the_step() -> None:
    planted, student = watched()
    student.dropout.p = 0.0
    result = run(planted, replace(SETTINGS, reward="alignment", episodes=1), scores=lambda: {"loss": 0.0})
    again = plant(0, passes=1)
    sources = {dataset.name: dataset.batches for dataset in again.datasets}
    twin = TinyStudent(dropout=0.0)
    shared = [p for name, p in twin.named_parameters() if not name.startswith("heads")]
    assert len(shared) == 4
    for row, call in zip(result.steps, (call for call in student.calls if call.training), strict=True):
        with torch.no_grad():
            for parameter, value in zip(twin.parameters(), call.weights, strict=True):
                parameter.copy_(value)

        def gradient(batch: Batch, dataset: str) -> Tensor:
            loss = task_loss(twin(batch.inputs, dataset=dataset).logits, batch.labels, "single")
            return torch.cat([g.flatten() for g in torch.autograd.grad(loss, shared)])

        action = str(row["action"])
        ours, theirs = gradient(sources[action].next_batch(), action), gradient(again.probe.batches[0], "target")
        assert row["reward"] == pytest.approx(torch.cosine_similarity(ours, theirs, dim=0).item(), rel=1e-4)


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([0.5, 0.6, 0.4, 0.7], 2),
        ([0.5, 0.4, 0.4, 0.4], 1),
        ([0.5, 0.6, 0.5, 0.5], 0),
        ([0.5, math.nan, 0.6, 0.4], 3),
    ],
)
def test_the_student_of_the_best_episode_is_kept_ties_to_the_earliest(losses, best) -> None:
    planted = plant(0, passes=1)
    kept: list[list[Tensor]] = []

    def scores() -> dict[str, float]:
        assert not planted.student.training
        kept.append(weights(planted.student))
        return {"loss": losses[len(kept) - 1], "accuracy": 0.5}

    result = run(planted, replace(SETTINGS, episodes=3), scores=scores)
    assert result.best_episode == best
    assert [row["best"] for row in result.episodes] == [int(episode == best) for episode in range(4)]
    assert same(weights(planted.student), kept[best])
    assert not same(kept[0], kept[1])
    assert [row["selection_accuracy"] for row in result.episodes] == 4 * [0.5]


@pytest.mark.parametrize("reward", ["binary", "gain", "alignment"])
def test_the_same_seed_gives_the_same_bits(reward) -> None:
    def played(seed: int) -> tuple[CurriculumResult, list[Tensor]]:
        planted = plant(0, passes=1)
        torch.manual_seed(5)
        return run(planted, replace(SETTINGS, reward=reward, seed=seed)), weights(planted.student)

    first, second, other = played(1), played(1), played(2)
    assert first[0] == second[0] and same(first[1], second[1])
    assert first[0].steps != other[0].steps


@pytest.mark.parametrize("sampler", ["policy", "uniform", "target"])
@pytest.mark.parametrize("reward", ["binary", "real", "gain", "alignment"])
def test_both_rewards_of_the_paper_are_recorded_whatever_the_policy_learns_from(reward, sampler) -> None:
    result = run(plant(0, passes=1), replace(SETTINGS, reward=reward, sampler=sampler))
    for row in result.steps:
        binary, real = float(row["reward_binary"] or 0.0), row["reward_real"]
        assert isinstance(real, float) and 0 <= binary <= 1 and real <= binary
        assert 8 * binary == pytest.approx(round(8 * binary))  # a share of the 8 rows of a quiz batch
        assert (row["reward"] == row.get(f"reward_{reward}")) is (reward in ("binary", "real"))
    assert len({row["reward_real"] for row in result.steps}) == 16
    first = [row for row in result.steps if row["episode"] == 1]
    for name in ("reward_binary", "reward_real"):
        assert result.episodes[0][name] is None
        assert result.episodes[1][name] == pytest.approx(sum(float(row[name] or 0.0) for row in first) / 8)


def test_the_recorded_rewards_are_those_that_a_policy_would_have_learnt_from() -> None:
    """The same actions by a uniform sampler: what one curriculum records is the other's reward, to the bit."""
    levels, gain = (
        run(plant(0, passes=1), replace(SETTINGS, sampler="uniform", reward=name)) for name in ("real", "gain")
    )
    assert [row["reward"] for row in levels.steps] == [row["reward_real"] for row in gain.steps]


def test_student_and_optimizer_carry_over_and_the_rows_say_everything() -> None:
    result = run(plant(0, passes=1), SETTINGS)
    assert [row["steps"] for row in result.episodes] == [0, 8, 8]
    probabilities = {f"probability_{name}" for name in NAMES}
    keys = {"episode", "step", "action", "log_probability", "loss", "reward", "return", "advantage"}
    keys |= {"reward_binary", "reward_real"}
    for row in result.steps:
        assert set(row) == keys | probabilities
        assert sum(float(row[name] or 0) for name in probabilities) == pytest.approx(1.0, rel=1e-5)
    shares = [float(result.episodes[1][f"share_{name}"] or 0) for name in NAMES]
    assert sum(shares) == pytest.approx(1.0) and result.episodes[0]["share_target"] is None


def test_with_one_update_an_episode_no_reward_depends_on_its_action() -> None:
    planted, student = watched()
    run(planted, replace(SETTINGS, update="episode"), probe=False, scores=lambda: {"loss": 0.0})
    first, second = student.calls[:16], student.calls[16:]
    for episode in (first, second):
        assert all(same(call.weights, episode[0].weights) for call in episode)
    assert not same(first[0].weights, second[0].weights)
