"""Records of register."""

from dataclasses import dataclass
from typing import ClassVar

from records.base import Record, RecordPart

CHAMPION = "champion"
"""Alias of the version that users load."""
STATES = {True: "passed", False: "failed", None: "not asked"}


@dataclass(frozen=True)
class Check:
    """One test of the gate on one student."""

    name: str
    """One of `reporting.verdict.check_result.NAMES`."""
    passed: bool | None
    """None: not applicable; `text` gives the reason."""
    figure: str
    """Measured value, with its unit and interval."""
    threshold: str
    """Threshold, with the key that sets it."""
    text: str
    """One clause with both."""

    @property
    def state(self) -> str:
        """'passed', 'failed' or 'not asked'."""
        return STATES[self.passed]


class RegisterMetrics(Record):
    """metrics.json of register."""

    students: int
    new: int
    missing: int
    reachable: bool


class RegisteredStudent(RecordPart):
    """One student of params.yaml; version and later fields are None if it has none, or the server went away before."""

    dataset: str
    method: str
    seed: int
    name: str
    """The registered model."""
    version: int | None
    new: bool
    aliases: tuple[str, ...]
    gate: str | None
    """The gate's sentence, with the comparison with the present champion."""
    checks: tuple[Check, ...]
    run_id: str | None
    url: str | None

    @property
    def pull(self) -> str | None:
        """The command that downloads it: the champion by its alias, others by number."""
        if self.version is None:
            return None
        model = f"{self.name}@{CHAMPION}" if CHAMPION in self.aliases else f"models:/{self.name}/{self.version}"
        return f"python -m flows pull {model} --to outputs/pulled/{self.name}"


class UnfitChampion(RecordPart):
    """A champion that would fail the gate today."""

    name: str
    version: int
    failed: tuple[str, ...]
    """The tests that it fails, one clause each."""

    @property
    def sentence(self) -> str:
        return f"!! {self.name}: version {self.version} is champion and would NOT pass the gate"


class RegistryState(RecordPart):
    """Inputs of a registration; see `registry.up_to_date`."""

    database: tuple[tuple[int, int, int], ...]
    """Modification time, size and inode of its files."""
    path: str
    """Identity of the database: a copy of a registry is a different one."""
    folders: tuple[str, ...]
    """Folders with the files of the students' versions."""
    files: str
    """Checksum over the names and sizes of all files in them."""
    students: tuple[str, ...]
    """Keys; the first of equal ones is the candidate."""
    settings: str


class RegistrationRecord(Record):
    """registered.json: the result of a registration, with every test of the gate for every student."""

    FILE: ClassVar[str] = "registered.json"
    address: str
    reachable: bool
    students: tuple[RegisteredStudent, ...]
    unfit_champions: tuple[UnfitChampion, ...]
    trial: str | None
    """Name of the trial, whose students are not registered."""
    new: int
    state: RegistryState | None

    @property
    def shown(self) -> "ShownVersions":
        """The part for the report."""
        kept = set(ShownVersion.model_fields) - {"pull"}
        students = tuple(ShownVersion(**one.model_dump(include=kept), pull=one.pull) for one in self.students)
        # Not the trial's name, which is drawn anew each time.
        return ShownVersions(reachable=self.reachable, trial=bool(self.trial), students=students)


class ShownVersion(RecordPart):
    """A student as shown in the report; see `RegisteredStudent`."""

    dataset: str
    method: str
    seed: int
    name: str
    version: int | None
    aliases: tuple[str, ...]
    gate: str | None
    pull: str | None


class ShownVersions(Record):
    """versions.json: the report's data on registered versions. Unchanged while nothing new is registered.

    DVC runs the report again when this file changes, so what differs from run to run (what is new, times, addresses) isn't
    in it.
    """

    FILE: ClassVar[str] = "versions.json"
    reachable: bool
    trial: bool
    students: tuple[ShownVersion, ...]
