"""The exact teacher gradients agree with double backward and with a backward pass per example, dropout on."""

import pytest
import torch
from default_methods import Lgtm, MetaDistil, MseKd
from pairs import BATCHES, Rows, endless, pair, rows

from methods.co_training import Gradients, Pair, detached
from methods.dropout_masks import RandomState
from methods.interface import LossInputs, Method, Needs
from methods.layer_mapping import match_layers
from methods.lgtm import row_influence
from methods.teacher_gradients import change_along, derivable_attention, quiz_gradient, sgd_step, tangents
from tests.plain_gradients import double_backward, finite_difference_influence, per_example_influence

FAMILIES = ("bert", "roberta", "deberta-v2", "opt")
RATE = 0.05


def exact(own: Pair, method: Method, batch: Rows, quiz: list[Rows], *, replay: bool = True) -> Gradients:
    """The teacher's gradient by forward mode, at the random state that is now."""
    needs, state = method.needs, RandomState.now(torch.device("cpu"))
    with derivable_attention():
        ours = own.student.forward(batch, needs.student_layers)
        theirs = own.teacher.forward(batch, needs.teacher_layers)
    loss = method.loss(own.loss_inputs(batch, ours, detached(theirs)))["loss"]
    ahead = sgd_step(own.student, own.student.gradient(loss), RATE)
    direction, _ = quiz_gradient(own, ahead, endless(*quiz), len(quiz))
    if not replay:
        state = RandomState.now(torch.device("cpu"))
    along = tangents(own.student.network, batch, needs, direction, state)
    return own.teacher.gradient(-RATE * change_along(method, own.loss_inputs(batch, ours, theirs), along))


def error(found: Gradients, wanted: Gradients) -> float:
    """Norm of the difference over the norm of what is wanted."""
    difference = torch.cat([(found[name] - wanted[name]).flatten() for name in wanted]).norm()
    return (difference / torch.cat([value.flatten() for value in wanted.values()]).norm()).item()


def both(own: Pair, method: Method, batch: Rows, quiz: list[Rows], **options: bool) -> float:
    torch.manual_seed(1)
    found = exact(own, method, batch, quiz, **options)
    torch.manual_seed(1)
    return error(found, double_backward(own, method, batch, quiz, RATE))


@pytest.mark.parametrize("family", FAMILIES)
def test_it_equals_double_backward_with_dropout_and_padding(family: str) -> None:
    spec, batch, quiz = BATCHES["pair"]
    method = MseKd(0.5, 0.0, 2.0, temperature_squared=True)
    assert both(pair(family, spec), method, batch, [quiz]) < 1e-8


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize("width", [32, 48])
def test_it_equals_double_backward_with_hidden_states_and_a_projection(kind: str, width: int) -> None:
    spec, batch, quiz = BATCHES[kind]
    method = MseKd(0.5, 10.0, 2.0, layers=tuple(match_layers("uniform", 2, 3)))
    assert both(pair("bert", spec, width=width), method, batch, [quiz]) < 1e-8


def test_several_quiz_batches_count_by_their_mean() -> None:
    spec, batch, quiz = BATCHES["pair"]
    method = MseKd(0.5, 0.0, 2.0)
    several = [quiz, rows([4, 4], [1, 1], seed=9), rows([7, 3], [0, 1], seed=10)]
    assert both(pair("bert", spec), method, batch, several) < 1e-8


def test_another_dropout_mask_is_another_gradient() -> None:
    spec, batch, quiz = BATCHES["pair"]
    assert both(pair("bert", spec), MseKd(0.5, 0.0, 2.0), batch, [quiz], replay=False) > 0.01


