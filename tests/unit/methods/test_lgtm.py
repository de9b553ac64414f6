"""LGTM's step: its ablation, its two teacher gradients, and what the influence says of a row that is taught wrong."""

from collections.abc import Iterator
from typing import cast

import pytest
import torch
from default_methods import Influence, Lgtm
from pairs import BATCHES, Rows, endless, pair
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.plain_steps import finite_difference_step
from methods import lgtm
from methods.co_training import Gradients, Learner, Pair, ProjectedModel
from methods.dropout_masks import RandomState
from methods.lgtm import row_influence
from methods.soft_targets import per_row_cross_entropy
from methods.task_loss import per_row_task_loss
from methods.teacher_gradients import derivable_attention, quiz_gradient, sgd_step, tangents
from models.classifier import Classifier
from models.model_outputs import Outputs
from tests.plain_gradients import per_example_influence


def weights(own: Pair) -> list[Tensor]:
    return [value.detach().clone() for one in (own.student, own.teacher) for value in one.parameters().values()]


def no_quiz() -> Iterator[Rows]:
    raise AssertionError("a quiz batch was drawn")
    yield  # an iterator that fails when it is asked


def plain_joint_step(own: Pair, batch: Rows, alpha: float) -> None:
    """LGTM without influence, in plain torch: Eq. 11's auxiliary loss, then Eq. 1 with the new teacher."""
    with sdpa_kernel(SDPBackend.MATH):
        ours = own.student.network(batch.inputs, choices=batch.choices, layers=()).logits
    theirs = own.teacher.network(batch.inputs, choices=batch.choices, layers=()).logits
    p_s, log_p_s, log_p_t = ours.detach().softmax(-1), ours.detach().log_softmax(-1), theirs.log_softmax(-1)
    towards = nn.functional.kl_div(log_p_t, log_p_s, reduction="none", log_target=True).sum(-1).mean()
    torch.testing.assert_close(towards, (p_s * (log_p_s - log_p_t)).sum(-1).mean())
    (alpha * nn.functional.cross_entropy(theirs, batch.labels) + (1 - alpha) * towards).backward()
    own.teacher.optimizer.step()
    own.teacher.optimizer.zero_grad()
    with torch.no_grad():
        taught = own.teacher.network(batch.inputs, choices=batch.choices, layers=()).logits
    soft = -(taught.softmax(-1) * ours.log_softmax(-1)).sum(-1).mean()
    (alpha * nn.functional.cross_entropy(ours, batch.labels) + (1 - alpha) * soft).backward()
    own.student.optimizer.step()
    own.student.optimizer.zero_grad()


@pytest.mark.parametrize("kind", ["pair", "choice"])
def test_without_influence_it_is_its_own_ablation_bit_for_bit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, batch, _ = BATCHES[kind]
    alone, plain = pair("bert", spec), pair("bert", spec)
    monkeypatch.setattr("methods.lgtm.tangents", lambda *_: pytest.fail("a forward derivative was taken"))
    torch.manual_seed(7)
    for _ in range(3):
        Lgtm(alpha=0.6, influence=Influence(weight=0.0)).step(alone, batch, no_quiz())
    torch.manual_seed(7)
    for _ in range(3):
        plain_joint_step(plain, batch, 0.6)
    assert all(torch.equal(*both) for both in zip(weights(alone), weights(plain), strict=True))
    assert alone.student.updates == alone.teacher.updates == 3


def test_with_influence_the_teacher_is_another() -> None:
    spec, batch, quiz = BATCHES["pair"]
    found = []
    for weight in (0.0, 1.0):
        own = pair("bert", spec)
        torch.manual_seed(7)
        Lgtm(influence=Influence(weight)).step(own, batch, endless(quiz))
        found.append(weights(own))
    assert not all(torch.equal(*both) for both in zip(*found, strict=True))


def given_to_the_teacher(
    method: lgtm.Lgtm, own: Pair, batch: Rows, quiz: Rows, monkeypatch: pytest.MonkeyPatch
) -> Gradients:
    """The gradient that one step gives the teacher's optimiser."""
    noted: list[Gradients] = []
    plain = Learner.apply

    def watched(learner: Learner, gradients: Gradients) -> None:
        if learner is own.teacher:
            noted.append({name: value.clone() for name, value in gradients.items()})
        plain(learner, gradients)

    monkeypatch.setattr(Learner, "apply", watched)
    torch.manual_seed(1)
    method.step(own, batch, endless(quiz))
    monkeypatch.setattr(Learner, "apply", plain)
    return noted[0]


