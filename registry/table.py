"""registered.json for a terminal: candidates and champions with every test of the gate, and how to pull one."""

from collections.abc import Iterator, Mapping
from typing import cast

from registry import names
from registry.trials import way_out
from reporting.verdict.check_result import STATES

Entry = Mapping[str, object]
WIDTH = max(map(len, STATES.values()))


def registered_table(result: Mapping[str, object]) -> str:
    """The table: what is wrong first."""
    students = cast(list[Entry], result["students"])
    trial = result.get("trial")
    if trial:
        lines = [f"Trial ({trial}): nothing registered; {way_out()}. What the gate would ask of it:"]
    else:
        lines = [f"Registered in {result['address']}" + ("" if result["reachable"] else " (does not answer)")]
    for champion in cast(list[Entry], result.get("unfit_champions", [])):
        lines += _unfit(champion)
    for student in students:
        if trial or (student["version"] is not None and student["aliases"]):
            lines += _student(student)
    champions = [str(student["name"]) for student in students if names.CHAMPION in cast(list[str], student["aliases"])]
    if champions:
        best = next((name for name in champions if name.endswith("-mpdistil")), champions[0])
        lines += ["", "Pull one:", f"  python -m flows pull {best}@{names.CHAMPION} --to outputs/pulled/{best}"]
    return "\n".join(lines) + "\n"


def take_away(name: object) -> str:
    """The command that leaves a registered model without a champion."""
    return f'python -m flows promote {name} --none --reason "..."'


def _unfit(champion: Entry) -> Iterator[str]:
    """A champion that the gate of today would not let in."""
    yield f"!! {champion['name']}: version {champion['version']} is champion and would NOT pass the gate"
    for text in cast(list[str], champion["failed"]):
        yield f"   {STATES[False]:<{WIDTH}}  {text}"
    yield f"   it stays until a candidate passes; to take the alias away now: {take_away(champion['name'])}"


def _student(student: Entry) -> Iterator[str]:
    """One student: its aliases, and the tests one by one; what was not asked in one line."""
    version = "" if student["version"] is None else f"  version {student['version']}"
    aliases = ", ".join(cast(list[str], student["aliases"]))
    yield f"  {student['name']}{version}  {aliases or 'seed ' + str(student['seed'])}"
    if student["gate"] and names.CHAMPION not in cast(list[str], student["aliases"]):
        yield f"    {str(student['gate']).partition('; ')[0]}"
    checks = cast(list[Entry], student.get("checks", []))
    for check in checks:
        if check["passed"] is not None:
            yield f"    {STATES[cast(bool, check['passed'])]:<{WIDTH}}  {check['text']}"
    unasked = [str(check["text"]) for check in checks if check["passed"] is None]
    if unasked:
        yield f"    {STATES[None]:<{WIDTH}}  {', '.join(unasked)}"
