"""Result of one test of a student, and the sentence on all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from records.registered import Check

LIMITS = "limits"
ROWS = "enough rows"
TEACHER = "teacher above the majority"
STUDENT = "student above the majority"
MARGIN = "margin to its teacher"
FINETUNE = "not worse than finetune"
CHAMPION = "present champion"
NAMES = (LIMITS, ROWS, TEACHER, STUDENT, MARGIN, FINETUNE, CHAMPION)
"""All tests, in order."""


@dataclass(frozen=True)
class Verdict:
    """All tests of one student. A test that does not apply blocks nothing."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """True if no test failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The failed tests."""
        return tuple(check for check in self.checks if check.passed is False)

    @property
    def text(self) -> str:
        """All tests in one sentence, the decisive ones first."""
        groups = ((state, [check.text for check in self.checks if check.state == state]) for state in _ORDER)
        return "; ".join(f"{state}: {', '.join(texts)}" for state, texts in groups if texts)


_ORDER = ("failed", "passed", "not asked")


def unasked(name: str, why: str, threshold: str = "") -> Check:
    """A test that does not apply."""
    return Check(name, None, "", threshold, f"{name} ({why})")


def names_of(checks: Sequence[Check]) -> str:
    """The names of tests, for a line."""
    return ", ".join(check.name for check in checks)
