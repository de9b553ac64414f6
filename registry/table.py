"""registered.json for a terminal: candidates and champions with every test of the gate, and how to pull one."""

from collections.abc import Iterator

from config.methods import CURRICULA
from records.registered import CHAMPION, STATES, RegisteredStudent, RegistrationRecord, UnfitChampion
from registry.trials import way_out

WIDTH = max(map(len, STATES.values()))


def registered_table(result: RegistrationRecord) -> str:
    """The whole table, problems first."""
    if result.trial:
        lines = [f"Trial ({result.trial}): nothing registered; {way_out()}. What the gate would ask of it:"]
    else:
        lines = [f"Registered in {result.address}" + ("" if result.reachable else " (does not answer)")]
    for champion in result.unfit_champions:
        lines += _unfit(champion)
    for student in result.students:
        if result.trial or (student.version is not None and student.aliases):
            lines += _student(student)
    champions = [student for student in result.students if CHAMPION in student.aliases]
    if champions:
        best = next((one for one in champions if one.method in CURRICULA), champions[0])
        lines += ["", "Pull one:", f"  {best.pull}"]
    return "\n".join(lines) + "\n"


def _unfit(champion: UnfitChampion) -> Iterator[str]:
    """A champion that would fail the gate today."""
    yield champion.sentence
    for text in champion.failed:
        yield f"   {STATES[False]:<{WIDTH}}  {text}"
    take_away = f'python -m flows promote {champion.name} --none --reason "..."'
    yield f"   it stays until a candidate passes; to take the alias away now: {take_away}"


def _student(student: RegisteredStudent) -> Iterator[str]:
    """One student: aliases and tests, one per line; tests that don't apply in one line."""
    version = "" if student.version is None else f"  version {student.version}"
    yield f"  {student.name}{version}  {', '.join(student.aliases) or f'seed {student.seed}'}"
    if student.gate and CHAMPION not in student.aliases:
        yield f"    {student.gate.partition('; ')[0]}"
    for check in student.checks:
        if check.passed is not None:
            yield f"    {check.state:<{WIDTH}}  {check.text}"
    unasked = [check.text for check in student.checks if check.passed is None]
    if unasked:
        yield f"    {STATES[None]:<{WIDTH}}  {', '.join(unasked)}"
