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
    """Final state of one stage."""

    name: str
    state: StageState
    seconds: float = 0.0
    note: str = ""
    """The reason, in brief."""
    changed: bool = False
    """True if its outputs may have changed, so that DVC must check the stages that read them."""
    tail: tuple[str, ...] = ()
    """The last lines of a stage that failed."""


@dataclass(frozen=True)
class Outcome:
    """All stages of a run in topological order."""

    stages: tuple[StageOutcome, ...]
    seconds: float = 0.0
    report: Path | None = None
    """The report's page, if this run made it or found it up to date."""
    gate: tuple[str, ...] = ()
    """The gate's sentences on candidates, and on champions that fail it now, one line each."""

    @property
    def failed(self) -> tuple[StageOutcome, ...]:
        """The stages whose command failed."""
        return tuple(stage for stage in self.stages if stage.state == "Failed")

    @property
    def complete(self) -> bool:
        """True if every stage ran or was cached."""
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
        """Return whether a stage is up to date after this run."""
        return any(stage.name == name and stage.state in ("Ran", "Cached") for stage in self.stages)


class PipelineFailed(RuntimeError):
    """A run with a failed stage; holds the outcome of each stage."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.headline)


class PipelineStopped(RuntimeError):
    """A run that was cancelled or interrupted; holds the known outcomes."""

    def __init__(self, message: str, outcome: Outcome | None = None) -> None:
        self.outcome = outcome
        super().__init__(message)


def newly_registered(root: Path) -> RegistrationRecord | None:
    """Read the result of the last `register`; None if there is none."""
    return read_if_whole(RegistrationRecord, root / REGISTERED)


def ordered(ended: dict[str, StageOutcome], names: Iterable[str]) -> tuple[StageOutcome, ...]:
    """Build the outcome in this order; a stage without a result was stopped."""
    return tuple(ended.get(name, StageOutcome(name, "Stopped", note="not started")) for name in names)
