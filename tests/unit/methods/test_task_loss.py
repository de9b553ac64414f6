"""Task losses and true-class scores against float64 numpy."""

import numpy as np
import pytest
import torch

from methods.task_loss import per_row_task_loss, task_loss, true_class_score

RNG = np.random.default_rng(0)
LOGITS, CLASSES = RNG.normal(size=(6, 3)), np.array([0, 2, 1, 1, 0, 2])
VALUES = RNG.normal(size=6)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("kind", ["single", "pair", "choice"])
def test_the_loss_of_a_classification_is_cross_entropy(kind) -> None:
    expected = -log_softmax(LOGITS)[np.arange(6), CLASSES]
    logits, labels = torch.tensor(LOGITS), torch.tensor(CLASSES)
    np.testing.assert_allclose(per_row_task_loss(logits, labels, kind).numpy(), expected, rtol=1e-8)
    np.testing.assert_allclose(task_loss(logits, labels, kind).item(), expected.mean(), rtol=1e-8)
    np.testing.assert_allclose(true_class_score(logits, labels, kind).numpy(), np.exp(-expected), rtol=1e-8)


def test_the_loss_of_a_regression_is_the_squared_error_and_its_score_minus_the_absolute_one() -> None:
    logits, labels = torch.tensor(LOGITS[:, :1]), torch.tensor(VALUES)
    error = LOGITS[:, 0] - VALUES
    np.testing.assert_allclose(per_row_task_loss(logits, labels, "regression").numpy(), error**2, rtol=1e-8)
    np.testing.assert_allclose(task_loss(logits, labels, "regression").item(), (error**2).mean(), rtol=1e-8)
    np.testing.assert_allclose(true_class_score(logits, labels, "regression").numpy(), -abs(error), rtol=1e-8)


@pytest.mark.parametrize("function", [per_row_task_loss, task_loss, true_class_score])
@pytest.mark.parametrize(
    ("logits", "labels", "kind"),
    [
        (torch.zeros(4, 1), torch.zeros(4, 1), "regression"),
        (torch.zeros(4), torch.zeros(4), "regression"),
        (torch.zeros(4, 2), torch.zeros(4), "regression"),
        (torch.zeros(4, 1), torch.zeros(3), "regression"),
        (torch.zeros(4, 1), torch.zeros(4, dtype=torch.long), "single"),
        (torch.zeros(4, 2), torch.zeros(4, 1, dtype=torch.long), "choice"),
    ],
)
def test_shapes_that_would_broadcast_are_refused(function, logits, labels, kind) -> None:
    with pytest.raises(ValueError, match=kind):
        function(logits, labels, kind)
