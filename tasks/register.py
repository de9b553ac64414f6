"""register: every student in MLflow's registry with its evidence, without duplicates.

    python -m tasks.register

Reads: what evaluate and the stages before it left under outputs/. Writes: a run and a model version for each student
that the registry does not hold, the aliases `candidate` and `champion`, and outputs/register with registered.json,
versions.json (what the report shows of it), table.txt (the same for a terminal), metrics.json, run.json.

Always run: a student that DVC took from its cache was not registered by that. A tracking server that does not answer
stops nothing: the files stay the record, and the next run catches up.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from errors import UserError
from outputs import output_folder
from records.registered import Check, RegisterMetrics, RegistrationRecord
from registry import names
from registry.aliases import replace_lost_champion, set_candidate, set_champion
from registry.connection import (
    REGISTERING,
    RegistryUnreachable,
    connect,
    explained,
    lock_folder,
    locked,
    tracking_address,
)
from registry.evidence import EvaluatedStudent, find_students
from registry.experiment import open_experiment
from registry.gate_tags import champion_failures, note_checks
from registry.lineage import checkout
from registry.model_state import ModelState, StoredVersion, read_model_states
from registry.registration_result import RegistrationProgress, registered
from registry.runs import finish_interrupted
from registry.stored_files import locate, missing_files, student_sizes
from registry.table import registered_table
from registry.trials import trial, way_out
from registry.up_to_date import state_of, unchanged
from registry.versions import Registration, mark_lost
from reporting.verdict.own_checks import own_checks
from tasks.runtime.stage import Stage, run_stage

if TYPE_CHECKING:
    from mlflow import MlflowClient

WAITING = "another registration is at work; waiting for it"


def register(stage: Stage) -> None:
    """Register new students, and set the aliases."""
    students, missing = find_students(stage.parameters)
    if missing:
        stage.say(f"not registered: {'; '.join(missing)}")
    if not students:
        raise UserError("no student of params.yaml has been evaluated; run `dvc repro`")
    for student in students:
        stage.read(student.evaluated)
        stage.read(student.tokens)
    address = tracking_address()
    checks = {student.key: _own_checks(student, stage) for student in students}
    result = _result_of(stage, students, checks, address)
    stage.write(result)
    stage.write(result.shown)
    (stage.folder / "table.txt").write_text(registered_table(result), encoding="utf-8")
    stage.write(
        RegisterMetrics(students=len(students), new=result.new, missing=len(missing), reachable=result.reachable)
    )
    stage.headline = _headline(result, len(missing))


def _own_checks(student: EvaluatedStudent, stage: Stage) -> tuple[Check, ...]:
    """The gate's tests of a student's dev rows."""
    try:
        return own_checks(student.dev_rows, stage.parameters.registry)
    except (KeyError, ValueError, OSError) as error:
        raise UserError(f"{student.evaluated}: {error}; run evaluate again") from None


def _result_of(
    stage: Stage, students: Sequence[EvaluatedStudent], checks: Mapping[str, tuple[Check, ...]], address: str
) -> RegistrationRecord:
    """The registration: of a trial without the registry, reused from the last one, or a new one."""
    of_trial = None if stage.parameters.registry.trials else trial()
    if of_trial is not None:
        return registered(students, RegistrationProgress(checks), address, reachable=True).model_copy(
            update={"trial": of_trial}
        )
    return unchanged(output_folder("register"), address, students, stage.parameters) or _registered(
        stage, students, checks, address
    )


def _registered(
    stage: Stage, students: Sequence[EvaluatedStudent], checks: Mapping[str, tuple[Check, ...]], address: str
) -> RegistrationRecord:
    """Fill the registry."""
    done, reachable = RegistrationProgress(checks), True
    try:
        client = connect()
        with locked(lock_folder(address) / REGISTERING, WAITING), explained(address):
            fill(client, students, stage, done, address)
    except RegistryUnreachable as error:
        reachable = False
        stage.say(f"{error}; the files under outputs/ stay the record, and the next run catches up")
    return registered(students, done, address, reachable)


def fill(
    client: "MlflowClient", students: Sequence[EvaluatedStudent], stage: Stage, done: RegistrationProgress, address: str
) -> None:
    """The part of a registration that needs the registry; keeps `done` up to date."""
    parameters, wanted = stage.parameters, list(dict.fromkeys(student.name for student in students))
    states = partial(read_model_states, client, f"{parameters.benchmark}-%", wanted)
    before = done.model_states = states()
    experiment = open_experiment(client, parameters.benchmark, address, stage.say)
    for student in students:
        known = before[student.name].holds(student.key)
        if known is not None and _has_files(client, student, known, stage, done):
            done.versions[student.key] = known
    leftovers = finish_interrupted(client, experiment)
    if leftovers:
        stage.say(f"deleted {leftovers} unfinished run{'s' * (leftovers > 1)} of an interrupted registration")
    new = [student for student in students if student.key not in done.versions]
    if new:
        done.model_states = states()  # with what was marked just now
        _register_new(Registration(client, experiment, parameters, checkout()), new, stage, done)
        done.model_states = states()
    for name in wanted:
        own = {done.versions[student.key].number: student for student in students if student.name == name}
        model_state = replace_lost_champion(client, done.model_states[name], before[name])
        _check_champion(client, model_state, own, stage)
        candidate = set_candidate(client, model_state, own, parameters.selected_by)
        _test_champion(client, model_state, own, stage, done)
        _, unfit = done.unfit.get(name, (None, ()))
        student = own[candidate]
        done.gates[name] = set_champion(
            client, model_state, before[name], candidate, student, done.checks[student.key], parameters.registry, unfit
        )
        done.candidates[name] = candidate
    folders = _folders(client, students, done)
    # Looked up before the last question: what somebody else writes from here on is seen as a change by the next run.
    done.state = state_of(address, students, parameters, folders)
    done.model_states = states()


def _has_files(
    client: "MlflowClient", student: EvaluatedStudent, version: StoredVersion, stage: Stage, done: RegistrationProgress
) -> bool:
    """Check the files of a student's version; mark it if some are missing, so that the student is registered again."""
    location = locate(client, student.name, version)
    missing = missing_files(location, student_sizes(student.model))
    if missing:
        stage.say(f"{student.title}: {mark_lost(client, student.name, version, location, missing)}; registered again")
        return False
    done.locations[student.key] = location
    return True


