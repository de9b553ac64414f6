"""Losses of both networks in dml, prokt, lgtm and metadistil, against float64 numpy.

A step's losses are watched through `Learner.descend`, so that what is compared is what the optimiser was given.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from default_methods import Dml, Influence, Lgtm, MetaDistil, ProKt
from pairs import BATCHES, endless, pair
from references import EXACT, KINDS, array, case, cross_entropy_rows, kl, softmax, task, unit_error

from methods.co_training import Learner, MovingTeacher, Pair
from methods.interface import LossInputs
from methods.lgtm import row_influence

PART = {"pair": "pair", "choice": "choice", "regression": "regression"}


@dataclass
class Watched:
    """The losses that a step gave each network, and both networks' logits at those moments (dropout off)."""

    losses: dict[str, float] = field(default_factory=dict)
    logits: dict[str, np.ndarray] = field(default_factory=dict)


def step_of(method: MovingTeacher, kind: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Watched, Pair]:
    """One step without dropout; logits are noted as `student`, `teacher` before it and `taught` after the teacher's."""
    spec, batch, quiz = BATCHES[kind]
    own, seen = pair("bert", spec), Watched()
    for one in (own.student, own.teacher):
        for module in one.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        with torch.no_grad():  # answers that differ much: both directions of a divergence are then far apart
            one.network.head.weight.mul_(60.0 if one is own.teacher else 25.0)

    def look(name: str, learner: Learner) -> None:
        with torch.no_grad():
            seen.logits[name] = learner.forward(batch).logits.numpy()

    look("student", own.student)
    look("teacher", own.teacher)
    plain: Callable[[Learner, torch.Tensor], None] = Learner.descend

    def watched(learner: Learner, loss: torch.Tensor) -> None:
        name = "student" if learner is own.student else "teacher"
        seen.losses[name] = loss.item()
        plain(learner, loss)
        if name == "teacher":
            look("taught", learner)

    monkeypatch.setattr(Learner, "descend", watched)
    method.step(own, batch, endless(quiz))
    return seen, own


def labels_of(kind: str) -> np.ndarray:
    return BATCHES[kind][1].labels.numpy()


@pytest.mark.parametrize("kind", PART)
def test_dml_gives_each_peer_its_labels_and_the_divergence_from_the_other(kind, monkeypatch) -> None:
    seen, _ = step_of(Dml(weight=0.7), kind, monkeypatch)
    z, labels = seen.logits, labels_of(kind)
    teacher = task(z["teacher"], labels, kind) + 0.7 * kl(z["student"], z["teacher"], kind)
    student = task(z["student"], labels, kind) + 0.7 * kl(z["taught"], z["student"], kind)
    np.testing.assert_allclose(seen.losses["teacher"], teacher, rtol=EXACT)
    np.testing.assert_allclose(seen.losses["student"], student, rtol=EXACT)


@pytest.mark.parametrize("kind", PART)
def test_prokt_keeps_the_teacher_near_its_student_and_teaches_with_the_new_one(kind, monkeypatch) -> None:
    seen, _ = step_of(ProKt(alpha=0.4, temperature=3.0, proximal=0.2), kind, monkeypatch)
    z, labels = seen.logits, labels_of(kind)
    teacher = task(z["teacher"], labels, kind) + 0.2 * kl(z["student"], z["teacher"], kind)
    student = 0.4 * task(z["student"], labels, kind) + 0.6 * kl(z["taught"], z["student"], kind, 3.0)
    np.testing.assert_allclose(seen.losses["teacher"], teacher, rtol=EXACT)
    np.testing.assert_allclose(seen.losses["student"], student, rtol=EXACT)


@pytest.mark.parametrize("auxiliary", ["kl", "cross_entropy"])
@pytest.mark.parametrize("kind", PART)
def test_lgtms_auxiliary_loss_and_the_students_are_equations_11_and_1(kind, auxiliary, monkeypatch) -> None:
    method = Lgtm(alpha=0.3, teacher_alpha=0.8, influence=Influence(weight=0.0), auxiliary=auxiliary)
    seen, _ = step_of(method, kind, monkeypatch)
    z, labels = seen.logits, labels_of(kind)
    if auxiliary == "kl":
        soft = kl(z["student"], z["teacher"], kind)
    else:
        soft = cross_entropy_rows(z["teacher"], z["student"], kind).mean()
    teacher = 0.8 * task(z["teacher"], labels, kind) + 0.2 * soft
    student = 0.3 * task(z["student"], labels, kind) + 0.7 * cross_entropy_rows(z["taught"], z["student"], kind).mean()
    np.testing.assert_allclose(seen.losses["teacher"], teacher, rtol=EXACT)
    np.testing.assert_allclose(seen.losses["student"], student, rtol=EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rows_influence_and_both_forms_of_its_loss_are_the_formulas(kind) -> None:
    given, rng = case(kind), np.random.default_rng(4)
    along = rng.normal(size=given.ours.shape)
    if kind == "regression":
        rows = np.sum(2 * (given.ours - given.theirs) * along, -1)
    else:
        rows = np.sum((softmax(given.ours) - softmax(given.theirs)) * along, -1)
    tangent = torch.tensor(along)
    found = row_influence(given.student.logits, given.teacher.logits, tangent, kind)
    np.testing.assert_allclose(array(found), rows, rtol=EXACT)
    mixed, kept = Lgtm().influence_loss(given.student.logits, given.teacher.logits, tangent, kind)
    np.testing.assert_allclose(mixed.item(), -rows.mean(), rtol=EXACT)
    np.testing.assert_allclose(kept.numpy(), rows, rtol=EXACT)
    weights = Lgtm(influence=Influence(form="weights"))
    printed, _ = weights.influence_loss(given.student.logits, given.teacher.logits, tangent, kind)
    wanted = np.mean(rows * cross_entropy_rows(given.theirs, given.ours, kind))
    np.testing.assert_allclose(printed.item(), wanted, rtol=EXACT)


@pytest.mark.parametrize("beta", [0.0, 30.0])
@pytest.mark.parametrize("kind", KINDS)
def test_metadistils_loss_is_task_squared_error_of_probabilities_and_hidden_states(kind, beta) -> None:
    given, tau = case(kind, student_layers=(1,), teacher_layers=(2,)), 3.0
    if kind == "regression":
        soft = np.mean((given.ours - given.theirs) ** 2)
    else:
        soft = tau**2 * np.mean((softmax(given.ours / tau) - softmax(given.theirs / tau)) ** 2)
    pairs = [(given.student.vectors[1], given.teacher.vectors[2]), (given.student.pooled, given.teacher.pooled)]
    hidden = np.mean([unit_error(array(ours), array(theirs)) for ours, theirs in pairs])
    method = MetaDistil(alpha=0.4, beta=beta, temperature=tau, layers=((1, 2),))
    parts = method.loss(LossInputs(given.student, given.teacher, given.labels, kind))
    np.testing.assert_allclose(parts["loss"].item(), 0.4 * given.task + 0.6 * soft + beta * hidden, rtol=EXACT)
    assert set(parts) == {"loss", "task", "soft"} | ({"hidden"} if beta else set())


def test_methods_whose_teacher_moves_say_so_and_where_it_starts() -> None:
    methods: list[MovingTeacher] = [Dml(), ProKt(), Lgtm(), MetaDistil()]
    assert {one.needs.teacher for one in methods} == {"moves"}
    assert [one.teacher_starts for one in methods] == ["pretrained", "pretrained", "pretrained", "finetuned"]
