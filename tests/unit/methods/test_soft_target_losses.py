"""kd, rco, pkd, dist and skd against float64 numpy, for every kind of dataset in which they have a meaning."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from default_methods import Dist, Kd, Pkd, Rco, Skd
from references import EXACT, KINDS, Case, array, case, kl, softmax, task, unit_error

from methods.interface import LossInputs, Method
from methods.layer_mapping import patient_layers
from models.model_outputs import Outputs

WITH_CLASSES = [kind for kind in KINDS if kind != "regression"]


def loss(method: Method, given: Case) -> float:
    return method.loss(LossInputs(given.student, given.teacher, given.labels, given.kind))["loss"].item()


def agrees(found: float, wanted: float) -> None:
    np.testing.assert_allclose(found, wanted, rtol=EXACT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", [Kd(0.3, 4.0), Rco(0.3, 4.0)], ids=["kd", "rco"])
def test_kd_and_an_anchor_of_rco_are_hintons_loss(kind, method) -> None:
    given = case(kind)
    agrees(loss(method, given), 0.3 * given.task + 0.7 * kl(given.theirs, given.ours, kind, 4.0))


@pytest.mark.parametrize("kind", KINDS)
def test_pkd_adds_the_error_between_unit_vectors_of_middle_layers(kind) -> None:
    given = case(kind, student_layers=(1, 2), teacher_layers=(2, 4))
    pairs = [(given.student.vectors[1], given.teacher.vectors[2]), (given.student.vectors[2], given.teacher.vectors[4])]
    patient = np.mean([unit_error(array(ours), array(theirs)) for ours, theirs in pairs])
    wanted = 0.4 * given.task + 0.6 * kl(given.theirs, given.ours, kind, 3.0) + 50 * patient
    agrees(loss(Pkd(0.4, 50.0, 3.0, layers=((1, 2), (2, 4))), given), float(wanted))


def correlation(a, b) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@pytest.mark.parametrize("kind", WITH_CLASSES)
def test_dist_is_one_minus_pearson_within_classes_and_where_there_are_three_within_rows(kind) -> None:
    given, tau = case(kind), 2.0
    ours, theirs = softmax(given.ours / tau), softmax(given.theirs / tau)
    intra = 1 - np.mean([correlation(a, b) for a, b in zip(ours.T, theirs.T, strict=True)])
    wanted = 0.7 * given.task + 3.0 * tau**2 * intra
    if ours.shape[1] > 2:
        wanted += 1.5 * tau**2 * (1 - np.mean([correlation(a, b) for a, b in zip(ours, theirs, strict=True)]))
    agrees(loss(Dist(0.7, 1.5, 3.0, tau), given), float(wanted))


def test_with_two_classes_dist_leaves_the_term_within_rows_out_whatever_its_weight() -> None:
    given = case("pair")
    assert loss(Dist(beta=0.0), given) == loss(Dist(beta=9.0), given)
    assert "inter" not in Dist().loss(LossInputs(given.student, given.teacher, given.labels, "pair"))


def test_a_batch_of_one_row_leaves_dist_the_term_within_rows() -> None:
    whole = case("single")
    first = replace(
        whole,
        student=Outputs(whole.student.logits[:1], whole.student.pooled[:1]),
        teacher=Outputs(whole.teacher.logits[:1], whole.teacher.pooled[:1]),
        labels=whole.labels[:1],
    )
    inter = 1 - correlation(softmax(first.ours)[0], softmax(first.theirs)[0])
    agrees(loss(Dist(), first), first.task + inter)


def test_skd_teaches_directions_at_the_teachers_scale() -> None:
    given, tau = case("single"), 2.0

    def direction(logits):
        centred = logits - logits.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).sum(-1, keepdims=True))

    centred = given.theirs - given.theirs.mean(-1, keepdims=True)
    scale = np.sqrt((centred**2).sum(-1)).mean()
    soft = kl(scale * direction(given.theirs), scale * direction(given.ours), "single", tau)
    agrees(loss(Skd(0.4, tau), given), 0.4 * given.task + 0.6 * soft)


def test_skd_does_not_see_how_large_the_students_logits_are() -> None:
    given = case("single")
    larger = replace(given, student=Outputs(3 * given.student.logits + 1, given.student.pooled))
    soft = [
        Skd().loss(LossInputs(one.student, one.teacher, one.labels, "single"))["soft"].item() for one in (given, larger)
    ]
    agrees(soft[1], soft[0])


@pytest.mark.parametrize("kind", ["pair", "choice", "regression"])
def test_skd_refuses_fewer_than_three_classes(kind) -> None:
    with pytest.raises(ValueError, match="skd: with fewer than 3 classes"):
        loss(Skd(), case(kind))


def test_dist_refuses_a_regression() -> None:
    with pytest.raises(ValueError, match="dist: correlations between classes need classes"):
        loss(Dist(), case("regression"))


@pytest.mark.parametrize(
    "method", [Kd(), Rco(), Pkd(layers=((1, 2),)), Dist(), Skd()], ids=lambda one: type(one).__name__
)
def test_no_method_runs_without_its_teacher_and_its_parts_have_no_graph(method: Method) -> None:
    given = case("single", student_layers=(1,), teacher_layers=(2,))
    with pytest.raises(ValueError, match="needs the teacher's outputs"):
        method.loss(LossInputs(given.student, None, given.labels, "single"))
    parts = method.loss(LossInputs(given.student, given.teacher, given.labels, "single"))
    assert parts["loss"].requires_grad
    assert [name for name, part in parts.items() if part.requires_grad] == ["loss"]
    agrees(parts["task"].item(), task(given.ours, given.labels.numpy(), "single"))


@pytest.mark.parametrize("method", [Kd(), Rco(), Dist(), Skd()], ids=lambda one: type(one).__name__)
def test_logits_of_other_shapes_are_refused_instead_of_broadcast(method: Method) -> None:
    given = case("single")
    wrong = Outputs(given.teacher.logits[:1], given.teacher.pooled)
    with pytest.raises(ValueError, match="must have one shape"):
        method.loss(LossInputs(given.student, wrong, given.labels, "single"))


def test_vectors_of_unequal_width_need_a_projection_in_pkd() -> None:
    given = case("single", student_layers=(1,), teacher_layers=(2,))
    wide = Outputs(given.teacher.logits, given.teacher.pooled, {2: torch.ones(5, 9, dtype=torch.float64)})
    with pytest.raises(ValueError, match="unequal widths need a projection"):
        Pkd(layers=((1, 2),)).loss(LossInputs(given.student, wide, given.labels, "single"))


@pytest.mark.parametrize(
    ("strategy", "student", "teacher", "pairs"),
    [
        ("skip", 3, 6, ((1, 2), (2, 4))),
        ("last", 3, 6, ((1, 4), (2, 5))),
        ("skip", 6, 12, ((1, 2), (2, 4), (3, 6), (4, 8), (5, 10))),
        ("last", 6, 12, ((1, 7), (2, 8), (3, 9), (4, 10), (5, 11))),
    ],
)
def test_pkd_learns_from_layers_spread_over_the_teacher_or_from_its_last(strategy, student, teacher, pairs) -> None:
    assert patient_layers(strategy, student, teacher) == pairs


@pytest.mark.parametrize(("student", "teacher"), [(1, 6), (3, 3), (4, 3)])
def test_pkd_refuses_depths_that_leave_no_middle_layers(student, teacher) -> None:
    with pytest.raises(ValueError, match="needs a student of 2 layers or more and a deeper teacher"):
        patient_layers("skip", student, teacher)
