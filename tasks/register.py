"""register: every student in MLflow's registry with the evidence for it; nothing twice.

    python -m tasks.register

Reads: what evaluate and the stages before it left under outputs/. Writes: a run and a model version for each student
that the registry does not hold, the aliases `candidate` and `champion`, and outputs/register with registered.json,
versions.json (what the report shows of it), table.txt (the same for a terminal), metrics.json, run.json.

Always run: a student that DVC took from its cache was not registered by that. A tracking server that does not answer
stops nothing: the files stay the record, and the next run catches up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from places import without_password
from tasks.registry import names, shown
from tasks.registry.aliases import replace_lost_champion, set_candidate, set_champion
from tasks.registry.connection import (
    REGISTERING,
    RegistryError,
    RegistryUnreachable,
    connect,
    explained,
    is_server,
    lock_folder,
    locked,
    tracking_address,
)
from tasks.registry.evidence import Student, find_students
from tasks.registry.experiment import open_experiment
from tasks.registry.lineage import checkout
from tasks.registry.runs import finish_interrupted
from tasks.registry.shelves import Shelf, Version, read_shelves
from tasks.registry.stored_files import Location, locate, missing_files, student_sizes
from tasks.registry.unchanged import STATE, state_of, unchanged
from tasks.registry.versions import Registration, mark_lost
from tasks.running.layout import output_folder
from tasks.running.stage import Stage, StageError, run_stage

if TYPE_CHECKING:
    from mlflow import MlflowClient

WAITING = "another registration is at work; waiting for it"


@dataclass
class Progress:
    """What was done so far; it stands if the server goes away in the middle."""

    versions: dict[str, Version] = field(default_factory=dict)
    """By the student's key."""
    locations: dict[str, Location] = field(default_factory=dict)
    """Of versions that were there before, by the student's key."""
    new: set[str] = field(default_factory=set)
    shelves: Mapping[str, Shelf] = field(default_factory=dict)
    gates: dict[str, str | None] = field(default_factory=dict)
    """The gate's sentence on a registered model's candidate."""
    candidates: dict[str, int] = field(default_factory=dict)
    state: dict[str, object] | None = None
    """What the registration found and left; see `tasks.registry.unchanged`."""


def register(stage: Stage) -> None:
    """Register what is new, and set the aliases."""
    students, missing = find_students(stage.parameters)
    if missing:
        stage.say(f"not registered: {'; '.join(missing)}")
    if not students:
        raise StageError("no student of params.yaml has been evaluated; run `dvc repro`")
    for student in students:
        stage.read(student.evaluated)
        stage.read(student.tokens)
    address = tracking_address()
    previous = output_folder("register") / "registered.json"
    result = unchanged(previous, address, students, stage.parameters) or _registered(stage, students, address)
    stage.write_json("registered.json", result)
    stage.write_json(shown.FILE, shown.shown_versions(result))
    (stage.folder / "table.txt").write_text(registered_table(result), encoding="utf-8")
    counts = {"students": len(students), "new": cast(int, result["new"]), "missing": len(missing)}
    stage.write_metrics({**counts, "reachable": result["reachable"]})
    stage.headline = _headline(counts, bool(result["reachable"]))


def _registered(stage: Stage, students: Sequence[Student], address: str) -> dict[str, object]:
    """Fill the registry, and what registered.json says of it."""
    done, reachable = Progress(), True
    try:
        client = connect()
        with locked(lock_folder(address) / REGISTERING, WAITING), explained(address):
            fill(client, students, stage, done, address)
    except RegistryUnreachable as error:
        reachable = False
        stage.say(f"{error}; the files under outputs/ stay the record, and the next run catches up")
    except RegistryError as error:
        raise StageError(str(error)) from None
    return _result(students, done, address, reachable)


def fill(client: "MlflowClient", students: Sequence[Student], stage: Stage, done: Progress, address: str) -> None:
    """Everything that needs the registry; `done` is kept up to date."""
    parameters, wanted = stage.parameters, list(dict.fromkeys(student.name for student in students))
    before = done.shelves = read_shelves(client, f"{parameters.benchmark}-%", wanted)
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
        done.shelves = read_shelves(client, f"{parameters.benchmark}-%", wanted)  # with what was marked just now
        _register_new(Registration(client, experiment, parameters, checkout()), new, stage, done)
        done.shelves = read_shelves(client, f"{parameters.benchmark}-%", wanted)
    for name in wanted:
        own = {done.versions[student.key].number: student for student in students if student.name == name}
        shelf = replace_lost_champion(client, done.shelves[name], before[name])
        _check_champion(client, shelf, own, stage)
        candidate = set_candidate(client, shelf, own)
        done.gates[name] = set_champion(client, shelf, before[name], candidate, own[candidate], parameters.registry)
        done.candidates[name] = candidate
    folders = _folders(client, students, done)
    # Looked up before the last question: what somebody else writes from here on is seen as a change by the next run.
    done.state = state_of(address, students, parameters, folders)
    done.shelves = read_shelves(client, f"{parameters.benchmark}-%", wanted)


