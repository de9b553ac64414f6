"""Students and teachers with known scores over all rows and training seeds: the truth that intervals should cover.

Classes: a model has the true class where skill + difficulty of the row + its own noise is above 0, else one of the other
classes. Regression: a prediction is the label plus noise, of which half is the row's, the same for every model. Noise of
a student goes with that of its teacher. A seed's skill (or its logarithm of the noise) is drawn about the method's.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr

from errors import UserError
from kinds import KINDS, Floats, Kind
from metrics import class_metric

Relation = Literal["equal", "rare", "near", "far", "constant"]
SKILL = 1.1
FAR = 0.7
"""Skill that a far student lacks; 0.08 for a near one."""
NEAR = 0.08
TOGETHER = {"equal": 1.0, "rare": 1.0, "near": 0.9, "far": 0.3, "constant": 0.0}
"""Share of the teacher's noise in a student's. `constant`: the most frequent class in the teacher's place."""
RARE = 0.02
"""Share of the rows on which a student of relation `rare` is wrong and its teacher right; else both agree."""
NODES = np.polynomial.hermite_e.hermegauss(31)


@dataclass(frozen=True)
class PlantedPair:
    """A student and a teacher: `shares` of the classes ((1.0,): regression), `spread` of skill over training seeds."""

    relation: Relation
    shares: tuple[float, ...]
    spread: float

    @property
    def kind(self) -> Kind:
        return "regression" if len(self.shares) == 1 else "single"

    @property
    def skills(self) -> tuple[float, float]:
        """Of student and teacher, mean over seeds."""
        return SKILL - {"near": NEAR, "far": FAR}.get(self.relation, 0.0), SKILL


@dataclass(frozen=True)
class Drawn:
    """Rows with the logits of each seed, and the true metric of each side over all rows."""

    labels: np.ndarray
    students: list[np.ndarray]
    teachers: list[np.ndarray]
    skills: Floats
    """(S, 2), of student and teacher."""


def draw(pair: PlantedPair, rows: int, seeds: int, generator: np.random.Generator) -> Drawn:
    """Draw one dev set and its models."""
    shift = generator.normal(size=(seeds, 2)) * pair.spread
    if TOGETHER[pair.relation] == 1:
        shift[:, 0] = shift[:, 1]
    skills = np.array(pair.skills) + shift
    if not KINDS[pair.kind].has_classes:
        return _draw_regression(pair, rows, skills, generator)
    classes = len(pair.shares)
    labels = generator.choice(classes, size=rows, p=np.array(pair.shares) / sum(pair.shares))
    difficulty = np.sqrt(0.5) * generator.normal(size=rows)
    sides: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for own, other in skills:
        noise = generator.normal(size=rows)
        student = _mixed(noise, TOGETHER[pair.relation], generator)
        wrong = (labels + generator.integers(1, classes, rows)) % classes
        rarely = generator.random(rows) < (RARE if pair.relation == "rare" else 0.0)
        right = other + difficulty + np.sqrt(0.5) * noise > 0, own + difficulty + np.sqrt(0.5) * student > 0
        answers = np.where(right[0], labels, wrong) if pair.relation != "constant" else np.full(rows, _most(pair))
        sides[1].append(np.eye(classes)[answers])
        sides[0].append(np.eye(classes)[np.where(right[1] & ~rarely, labels, wrong)])
    return Drawn(labels, sides[0], sides[1], skills)


def _draw_regression(pair: PlantedPair, rows: int, skills: Floats, generator: np.random.Generator) -> Drawn:
    labels, shared = generator.normal(size=(2, rows))
    sides: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for own, other in skills:
        noise = generator.normal(size=rows)
        student = _mixed(noise, TOGETHER[pair.relation], generator)
        values = [
            labels + np.exp(-skill) * (shared + one) / np.sqrt(2) for skill, one in ((own, student), (other, noise))
        ]
        if pair.relation == "rare":
            values[0] = np.where(generator.random(rows) < RARE, generator.normal(size=rows), values[0])
        if pair.relation == "constant":
            values[1] = np.zeros(rows)
        sides[0].append(values[0][:, None])
        sides[1].append(values[1][:, None])
    return Drawn(labels, sides[0], sides[1], skills)


