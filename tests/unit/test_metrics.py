"""Metrics against scikit-learn and scipy as independent references, and the rules for their edge cases."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

import kinds
import metrics
from errors import UserError
from kinds import KINDS, KindSpec
from metrics import compute_metrics, row_losses, weighted_metric


def random_rows(seed: int, classes: int, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    logits = generator.normal(size=(rows, classes)) + np.eye(classes)[labels]
    return logits.astype(np.float32), labels


@pytest.mark.parametrize("seed", range(5))
def test_two_class_metrics_equal_those_of_sklearn(seed: int) -> None:
    logits, labels = random_rows(seed, 2)
    predicted = logits.argmax(1)
    scores = compute_metrics(["accuracy", "f1", "macro_f1", "matthews", "loss"], logits, labels, "pair")
    assert scores["accuracy"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert scores["f1"] == pytest.approx(reference.f1_score(labels, predicted))
    assert scores["macro_f1"] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert scores["matthews"] == pytest.approx(reference.matthews_corrcoef(labels, predicted))
    probabilities = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(1, keepdims=True)
    assert scores["loss"] == pytest.approx(reference.log_loss(labels, probabilities), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_three_class_metrics_equal_those_of_sklearn(seed: int) -> None:
    logits, labels = random_rows(seed, 3)
    predicted = logits.argmax(1)
    scores = compute_metrics(["macro_f1", "matthews"], logits, labels, "pair")
    assert scores["macro_f1"] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert scores["matthews"] == pytest.approx(reference.matthews_corrcoef(labels, predicted))


@pytest.mark.parametrize("decimals", [1, 6])
def test_correlations_equal_those_of_scipy_with_and_without_ties(decimals: int) -> None:
    generator = np.random.default_rng(3)
    labels = generator.uniform(0, 5, 80).round(decimals)
    logits = (labels[:, None] + generator.normal(size=(80, 1))).round(decimals)
    scores = compute_metrics(["pearson", "spearman", "mse", "loss"], logits, labels, "regression")
    assert scores["pearson"] == pytest.approx(stats.pearsonr(logits[:, 0], labels).statistic)
    assert scores["spearman"] == pytest.approx(stats.spearmanr(logits[:, 0], labels).statistic)
    assert scores["mse"] == scores["loss"] == pytest.approx(reference.mean_squared_error(labels, logits[:, 0]))


@pytest.mark.parametrize(
    ("kind", "labels", "logits"), [("single", [0, 1], np.eye(2)), ("regression", [0.0, 1.0], np.eye(2)[:, :1])]
)
def test_a_name_without_a_formula_is_not_scored_as_another_metric(
    kind: str, labels: list[float], logits: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KindSpec, "metrics", ("new",))
    place = "class_metric" if KINDS[kind].has_classes else "_correlation"
    message = f"'new' has no formula; add one to {place} in metrics.py"
    with pytest.raises(UserError, match=message):
        compute_metrics(["new"], logits, np.array(labels), KINDS[kind].name)
    for module in (kinds, metrics):
        monkeypatch.setattr(module, "LOWER_IS_BETTER", ("loss", "mse", "new"), raising=False)
    with pytest.raises(UserError, match=message):
        compute_metrics(["new"], logits, np.array(labels), KINDS[kind].name)


@pytest.mark.parametrize("name", ["accuracy", "f1", "macro_f1", "matthews", "loss"])
def test_weights_count_a_class_row_as_often_as_it_is_repeated(name: str) -> None:
    logits, labels = random_rows(1, 2, rows=30)
    counts = np.random.default_rng(5).multinomial(30, np.full(30, 1 / 30), size=7)
    weighted = weighted_metric(name, logits, labels, "single", counts.astype(float))
    for row, count in zip(weighted, counts, strict=True):
        repeated = np.repeat(np.arange(30), count)
        assert row == pytest.approx(compute_metrics([name], logits[repeated], labels[repeated], "single")[name])


@pytest.mark.parametrize("name", ["pearson", "spearman", "mse"])
def test_weights_count_a_regression_row_as_often_as_it_is_repeated(name: str) -> None:
    generator = np.random.default_rng(8)
    labels = generator.integers(0, 5, 40).astype(np.float32)
    logits = (labels[:, None] + generator.normal(size=(40, 1))).round(1)
    counts = generator.multinomial(40, np.full(40, 1 / 40), size=7)
    weighted = weighted_metric(name, logits, labels, "regression", counts.astype(float))
    for row, count in zip(weighted, counts, strict=True):
        repeated = np.repeat(np.arange(40), count)
        expected = compute_metrics([name], logits[repeated], labels[repeated], "regression")[name]
        assert row == pytest.approx(expected)


def test_constant_predictions_have_no_correlation_and_count_as_zero() -> None:
    logits = np.tile([[1.0, 0.0]], (6, 1))
    labels = np.array([0, 1, 0, 1, 1, 0])
    assert compute_metrics(["matthews", "f1"], logits, labels, "single") == {"matthews": 0.0, "f1": 0.0}
    scores = compute_metrics(["pearson", "spearman"], np.full((6, 1), 0.1), labels * 0.7, "regression")
    assert scores == {"pearson": 0.0, "spearman": 0.0}


def test_constant_labels_count_as_zero_too() -> None:
    logits = np.random.default_rng(0).normal(size=(6, 1)).astype(np.float32)
    assert compute_metrics(["pearson"], logits, np.full(6, 3.3), "regression") == {"pearson": 0.0}


def test_a_class_that_is_absent_and_never_predicted_is_left_out_of_macro_f1() -> None:
    logits, labels = np.eye(3)[[0, 1, 0, 1]], np.array([0, 1, 1, 1])
    expected = reference.f1_score(labels, logits.argmax(1), average="macro")
    assert compute_metrics(["macro_f1"], logits, labels, "pair")["macro_f1"] == pytest.approx(expected)


def test_an_offset_of_a_million_does_not_disturb_pearson() -> None:
    generator = np.random.default_rng(2)
    labels = generator.normal(size=50)
    logits = labels[:, None] + generator.normal(size=(50, 1))
    plain = compute_metrics(["pearson"], logits, labels, "regression")["pearson"]
    assert compute_metrics(["pearson"], logits + 1e6, labels, "regression")["pearson"] == pytest.approx(plain)


def test_large_logits_have_a_finite_loss() -> None:
    assert row_losses(np.array([[1000.0, 0.0]]), np.array([1]), "single") == pytest.approx([1000.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused_with_their_row(bad: float) -> None:
    logits = np.zeros((4, 2))
    logits[2, 1] = bad
    with pytest.raises(ValueError, match="row 2 are not finite"):
        compute_metrics(["accuracy"], logits, np.zeros(4, dtype=int), "single")


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="unlabelled rows"):
        compute_metrics(["accuracy"], np.zeros((2, 2)), np.array([0, -1]), "single")
    with pytest.raises(ValueError, match=r"0 to 1"):
        compute_metrics(["accuracy"], np.zeros((2, 2)), np.array([0, 2]), "single")
    with pytest.raises(ValueError, match=r"logits \(N, C\)"):
        compute_metrics(["mse"], np.zeros(2), np.zeros(2), "regression")
    with pytest.raises(ValueError, match=r"logits \(N, 1\)"):
        compute_metrics(["mse"], np.zeros((2, 2)), np.zeros(2), "regression")
    with pytest.raises(ValueError, match="N > 0"):
        compute_metrics(["accuracy"], np.zeros((0, 2)), np.zeros(0, dtype=int), "single")


def test_a_metric_that_the_kind_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(ValueError, match="allowed: loss, accuracy"):
        compute_metrics(["pearson"], np.zeros((2, 2)), np.array([0, 1]), "pair")
    with pytest.raises(ValueError, match="allowed: loss, pearson"):
        compute_metrics(["accuracy"], np.zeros((2, 1)), np.zeros(2), "regression")
    with pytest.raises(ValueError, match="macro_f1"):
        compute_metrics(["f1"], np.zeros((2, 3)), np.array([0, 1]), "pair")
