"""Eq. 2 and 3 of MPDistil against float64 numpy, and the head that they train."""

import numpy as np
import pytest
import torch

from methods.meta_teacher import MetaTeacher, competitive, competitive_probability, meta_teacher_loss

RNG = np.random.default_rng(2)
Z_T, Z_S, CLASSES = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
Y_T, Y_S, VALUES = RNG.normal(size=(5, 1)), 9 * RNG.normal(size=(5, 1)), RNG.normal(size=5)
RANGE = (-2.0, 2.0)


def log_p(logits: np.ndarray) -> np.ndarray:
    return (logits - np.log(np.exp(logits).sum(-1, keepdims=True)))[np.arange(5), CLASSES]


EXPECTED = {
    "collaborative": -0.5 * (log_p(Z_T) + log_p(Z_S)).mean(),
    "competitive": -(2 * log_p(Z_T) - np.maximum(log_p(Z_S), np.log(1e-3))).mean(),
    "competitive_probability": (-log_p(Z_T) - np.exp(log_p(Z_T)) + np.exp(log_p(Z_S))).mean(),
}
E_T, E_S = abs(Y_T[:, 0] - VALUES), abs(Y_S[:, 0] - VALUES)
EXPECTED_REGRESSION = {
    "collaborative": 0.5 * (E_T**2 + E_S**2).mean(),
    "competitive": (E_T**2 - 0.5 * np.minimum(E_S**2, 16.0)).mean(),
    "competitive_probability": (E_T**2 + E_T - np.minimum(E_S, 4.0)).mean(),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_losses_of_a_classification_are_the_papers(name) -> None:
    loss = meta_teacher_loss(name, torch.tensor(Z_T), torch.tensor(Z_S), torch.tensor(CLASSES), "pair")
    np.testing.assert_allclose(loss.item(), EXPECTED[name], rtol=1e-8)


@pytest.mark.parametrize("name", EXPECTED_REGRESSION)
def test_the_losses_of_a_regression_are_the_papers(name) -> None:
    assert (E_S > 4).any(), "the cap must be at work here"
    inputs = torch.tensor(Y_T), torch.tensor(Y_S), torch.tensor(VALUES)
    loss = meta_teacher_loss(name, *inputs, "regression", RANGE)
    np.testing.assert_allclose(loss.item(), EXPECTED_REGRESSION[name], rtol=1e-8)


@pytest.mark.parametrize("loss", [competitive, competitive_probability])
@pytest.mark.parametrize("scale", [1.0, 1e2, 1e6])
def test_competitive_losses_are_bounded_however_wrong_the_student_is(loss, scale) -> None:
    right = torch.tensor([[scale, 0.0]], dtype=torch.float64)
    wrong = torch.tensor([[-scale, 0.0]], dtype=torch.float64, requires_grad=True)
    value = loss(right, wrong, torch.tensor([0]), "single")
    assert value.item() >= np.log(1e-3) - 1
    far = torch.full((1, 1), scale, dtype=torch.float64)
    assert loss(torch.zeros(1, 1), far, torch.zeros(1), "regression", RANGE).item() >= -8.0


def test_a_student_below_the_floor_pulls_no_more() -> None:
    wrong = torch.tensor([[-50.0, 0.0]], requires_grad=True)
    competitive(torch.zeros(1, 2), wrong, torch.tensor([0]), "single").backward()
    assert wrong.grad is not None and wrong.grad.abs().max() == 0


def test_a_competitive_regression_without_a_label_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs a label range .*, but none is given: set 'range' in"):
        competitive(torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(2), "regression")


def test_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed are collaborative"):
        meta_teacher_loss("kind", torch.zeros(2, 2), torch.zeros(2, 2), torch.zeros(2).long(), "single")  # ty: ignore[invalid-argument-type]


def test_the_meta_teacher_starts_as_the_teachers_head() -> None:
    weight, bias, pooled = torch.randn(3, 6), torch.randn(3), torch.randn(4, 6)
    module = MetaTeacher(weight, bias, student_width=6).eval()
    torch.testing.assert_close(module(pooled), pooled @ weight.T + bias)
    assert module.projection is None
    torch.testing.assert_close(module.of_student(pooled), module(pooled))
    weight.zero_()
    assert module.head.weight.abs().sum() > 0, "the head is a copy"


def test_a_narrower_student_gets_a_projection_and_candidates_become_classes() -> None:
    module = MetaTeacher(torch.randn(1, 6), None, student_width=4, choices=2).eval()
    assert module.of_student(torch.randn(10, 4)).shape == (5, 2)
    pooled = torch.randn(10, 6)
    torch.testing.assert_close(module(pooled)[3], module.head(pooled[6:8])[:, 0])