def test_the_generator_goes_on_where_it_was_after_a_replay() -> None:
    state = RandomState.now(torch.device("cpu"))
    first = torch.rand(3)
    torch.rand(2)
    before = torch.get_rng_state()
    with state.replayed():
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["pair", "regression"])
def test_row_influence_equals_a_backward_pass_per_row_and_the_finite_difference(family: str, kind: str) -> None:
    spec, batch, quiz = BATCHES[kind]
    own = pair(family, spec)
    torch.manual_seed(1)
    state = RandomState.now(torch.device("cpu"))
    with derivable_attention():
        ours = own.student.forward(batch).logits
        theirs = own.teacher.forward(batch).logits
    loss = Lgtm().student_loss(ours, theirs.detach(), batch.labels, own.kind)
    ahead = sgd_step(own.student, own.student.gradient(loss, keep_graph=True), RATE)
    direction, _ = quiz_gradient(own, ahead, endless(quiz), 1)
    along = tangents(own.student.network, batch, Lgtm().needs, direction, state)["logits"]
    found = row_influence(ours.detach(), theirs.detach(), along, own.kind)
    wanted = per_example_influence(own, batch, theirs, direction, state)
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-12)
    near = finite_difference_influence(own, batch, theirs.detach(), direction, state, 1e-6)  # OPT's ReLUs have corners
    torch.testing.assert_close(found, near, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("kind", ["pair", "choice"])
def test_lgtms_mixed_gradient_is_metadistils_of_the_soft_term_times_a_known_factor(kind: str) -> None:
    """L_S has (1 - alpha) * mean l_i, so -rate * (1 - alpha) * grad_T mean w_i is MetaDistil's."""
    spec, batch, quiz = BATCHES[kind]
    own, method = pair("bert", spec), Lgtm(alpha=0.6)

    class SoftTerm:
        needs = Needs(teacher="signals")

        def loss(self, given: LossInputs) -> dict[str, torch.Tensor]:
            return {"loss": method.student_loss(given.student.logits, given.teacher.logits, given.labels, given.kind)}

    torch.manual_seed(1)
    wanted = exact(own, SoftTerm(), batch, [quiz])
    torch.manual_seed(1)
    state = RandomState.now(torch.device("cpu"))
    with derivable_attention():
        ours, theirs = own.student.forward(batch).logits, own.teacher.forward(batch).logits
    loss = method.student_loss(ours, theirs.detach(), batch.labels, own.kind)
    ahead = sgd_step(own.student, own.student.gradient(loss, keep_graph=True), RATE)
    direction, _ = quiz_gradient(own, ahead, endless(quiz), 1)
    along = tangents(own.student.network, batch, method.needs, direction, state)["logits"]
    mixed = own.teacher.gradient(method.influence_loss(ours.detach(), theirs, along, own.kind)[0])
    scaled = {name: RATE * (1 - method.alpha) * value for name, value in mixed.items()}
    assert error(scaled, wanted) < 1e-8


def test_one_teacher_step_of_metadistil_lowers_the_pilot_students_quiz_loss() -> None:
    """By what the gradient says, to first order: 1e-3 of the step's size leaves 1e-3 of it as curvature."""
    spec, batch, quiz = BATCHES["pair"]
    own, method = pair("bert", spec, rate=0.5), MseKd(0.3, 0.0, 2.0, temperature_squared=True)

    def pilots_quiz_loss() -> float:
        torch.manual_seed(1)
        with derivable_attention():
            ours, theirs = own.student.forward(batch), own.teacher.forward(batch)
        loss = method.loss(own.loss_inputs(batch, ours, detached(theirs)))["loss"]
        ahead = sgd_step(own.student, own.student.gradient(loss), RATE)
        return quiz_gradient(own, ahead, endless(quiz), 1)[1]

    torch.manual_seed(1)
    gradient = exact(own, method, batch, [quiz])
    before = pilots_quiz_loss()
    size = sum((value**2).sum().item() for value in gradient.values())
    step = 1e-3 / size**0.5
    with torch.no_grad():
        for name, value in own.teacher.parameters().items():
            value -= step * gradient[name]
    assert before - pilots_quiz_loss() == pytest.approx(step * size, rel=0.02)


def test_under_bfloat16_autocast_the_derivative_stays_in_float32() -> None:
    spec, batch, quiz = BATCHES["pair"]
    own = pair("bert", spec)
    for one in (own.student, own.teacher):
        one.network.float()
    torch.manual_seed(1)
    plain = exact(own, MseKd(0.5, 0.0, 2.0), batch, [quiz])
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = exact(own, MseKd(0.5, 0.0, 2.0), batch, [quiz])
    assert all(value.dtype == torch.float32 for value in mixed.values())
    assert error(mixed, plain) < 0.1


def test_metadistil_trains_both_and_measures_section_5_1() -> None:
    spec, batch, quiz = BATCHES["pair"]
    own = pair("bert", spec)
    before = [value.clone() for one in (own.student, own.teacher) for value in one.parameters().values()]
    values = MetaDistil(analysis_every=1).step(own, batch, endless(quiz))
    after = [value for one in (own.student, own.teacher) for value in one.parameters().values()]
    assert any(not torch.equal(*both) for both in zip(before[:30], after[:30], strict=True))
    assert own.student.updates == own.teacher.updates == 1
    assert {"loss", "task", "soft", "quiz", "real_beats_pilot", "teacher_comes_nearer"} <= set(values)