def _mixed(noise: Floats, together: float, generator: np.random.Generator) -> Floats:
    return together * noise + np.sqrt(1 - together**2) * generator.normal(size=len(noise))


def true_difference(metric: str, pair: PlantedPair, drawn: Drawn) -> float:
    """True metric over all rows: of this seed, or from two seeds on of all seeds (by quadrature over skill)."""
    if len(drawn.skills) == 1:
        own, other = (float(skill) for skill in drawn.skills[0])
        return _score(metric, pair, own, True) - _score(metric, pair, other, False)
    nodes, weights = NODES
    scores = [
        [_score(metric, pair, skill + pair.spread * float(node), student) for node in nodes]
        for skill, student in zip(pair.skills, (True, False), strict=True)
    ]
    return float((np.array(scores[0]) - np.array(scores[1])) @ weights / weights.sum())


def _most(pair: PlantedPair) -> int:
    """The most frequent class."""
    return int(np.argmax(pair.shares))


def _score(metric: str, pair: PlantedPair, skill: float, student: bool) -> float:
    if pair.relation == "constant" and not student:
        return _score_of_constant(metric, pair)
    rare = RARE if student and pair.relation == "rare" else 0.0
    if not KINDS[pair.kind].has_classes:
        return _correlation(metric, 1 / np.sqrt(1 + np.exp(-2 * skill)), np.sqrt(1 + np.exp(-2 * skill)), rare)
    classes, shares = len(pair.shares), np.array(pair.shares) / sum(pair.shares)
    right = float(ndtr(skill)) * (1 - rare)
    table = np.full((classes, classes), (1 - right) / (classes - 1))
    np.fill_diagonal(table, right)
    return float(class_metric(metric, (shares[:, None] * table)[None])[0])


def _score_of_constant(metric: str, pair: PlantedPair) -> float:
    """True score of a constant; correlations and Matthews are defined as 0."""
    if metric == "matthews" or not KINDS[pair.kind].has_classes:
        return 0.0
    table = np.zeros((1, len(pair.shares), len(pair.shares)))
    table[0, :, _most(pair)] = np.array(pair.shares) / sum(pair.shares)
    return float(class_metric(metric, table)[0])


def _correlation(metric: str, r: float, scale: float, rare: float) -> float:
    """Pearson of normal pairs of correlation r, with a share `rare` of predictions replaced by noise (sd `scale`)."""
    if metric == "pearson":
        return float((1 - rare) * r * scale / np.sqrt((1 - rare) * scale**2 + rare))
    if metric != "spearman":
        raise UserError(
            f"metric {metric!r} has no planted value; add one to _correlation in experiments/planted_pairs.py"
        )
    # P(concordant) of two normal predictions; of a pair of one and one of mere noise only the labels' part counts.
    whole = 6 / np.pi * np.arcsin(r / 2)
    return float(whole) if not rare else _rank_correlation_with_noise(r, scale, rare)


def _rank_correlation_with_noise(r: float, scale: float, rare: float) -> float:
    """Spearman, 12 E[F(x) G(y)] - 3, with x a mixture of two normals of which one is related to y."""
    inner = {  # E[Phi(x / s) Phi(y)] - 1/4 of a normal pair of variance scale^2 and 1, both covariances r * scale
        s: np.arcsin(r * scale / np.sqrt((s**2 + scale**2) * 2)) / (2 * np.pi) for s in (scale, 1.0)
    }
    return float(12 * (1 - rare) * ((1 - rare) * inner[scale] + rare * inner[1.0]))
