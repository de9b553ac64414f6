"""Outcomes of the stages of one run of the flow."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from outputs import output_folder, read_if_whole
from records.registered import RegistrationRecord

StageState = Literal["Ran", "Cached", "Failed", "Skipped", "Stopped"]
STATES: tuple[StageState, ...] = ("Ran", "Cached", "Failed", "Skipped", "Stopped")
REGISTERED = output_folder("register") / RegistrationRecord.FILE


@dataclass(frozen=True)
class StageOutcome:
    """One stage at its end."""

    name: str
    state: StageState
    seconds: float = 0.0
    note: str = ""
    """The reason, in a few words."""
    changed: bool = False
    """Its outputs may differ from what they were, so DVC must look at the stages that read them."""
    tail: tuple[str, ...] = ()
    """The last lines of a stage that failed."""


@dataclass(frozen=True)
class Outcome:
    """All stages of a run, in an order in which they could run."""

    stages: tuple[StageOutcome, ...]
    seconds: float = 0.0
    report: Path | None = None
    """The report's page, if this run made it or found it up to date."""
    gate: tuple[str, ...] = ()
    """The gate's sentences on candidates, and on champions that would not pass it, a line each."""

    @property
    def failed(self) -> tuple[StageOutcome, ...]:
        """The stages whose command failed."""
        return tuple(stage for stage in self.stages if stage.state == "Failed")

    @property
    def complete(self) -> bool:
        """True if every stage is as it should be."""
        return all(stage.state in ("Ran", "Cached") for stage in self.stages)

    @property
    def headline(self) -> str:
        """One line: '24 stages: 3 ran, 19 cached, 1 failed (student@rte-mse_kd-42), 1 skipped'."""
        names = {"Failed": f" ({', '.join(stage.name for stage in self.failed)})"}
        counts = Counter(stage.state for stage in self.stages)
        parts = [f"{counts[state]} {state.lower()}{names.get(state, '')}" for state in STATES if counts[state]]
        stages = f"{len(self.stages)} stage{'s' * (len(self.stages) != 1)}"
        return f"{stages}: {', '.join(parts) or 'nothing to do'}"

    def up_to_date(self, name: str) -> bool:
        """Return whether this run brought a stage up to date, or found it so."""
        return any(stage.name == name and stage.state in ("Ran", "Cached") for stage in self.stages)


class PipelineFailed(RuntimeError):
    """A run in which a stage failed; holds the outcome of each."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.headline)


class PipelineStopped(RuntimeError):
    """A run that was cancelled or interrupted; holds the outcome of each stage, as far as it is known."""

    def __init__(self, message: str, outcome: Outcome | None = None) -> None:
        self.outcome = outcome
        super().__init__(message)


def newly_registered(root: Path) -> RegistrationRecord | None:
    """Read the result of the last `register`; None if it wrote nothing."""
    return read_if_whole(RegistrationRecord, root / REGISTERED)


def ordered(ended: dict[str, StageOutcome], names: Iterable[str]) -> tuple[StageOutcome, ...]:
    """Sort stages in this order; one of which nothing is known was stopped."""
    return tuple(ended.get(name, StageOutcome(name, "Stopped", note="not started")) for name in names)
