"""MetaDistil's step: the pilot, its ablation, the teacher's warm-up, and how many quiz batches are drawn."""

from collections.abc import Iterator

import pytest
import torch
from default_methods import MetaDistil
from pairs import BATCHES, Rows, endless, pair, rows
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.plain_steps import double_backward_step
from methods import metadistil
from methods.co_training import Gradients, Learner, Pair
from tests.plain_gradients import double_backward

SPEC, BATCH, QUIZ = BATCHES["pair"]


def weights(learner: Learner) -> list[Tensor]:
    return [value.detach().clone() for value in learner.parameters().values()]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(*both) for both in zip(first, second, strict=True))


def stepped(method: metadistil.MetaDistil, *, progress: float = 0.0) -> Pair:
    own = pair("bert", SPEC)
    own.progress = progress
    torch.manual_seed(1)
    method.step(own, BATCH, endless(QUIZ))
    return own


def test_without_its_pilot_the_experiment_is_the_students_update() -> None:
    """theta_S - rate * grad L_S(theta_S; T) with the teacher as it was, in plain torch."""
    found, own = stepped(MetaDistil(pilot=False)), pair("bert", SPEC)
    torch.manual_seed(1)
    with sdpa_kernel(SDPBackend.MATH):
        ours = own.student.forward(BATCH).logits
    theirs = own.teacher.forward(BATCH).logits.detach()
    soft = 4.0 * ((ours / 2).softmax(-1) - (theirs / 2).softmax(-1)).pow(2).mean()
    (0.5 * torch.nn.functional.cross_entropy(ours, BATCH.labels) + 0.5 * soft).backward()
    own.student.optimizer.step()
    for wanted, value in zip(weights(own.student), weights(found.student), strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-10, atol=1e-14)


def test_the_pilot_changes_the_students_update_and_not_the_teachers() -> None:
    ablated, whole = stepped(MetaDistil(pilot=False)), stepped(MetaDistil())
    assert same(weights(ablated.teacher), weights(whole.teacher))
    assert not same(weights(ablated.student), weights(whole.student))


@pytest.mark.parametrize("pilot", [True, False])
def test_the_teacher_steps_down_the_quiz_loss_of_the_pilot(pilot: bool) -> None:
    """T - mu * grad / rate, the gradient by double backward with the same dropout masks; mu is the learner's rate."""
    found, own = stepped(MetaDistil(pilot=pilot)), pair("bert", SPEC)
    torch.manual_seed(1)
    gradient = double_backward(own, MetaDistil(), BATCH, [QUIZ], own.student.rate)
    for name, value in own.teacher.parameters().items():
        wanted = value - own.teacher.rate * gradient[name] / own.student.rate
        torch.testing.assert_close(found.teacher.parameters()[name], wanted, rtol=1e-8, atol=1e-14)


def test_a_whole_step_with_double_backward_leaves_the_same_weights() -> None:
    method, own = MetaDistil(quiz_batches=2), pair("bert", SPEC)
    found = stepped(method)
    torch.manual_seed(1)
    double_backward_step(method, own, BATCH, [QUIZ, QUIZ])
    for one, other in ((found.student, own.student), (found.teacher, own.teacher)):
        for value, wanted in zip(weights(one), weights(other), strict=True):
            torch.testing.assert_close(value, wanted, rtol=1e-8, atol=1e-12)


def test_in_its_warm_up_the_teacher_stays_as_it_is() -> None:
    start = weights(pair("bert", SPEC).teacher)
    method = MetaDistil(teacher_warmup=0.5)
    early, late = stepped(method, progress=0.49), stepped(method, progress=0.5)
    assert same(weights(early.teacher), start)
    assert not same(weights(late.teacher), start)
    assert [early.teacher.updates, early.student.updates, late.teacher.updates] == [0, 1, 1]


@pytest.mark.parametrize("count", [1, 10])
def test_a_step_draws_as_many_quiz_batches_as_it_is_told(count: int) -> None:
    drawn: list[Rows] = []

    def quiz() -> Iterator[Rows]:
        while True:
            drawn.append(rows([4, 5], [0, 1], seed=len(drawn)))
            yield drawn[-1]

    MetaDistil(quiz_batches=count, analysis_every=1).step(pair("bert", SPEC), BATCH, quiz())
    assert len(drawn) == count


def test_the_comparison_of_both_updates_comes_every_so_many_steps() -> None:
    own, method = pair("bert", SPEC), MetaDistil(analysis_every=3)
    values = [method.step(own, BATCH, endless(QUIZ)) for _ in range(4)]
    for share in ("real_beats_pilot", "teacher_comes_nearer"):
        assert [share in one for one in values] == [True, False, False, True]
        assert all(one[share] in (0.0, 1.0) for one in values if share in one)


def test_the_teachers_first_adamw_step_is_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """AdamW's first step is |g| / (|g| + eps) of its learning rate: with the pilot's rate for a factor of g, a part of it."""
    own, given = pair("bert", SPEC, rate=2e-5), list[Tensor]()
    with torch.no_grad():  # heads as trained ones are
        for one in (own.student, own.teacher):
            one.network.head.weight.mul_(25.0)
    own.teacher.optimizer = torch.optim.AdamW(own.teacher.network.parameters(), lr=5e-6, weight_decay=0.0)
    plain = Learner.apply

    def noting(learner: Learner, gradients: Gradients) -> None:
        given.extend(value.flatten() for value in gradients.values() if learner is own.teacher)
        plain(learner, gradients)

    monkeypatch.setattr(Learner, "apply", noting)
    before = weights(own.teacher)
    torch.manual_seed(1)
    MetaDistil().step(own, BATCH, endless(QUIZ))
    gradient = torch.cat(given).abs()
    moves = gradient > 0  # not the rows of the embedding whose tokens no row has
    steps = torch.cat([(new - old).flatten() for new, old in zip(weights(own.teacher), before, strict=True)]).abs()
    assert (steps[moves] / 5e-6).mean() > 0.99
    scaled = gradient[moves] * own.student.rate
    assert (scaled / (scaled + 1e-8)).mean() < 0.9, "with the factor it would be shorter: this test can fail"


def test_the_networks_are_in_training_mode_after_a_step() -> None:
    own = stepped(MetaDistil(analysis_every=1))
    assert own.student.network.training and own.teacher.network.training