def _has_files(client: "MlflowClient", student: Student, version: Version, stage: Stage, done: Progress) -> bool:
    """Whether the files of a student's version are there; if not, it is marked, for the student to be registered again."""
    location = locate(client, student.name, version)
    missing = missing_files(location, student_sizes(student.model))
    if missing:
        stage.say(f"{student.title}: {mark_lost(client, student.name, version, location, missing)}; registered again")
        return False
    done.locations[student.key] = location
    return True


def _check_champion(client: "MlflowClient", shelf: Shelf, own: Mapping[int, Student], stage: Stage) -> None:
    """Say so if the champion's files are gone and its student is none of those at hand, so that a person must choose."""
    champion = shelf.aliases.get(names.CHAMPION)
    version = shelf.versions.get(champion) if champion is not None else None
    if version is None or version.number in own or names.KEY not in version.tags:
        return
    location = locate(client, shelf.name, version)
    if missing := missing_files(location, {}):
        what = mark_lost(client, shelf.name, version, location, missing)
        stage.say(
            f"{what}; it is the champion, and its student is not among the outputs: make another one the champion "
            f'(`python -m flows promote {shelf.name} VERSION --reason "..."`)'
        )


def _folders(client: "MlflowClient", students: Sequence[Student], done: Progress) -> list[str] | None:
    """Folders with the files of all versions; None if some are not on this machine."""
    found: list[str] = []
    for student in students:
        known = done.locations.get(student.key)
        folders = (known or locate(client, student.name, done.versions[student.key])).folders
        if folders is None:
            return None
        found += folders
    return found


def _register_new(registration: Registration, new: Sequence[Student], stage: Stage, done: Progress) -> None:
    """Log and register students that the registry does not hold."""
    for student in new:
        version = registration.register(student, done.shelves[student.name].lost(student.key))
        done.versions[student.key] = version
        done.new.add(student.key)
        stage.say(f"{student.title}: version {version.number} of {student.name}")


def _result(students: Sequence[Student], done: Progress, address: str, reachable: bool) -> dict[str, object]:
    """registered.json."""
    return {
        "address": without_password(address),
        "reachable": reachable,
        "students": [_entry(student, done, address) for student in students],
        "new": len(done.new),
        STATE: done.state,
    }


def _entry(student: Student, done: Progress, address: str) -> dict[str, object]:
    """One student's line of registered.json; version and what follows are null if the server was gone before."""
    version, shelf = done.versions.get(student.key), done.shelves.get(student.name, Shelf(student.name))
    number = version.number if version else None
    aliases = sorted(alias for alias, held in shelf.aliases.items() if held == number)
    is_candidate = number is not None and done.candidates.get(student.name) == number
    gate = done.gates.get(student.name) if is_candidate else version.tags.get(names.GATE) if version else None
    shown = without_password(address).replace("***@", "")
    page = f"{shown.rstrip('/')}/#/models/{student.name}/versions/{number}" if is_server(address) and number else None
    return {
        "dataset": student.dataset,
        "method": student.method,
        "seed": student.seed,
        "name": student.name,
        "version": number,
        "new": student.key in done.new,
        "aliases": aliases,
        "gate": gate,
        "run_id": version.run_id if version else None,
        "url": page,
    }


def registered_table(result: Mapping[str, object]) -> str:
    """registered.json for a terminal: candidates and champions, why a candidate is no champion, and how to pull one."""
    students = cast(list[dict[str, object]], result["students"])
    lines = [f"Registered in {result['address']}" + ("" if result["reachable"] else " (does not answer)")]
    width = max(len(str(student["name"])) for student in students)
    for student in students:
        aliases = cast(list[str], student["aliases"])
        if student["version"] is not None and aliases:
            lines.append(f"  {student['name']:<{width}}  version {student['version']}  {', '.join(aliases)}")
            if names.CHAMPION not in aliases and student["gate"]:
                lines.append(f"  {'':<{width}}  {student['gate']}")
    champions = [str(student["name"]) for student in students if names.CHAMPION in cast(list[str], student["aliases"])]
    if champions:
        best = next((name for name in champions if name.endswith("-mpdistil")), champions[0])
        lines += ["", "Pull one:", f"  python -m flows pull {best}@{names.CHAMPION} --to outputs/pulled/{best}"]
    return "\n".join(lines) + "\n"


def _headline(counts: Mapping[str, int], reachable: bool) -> str:
    missing = f", {counts['missing']} missing" if counts["missing"] else ""
    gone = "" if reachable else ", the registry does not answer"
    return f"{counts['new']} new of {counts['students']} students{missing}{gone}"


if __name__ == "__main__":
    run_stage("register", register, keys=(), sections=("benchmark", "datasets", "methods", "seeds", "registry"))
