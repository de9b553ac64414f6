"""registered.json: the result of a registration, with every test of the gate for every student."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from paths import without_password
from records.registered import Check, RegisteredStudent, RegistrationRecord, RegistryState, UnfitChampion
from registry import names
from registry.connection import is_server
from registry.evidence import EvaluatedStudent
from registry.gate_tags import champion_check
from registry.model_state import ModelState, StoredVersion
from registry.stored_files import Location


@dataclass
class RegistrationProgress:
    """Progress of a registration, kept if the server goes away."""

    checks: Mapping[str, tuple[Check, ...]]
    """The gate's tests of each student, by its key."""
    versions: dict[str, StoredVersion] = field(default_factory=dict)
    """Versions by the student's key."""
    locations: dict[str, Location] = field(default_factory=dict)
    """Locations of the files of versions that existed before, by the student's key."""
    new: set[str] = field(default_factory=set)
    unfit: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    """Registered model -> its champion before the gate, and the tests that it fails itself."""
    model_states: Mapping[str, ModelState] = field(default_factory=dict)
    gates: dict[str, str | None] = field(default_factory=dict)
    """Registered model -> the gate's sentence on its candidate."""
    candidates: dict[str, int] = field(default_factory=dict)
    state: RegistryState | None = None
    """Inputs of the registration; see `registry.up_to_date`."""


def registered(
    students: Sequence[EvaluatedStudent], done: RegistrationProgress, address: str, reachable: bool
) -> RegistrationRecord:
    """Collect the result of a registration."""
    return RegistrationRecord(
        address=without_password(address),
        reachable=reachable,
        students=tuple(_entry(student, done, address) for student in students),
        unfit_champions=_unfit(done),
        trial=None,
        new=len(done.new),
        state=done.state,
    )


def _unfit(done: RegistrationProgress) -> tuple[UnfitChampion, ...]:
    """The champions that fail the gate's tests and remain champions."""
    held = {name: model_state.aliases.get(names.CHAMPION) for name, model_state in done.model_states.items()}
    return tuple(
        UnfitChampion(name=name, version=tested, failed=tuple(failed))
        for name, (tested, failed) in done.unfit.items()
        if held.get(name) == tested
    )


def _entry(student: EvaluatedStudent, done: RegistrationProgress, address: str) -> RegisteredStudent:
    version, model_state = done.versions.get(student.key), done.model_states.get(student.name, ModelState(student.name))
    number = version.number if version else None
    is_candidate = number is not None and done.candidates.get(student.name) == number
    gate = done.gates.get(student.name) if is_candidate else version.tags.get(names.GATE) if version else None
    compared = (
        champion_check(model_state.versions[number].tags) if is_candidate and number in model_state.versions else None
    )
    against = () if compared is None else (compared,)
    shown = without_password(address).replace("***@", "")
    page = f"{shown.rstrip('/')}/#/models/{student.name}/versions/{number}" if is_server(address) and number else None
    return RegisteredStudent(
        dataset=student.dataset,
        method=student.method,
        seed=student.seed,
        name=student.name,
        version=number,
        new=student.key in done.new,
        aliases=tuple(sorted(alias for alias, held in model_state.aliases.items() if held == number)),
        gate=gate,
        checks=(*done.checks[student.key], *against),
        run_id=version.run_id if version else None,
        url=page,
    )
