"""takd, sftn and pesf_kd against float64 numpy."""

import numpy as np
import pytest
import torch
from default_methods import FriendlyTeacher, PesfKd, Sftn, Takd
from pairs import BATCHES, Rows, learner, pair
from references import EXACT, KINDS, array, case, kl, task
from small_networks import small

from kinds import Kind
from methods.co_training import Learner, Pair
from methods.interface import LossInputs, Method
from models.model_outputs import Outputs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", [Takd(0.3, 2.0), Sftn(0.3, 2.0)])
def test_the_student_learns_from_labels_and_from_the_answers_of_its_own_teacher(method: Method, kind: Kind) -> None:
    own = case(kind)
    parts = method.loss(LossInputs(own.student, own.teacher, own.labels, kind))
    wanted = 0.3 * own.task + 0.7 * kl(own.theirs, own.ours, kind, 2.0)
    assert parts["loss"].item() == pytest.approx(wanted, rel=EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_friendly_teacher_and_its_branches_learn_from_labels_and_from_each_other(kind: Kind) -> None:
    own, other = case(kind), case(kind, seed=2)
    said = Outputs(own.teacher.logits, own.teacher.pooled)
    said.branches = {2: own.student.logits, 4: other.student.logits}
    parts = FriendlyTeacher(0.5, 3.0, 2.0).loss(said, own.labels, kind)
    branches = [own.ours, other.ours]
    wanted = (
        task(own.theirs, own.labels.numpy(), kind)
        + 0.5 * np.mean([task(one, own.labels.numpy(), kind) for one in branches])
        + 3.0 * np.mean([kl(own.theirs, one, kind, 2.0) for one in branches])
    )
    assert parts["loss"].item() == pytest.approx(wanted, rel=EXACT)
    found = torch.autograd.grad(parts["agreement"] + parts["loss"], [own.teacher.logits, *said.branches.values()])
    assert all(bool(gradient.any()) for gradient in found)


def test_a_teacher_without_branches_is_an_error() -> None:
    own = case("pair")
    with pytest.raises(ValueError, match="student of 2 layers"):
        FriendlyTeacher().loss(own.teacher, own.labels, "pair")


def stored_pair(kind: str) -> tuple[Pair, Rows]:
    """Networks without dropout; the teacher's backbone is frozen, and its pooled vectors are stored."""
    spec, batch, _ = BATCHES[kind]
    own = pair("bert", spec)
    own.student.network.eval()
    teacher = small("bert", spec, layers=3, seed=5).double().eval()
    vectors = teacher(batch.inputs, dataset=spec.dataset, choices=batch.choices).pooled.detach()
    teacher.backbone.requires_grad_(False)
    own.teacher = learner(teacher, 0.05)
    teacher.eval()
    candidates = torch.arange(batch.choices)
    own.teacher.stored = lambda rows: vectors[(rows[:, None] * batch.choices + candidates).reshape(-1)]
    return own, batch


@pytest.mark.parametrize("kind", BATCHES)
def test_in_pesf_kd_the_head_follows_the_student_who_learns_from_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, batch = stored_pair(kind)
    ours, theirs = (one.forward(batch).logits for one in (own.student, own.teacher))
    given: dict[str, float] = {}
    monkeypatch.setattr(
        Learner,
        "descend",
        lambda one, loss: given.update({"student" if one is own.student else "teacher": loss.item()}),
    )
    PesfKd(0.3, 2.0, follow=0.5).step(own, batch, iter(()))
    a, b, labels = array(ours), array(theirs), batch.labels.numpy()
    assert given["teacher"] == pytest.approx(task(b, labels, own.kind) + 0.5 * kl(a, b, own.kind, 2.0), rel=EXACT)
    assert given["student"] == pytest.approx(0.3 * task(a, labels, own.kind) + 0.7 * kl(b, a, own.kind, 2.0), rel=EXACT)


@pytest.mark.parametrize("kind", BATCHES)
def test_in_pesf_kd_the_head_alone_runs_and_moves(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, batch = stored_pair(kind)
    teacher = own.teacher.network.network
    whole = teacher(batch.inputs, dataset=teacher.dataset, choices=batch.choices).logits
    assert torch.allclose(own.teacher.forward(batch).logits, whole, atol=1e-12)
    assert set(own.teacher.parameters()) == {f"network.heads.{teacher.dataset}.{name}" for name in ("weight", "bias")}
    monkeypatch.setattr(teacher.backbone, "forward", lambda **_: pytest.fail("the backbone ran"))
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    PesfKd().step(own, batch, iter(()))
    moved = {name for name, value in teacher.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {f"heads.{teacher.dataset}.weight", f"heads.{teacher.dataset}.bias"}