@pytest.mark.parametrize("form", ["weights", "mixed"])
@pytest.mark.parametrize("kind", ["pair", "choice", "regression"])
def test_the_teachers_gradient_is_the_papers_from_a_backward_pass_per_row(kind, form, monkeypatch) -> None:
    """Eq. 9 has w_i constant; the mixed form is -mean of the mixed second derivative, by autograd twice per row."""
    spec, batch, quiz = BATCHES[kind]
    method = Lgtm(alpha=0.6, teacher_alpha=0.8, influence=Influence(2.0, form))
    found = given_to_the_teacher(method, pair("bert", spec), batch, quiz, monkeypatch)
    own = pair("bert", spec)
    torch.manual_seed(1)
    state = RandomState.now(torch.device("cpu"))
    with derivable_attention():
        ours = own.student.forward(batch).logits
        theirs = own.teacher.forward(batch).logits
    rows = per_row_cross_entropy(ours, theirs.detach(), own.kind)
    loss = 0.6 * per_row_task_loss(ours, batch.labels, own.kind).mean() + 0.4 * rows.mean()
    ahead = sgd_step(own.student, own.student.gradient(loss, keep_graph=True), own.student.rate)
    direction, _ = quiz_gradient(own, ahead, endless(quiz), 1)
    own_loss = method.teacher_loss(theirs, ours.detach(), batch.labels, own.kind)
    if form == "weights":
        constant = per_example_influence(own, batch, theirs, direction, state)
        influence = (constant * per_row_cross_entropy(ours.detach(), theirs, own.kind)).mean()
    else:
        with derivable_attention(), state.replayed():
            again = own.student.forward(batch).logits
        each = per_row_cross_entropy(again, theirs, own.kind)
        parameters = own.student.parameters()
        slopes = torch.autograd.grad(each.mean(), list(parameters.values()), create_graph=True)
        along = zip(parameters, slopes, strict=True)
        influence = -torch.stack([(slope * direction[name]).sum() for name, slope in along]).sum()
    wanted = own.teacher.gradient(own_loss + 2.0 * influence)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-8, atol=1e-12)


class Line(nn.Module):
    """A small network over points of the plane that looks like a classifier."""

    projection, dataset = None, "line"

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).double()

    def forward(self, inputs: dict[str, Tensor], *, dataset: str, choices: int, layers: tuple[int, ...]) -> Outputs:
        return Outputs(self.layers(inputs["points"]), inputs["points"])


def question(seed: int) -> tuple[Rows, Rows, Tensor]:
    """60 points to be taught and 60 for feedback, right of a line of class 1; how far from the line the first are."""
    draw = torch.Generator().manual_seed(seed)
    points, normal = torch.randn(120, 2, generator=draw).double(), torch.randn(2, generator=draw).double()
    side = points @ normal / normal.norm()
    taught, feedback = [Rows({"points": points[part]}, (side[part] > 0).long()) for part in (slice(60), slice(60, 120))]
    return taught, feedback, side[:60].abs()


@pytest.mark.parametrize("seed", range(3))
def test_the_influence_of_a_row_with_wrong_teacher_logits_turns_negative(seed: int) -> None:
    """Two clear rows are taught as the opposite of what they are, by a teacher that stays; the student trains."""
    taught, feedback, clear = question(seed)
    planted = clear.topk(2).indices
    teacher = 4.0 * (nn.functional.one_hot(taught.labels, 2) - 0.5).double()
    teacher[planted] *= -1
    seen = ProjectedModel(cast(Classifier, Line(seed)))
    student = Learner(seen, torch.optim.SGD(seen.parameters(), lr=0.5))
    own = Pair(student, student, "pair")
    method, found = Lgtm(alpha=0.6), []
    for _ in range(30):
        state = RandomState.now(torch.device("cpu"))
        said = student.forward(taught).logits
        # The rows' labels are right: only what the teacher says of them is wrong.
        loss = method.student_loss(said, teacher, taught.labels, own.kind)
        gradient = student.gradient(loss)
        direction, _ = quiz_gradient(own, sgd_step(student, gradient, student.rate), endless(feedback), 1)
        along = tangents(seen, taught, method.needs, direction, state)["logits"]
        found.append(row_influence(said.detach(), teacher, along, own.kind))
        student.apply(gradient)
    # The first steps find their way; much later the feedback's gradient is nearly zero, and so is every influence.
    late = torch.stack(found[5:]).mean(0)
    others = torch.ones(60, dtype=torch.bool).index_fill(0, planted, False)
    assert (late[planted] < 0).all(), late[planted]
    assert late[others].mean() > 0
    assert late[planted].max() < late[others].median()


def test_the_rows_that_were_drawn_are_followed_over_time_and_no_other() -> None:
    spec, batch, quiz = BATCHES["pair"]
    own = pair("bert", spec)
    own.followed = frozenset({1, 3, 77})
    for _ in range(2):
        Lgtm().step(own, batch, endless(quiz))
    assert [(one["step"], one["row"]) for one in own.influence] == [(0, 1), (0, 3), (1, 1), (1, 3)]
    assert all(0 < one["student"] < 1 and 0 < one["teacher"] < 1 for one in own.influence)


def test_the_share_of_the_influence_grows_with_its_weight() -> None:
    spec, batch, quiz = BATCHES["pair"]
    shares = []
    for weight in (0.5, 2.0):
        torch.manual_seed(1)
        shares.append(
            Lgtm(influence=Influence(weight)).step(pair("bert", spec), batch, endless(quiz))["influence_share"]
        )
    assert 0 < shares[0] < shares[1] < 1
    odds = [share / (1 - share) for share in shares]
    assert odds[1] / odds[0] == pytest.approx(4.0)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("kind", ["pair", "regression"])
def test_algorithm_1_as_printed_leaves_nearly_the_same_weights(kind: str, shared: bool) -> None:
    """With Eq. 10's sign turned; without dropout, because each of its lines draws masks of its own."""
    spec, batch, quiz = BATCHES[kind]
    ours, printed, start = pair("bert", spec), pair("bert", spec), pair("bert", spec)
    for one in (ours, printed):
        for module in (*one.student.network.modules(), *one.teacher.network.modules()):
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    Lgtm().step(ours, batch, endless(quiz))
    finite_difference_step(Lgtm(), printed, batch, [quiz], step=1e-4, shared=shared)
    for found, wanted, old in zip(weights(printed), weights(ours), weights(start), strict=True):
        torch.testing.assert_close(found - old, wanted - old, rtol=1e-4, atol=1e-8)
