"""Propositions 1 and 2 of MPDistil, checked on stored rows; both concern classification.

    1   E[L_col] < E[L_com]  =>  E[p_S] > E[p_T]        p of the true class, by T' on the quiz rows
    2   E[R_binary] >= E[R_real]                        rewards of the curriculum's steps

Proposition 1 is false: its proof needs E log x > 0 to follow from log E x > 0, which is the wrong way round (docs/papers.md has
a counterexample). With Eq. 2 and 3 as printed its premise says E[log p_S] > E[log p_T], and no more. Proposition 2 holds row by
row: p_S - p_T is at most 1 where it is positive, and at most 0 elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinds import KINDS, Floats
from reporting.gather import DatasetOutputs
from reporting.method_records import Records

SMALLEST = 1e-12
"""Lower bound of a probability under a logarithm."""
ROUNDING = 1e-6
"""Tolerance: rewards are means of float32."""


@dataclass(frozen=True)
class FirstProposition:
    """Means over the quiz rows of one dataset and seed: both losses, log p and p of student and teacher."""

    dataset: str
    seed: int
    rows: int
    collaborative: float
    competitive: float
    student_log: float
    teacher_log: float
    student: float
    teacher: float

    @property
    def premise(self) -> bool:
        return self.collaborative < self.competitive

    @property
    def conclusion(self) -> bool:
        return self.student > self.teacher


@dataclass(frozen=True)
class SecondProposition:
    """Mean rewards of all steps of one dataset over seeds, and the number of steps in which binary is the lower one."""

    dataset: str
    steps: int
    binary: float
    real: float
    binary_lower: int


def first_proposition(dataset: str, seed: int, teacher: Floats, student: Floats) -> FirstProposition:
    """From probabilities of the true class, two (N,)."""
    of_teacher, of_student = (float(np.log(np.maximum(p, SMALLEST)).mean()) for p in (teacher, student))
    return FirstProposition(
        dataset=dataset,
        seed=seed,
        rows=len(teacher),
        collaborative=-(of_teacher + of_student) / 2,
        competitive=-(2 * of_teacher - of_student),
        student_log=of_student,
        teacher_log=of_teacher,
        student=float(student.mean()),
        teacher=float(teacher.mean()),
    )


def first_propositions(outputs: Sequence[DatasetOutputs], records: Sequence[Records]) -> list[FirstProposition]:
    """Check every classification dataset and seed whose meta-teacher stored both probabilities."""
    return [
        first_proposition(one.name, seed, *record.quiz_scores)
        for one, its in zip(outputs, records, strict=True)
        if KINDS[one.kind].has_classes
        for seed, record in its.curricula.items()
        if record.quiz_scores is not None
    ]


def second_propositions(outputs: Sequence[DatasetOutputs], records: Sequence[Records]) -> list[SecondProposition]:
    """Check every classification dataset whose curricula stored both rewards."""
    found: list[SecondProposition] = []
    for one, its in zip(outputs, records, strict=True):
        levels = np.array([pair for record in its.curricula.values() for pair in record.levels])
        if not KINDS[one.kind].has_classes or not len(levels):
            continue
        binary, real = levels.T
        lower = int((binary < real - ROUNDING).sum())
        found.append(SecondProposition(one.name, len(levels), float(binary.mean()), float(real.mean()), lower))
    return found