def _check_champion(
    client: "MlflowClient", model_state: ModelState, own: Mapping[int, EvaluatedStudent], stage: Stage
) -> None:
    """Warn if the champion's files are missing and its student is not in the outputs: a person must choose."""
    champion = model_state.aliases.get(names.CHAMPION)
    version = model_state.versions.get(champion) if champion is not None else None
    if version is None or version.number in own or names.KEY not in version.tags:
        return
    location = locate(client, model_state.name, version)
    if missing := missing_files(location, {}):
        what = mark_lost(client, model_state.name, version, location, missing)
        stage.say(
            f"{what}; it is the champion, and its student is not among the outputs: make another one the champion "
            f'(`python -m flows promote {model_state.name} VERSION --reason "..."`)'
        )


def _test_champion(
    client: "MlflowClient",
    model_state: ModelState,
    own: Mapping[int, EvaluatedStudent],
    stage: Stage,
    done: RegistrationProgress,
) -> None:
    """Apply today's tests of the gate to the present champion and the students' versions."""
    settings, tested = stage.parameters.registry, {number: done.checks[one.key] for number, one in own.items()}
    for number, checks in tested.items():
        note_checks(client, model_state.name, model_state.versions[number], checks, settings)
    if unfit := champion_failures(client, model_state, tested, next(iter(own.values())), settings):
        done.unfit[model_state.name] = (model_state.aliases[names.CHAMPION], unfit)


def _folders(
    client: "MlflowClient", students: Sequence[EvaluatedStudent], done: RegistrationProgress
) -> list[str] | None:
    """Folders with the files of all versions; None if some are not on this machine."""
    found: list[str] = []
    for student in students:
        known = done.locations.get(student.key)
        folders = (known or locate(client, student.name, done.versions[student.key])).folders
        if folders is None:
            return None
        found += folders
    return found


def _register_new(
    registration: Registration, new: Sequence[EvaluatedStudent], stage: Stage, done: RegistrationProgress
) -> None:
    """Log and register students that are not in the registry."""
    for student in new:
        lost = done.model_states[student.name].lost(student.key)
        version = registration.register(student, done.checks[student.key], lost)
        done.versions[student.key] = version
        done.new.add(student.key)
        stage.say(f"{student.title}: version {version.number} of {student.name}")


def _headline(result: RegistrationRecord, missing: int) -> str:
    if result.trial:
        return f"trial ({result.trial}): nothing registered; {way_out()}"
    left_out = f", {missing} missing" if missing else ""
    gone = "" if result.reachable else ", the registry does not answer"
    unfit = len(result.unfit_champions)
    told = f", {unfit} champion{'s' * (unfit > 1)} would NOT pass the gate (table.txt)" if unfit else ""
    return f"{result.new} new of {len(result.students)} students{left_out}{gone}{told}"


if __name__ == "__main__":
    run_stage("register", register)
