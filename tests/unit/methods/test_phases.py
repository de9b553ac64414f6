"""annealing_kd, prokd and rco: which loss, which temperature and which teacher epoch teaches in which epoch."""

import numpy as np
import pytest
from default_methods import AnnealingKd, ProKd, Rco
from references import EXACT, KINDS, case

from methods.interface import Lasting, LossInputs, Scheduled, schedule_of
from methods.phases import LabelsOnly, ScaledLogits


def factors(method: Scheduled, epochs: int, teacher_epochs: int) -> list[float | None]:
    """Return the factor of the teacher's logits, epoch by epoch; None where the labels teach."""
    methods = [method.phase(epoch, epochs, teacher_epochs).method for epoch in range(1, epochs + 1)]
    return [one.factor if isinstance(one, ScaledLogits) else None for one in methods]


def teacher_epochs_of(method: Scheduled, epochs: int, teacher_epochs: int) -> list[int | None]:
    return [method.phase(epoch, epochs, teacher_epochs).teacher_epoch for epoch in range(1, epochs + 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_phase_one_is_the_squared_distance_to_the_scaled_logits_summed_over_classes(kind) -> None:
    given = case(kind)
    parts = ScaledLogits(0.4).loss(LossInputs(given.student, given.teacher, given.labels, kind))
    wanted = np.mean(np.sum((given.ours - 0.4 * given.theirs) ** 2, -1))
    np.testing.assert_allclose(parts["loss"].item(), wanted, rtol=EXACT)
    np.testing.assert_allclose(parts["task"].item(), given.task, rtol=EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_phase_two_is_the_labels_alone(kind) -> None:
    given = case(kind)
    parts = LabelsOnly().loss(LossInputs(given.student, None, given.labels, kind))
    np.testing.assert_allclose(parts["loss"].item(), given.task, rtol=EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_the_papers_two_forms_of_prokds_temperature_are_one(kind) -> None:
    """Eq. 3: (z_S - z_T / T_i)^2 with T_i = tau_max - i + 1."""
    given, tau_max = case(kind), 5
    for i in range(1, tau_max + 1):
        method = ProKd(label_share=0.0).phase(i, tau_max, tau_max).method
        wanted = np.mean(np.sum((given.ours - given.theirs / (tau_max - i + 1)) ** 2, -1))
        found = method.loss(LossInputs(given.student, given.teacher, given.labels, kind))["loss"].item()
        np.testing.assert_allclose(found, wanted, rtol=EXACT)


def test_annealing_lets_the_logits_grow_to_their_size_and_ends_on_labels() -> None:
    found = factors(AnnealingKd(max_temperature=7, label_share=0.3), 10, teacher_epochs=3)
    assert found[:7] == [k / 7 for k in range(1, 8)]
    assert found[7:] == [None] * 3
    assert AnnealingKd().needs.teacher == "signals"


@pytest.mark.parametrize("temperature", range(1, 8))
def test_annealings_factor_is_the_papers_phi(temperature) -> None:
    """Phi(T) = 1 - (T - 1) / tau_max with T falling from tau_max to 1."""
    grown = factors(AnnealingKd(max_temperature=7, label_share=0.0), 7, 1)[7 - temperature]
    assert grown == pytest.approx(1 - (temperature - 1) / 7)


def test_prokd_follows_the_teachers_epochs_with_a_falling_temperature() -> None:
    method = ProKd(label_share=0.25)
    assert teacher_epochs_of(method, 8, 3) == [1, 1, 2, 2, 3, 3, None, None]
    assert factors(method, 8, 3) == [1 / 3, 1 / 3, 1 / 2, 1 / 2, 1, 1, None, None]
    assert method.needs.teacher == "trajectory"


def test_without_its_temperature_prokd_takes_the_logits_as_they_are() -> None:
    assert factors(ProKd(0.25, temperature=False), 8, 3) == [1.0] * 6 + [None, None]


def test_a_student_of_fewer_epochs_than_the_teacher_skips_some_but_never_the_last() -> None:
    assert teacher_epochs_of(ProKd(label_share=0.0), 2, 5) == [3, 5]
    assert factors(AnnealingKd(4, 0.0), 2, 1) == [0.5, 1.0]


def test_labels_never_take_the_whole_training() -> None:
    assert factors(AnnealingKd(7, 0.9), 1, 1) == [1.0]
    assert factors(ProKd(0.9), 1, 2) == [1.0]


def test_rco_goes_from_anchor_to_anchor_and_ends_at_the_teachers_last_epoch() -> None:
    assert teacher_epochs_of(Rco(anchors=4), 8, 10) == [3, 3, 5, 5, 8, 8, 10, 10]
    assert teacher_epochs_of(Rco(anchors=1), 2, 10) == [10, 10]
    assert teacher_epochs_of(Rco(anchors=4), 4, 2) == [1, 1, 2, 2], "no more anchors than the teacher has epochs"


def test_every_phase_has_a_name_for_the_curves() -> None:
    names = [method.phase(1, 4, 2).name for method in (AnnealingKd(), ProKd(), Rco())]
    assert names == ["3/7", "teacher epoch 1", "anchor 1"]


def test_a_schedule_names_each_phase_its_teacher_epoch_and_how_long_it_lasts() -> None:
    assert schedule_of(ProKd(label_share=0.25), 8, 3) == [
        Lasting("teacher epoch 1", 1, 2),
        Lasting("teacher epoch 2", 2, 2),
        Lasting("teacher epoch 3", 3, 2),
        Lasting("labels", None, 2),
    ]
    assert [part.teacher_epoch for part in schedule_of(Rco(anchors=4), 8, 10)] == [3, 5, 8, 10]


@pytest.mark.parametrize("teacher_epochs", range(1, 12))
def test_with_room_for_all_every_teacher_epoch_teaches_and_shares_differ_by_one_epoch_at_most(teacher_epochs) -> None:
    for epochs in range(teacher_epochs, 30):
        for method in (ProKd(label_share=0.0), Rco(anchors=teacher_epochs)):
            schedule = schedule_of(method, epochs, teacher_epochs)
            assert [part.teacher_epoch for part in schedule] == list(range(1, teacher_epochs + 1))
            shares = [part.epochs for part in schedule]
            assert sum(shares) == epochs and max(shares) - min(shares) <= 1
