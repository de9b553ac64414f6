"""The aliases `candidate` and `champion` of a registered model, and the history of `champion`.

The history is in tags of the registered model, one for each time that the champion changed. An alias that is elsewhere
than the last of them says was moved outside of distilflow, which counts as moved by hand.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from config.parameters import Registry
from epoch_choice import SelectedBy, SelectionRule
from records.evaluated import PREDICTIONS
from records.registered import Check
from registry import names
from registry.evidence import EvaluatedStudent
from registry.gate import Holder, Judged, Losses, judge, read_losses
from registry.gate_tags import note_checks, of_evidence, set_tags, settings_text
from registry.model_state import ModelState, StoredVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient

BY_GATE, BY_HAND = "gate", "hand"
OUTSIDE = "the alias was moved outside of distilflow"


@dataclass(frozen=True)
class Move:
    """One move of the champion."""

    version: int | None
    """None: the alias was removed."""
    previous: int | None
    by: str
    """BY_GATE or BY_HAND."""
    reason: str
    newest: int
    """The highest version number at that time: later versions are new."""
    at: str = ""
    """UTC; the end of the tag's name."""


def history(model_state: ModelState) -> list[Move]:
    """All moves of the champion, oldest first."""
    tags = sorted((key, value) for key, value in model_state.tags.items() if key.startswith(names.MOVED))
    return [replace(Move(**json.loads(value)), at=key.removeprefix(names.MOVED)) for key, value in tags]


def move_champion(client: "MlflowClient", name: str, move: Move) -> Move:
    """Set the alias, then record it: a kill between the two looks like a move from outside."""
    if move.version is None:
        client.delete_registered_model_alias(name, names.CHAMPION)
    else:
        client.set_registered_model_alias(name, names.CHAMPION, str(move.version))
    return record(client, name, move)


def record(client: "MlflowClient", name: str, move: Move) -> Move:
    """Note a move in the history."""
    noted = replace(move, at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")
    client.set_registered_model_tag(name, names.MOVED + noted.at, _content(noted))
    return noted


def _content(move: Move) -> str:
    """The value of a move's tag."""
    return json.dumps({key: value for key, value in asdict(move).items() if key != "at"})


def set_candidate(
    client: "MlflowClient", model_state: ModelState, students: Mapping[int, EvaluatedStudent], by: SelectedBy
) -> int:
    """Point `candidate` at the best version on selection, the first if several are equal; return its number."""
    metric = next(iter(students.values())).headline
    best = SelectionRule(by, metric).best({number: student.selection for number, student in students.items()})
    if model_state.aliases.get(names.CANDIDATE) != best:
        client.set_registered_model_alias(model_state.name, names.CANDIDATE, str(best))
    return best


def set_champion(
    client: "MlflowClient",
    model_state: ModelState,
    before: ModelState,
    candidate: int,
    student: EvaluatedStudent,
    checks: tuple[Check, ...],
    settings: Registry,
    unfit: Sequence[str] = (),
) -> str | None:
    """Let the gate judge the candidate if necessary; return the sentence about it, None if it was never judged.

    Args:
        client: of the registry.
        model_state: the registered model now, with all versions.
        before: the same before this registration: what is in it is not new.
        candidate: a version's number.
        student: the candidate's.
        checks: the tests of the candidate's own dev rows.
        settings: section `registry` of params.yaml.
        unfit: what the present champion fails by itself.
    """
    champion, version = model_state.aliases.get(names.CHAMPION), model_state.versions[candidate]
    last = _last_move(client, model_state, before)
    if last is not None and _held_by_hand(version, champion, last):
        until = f"by hand ({last.reason}) until a student registered later passes"
        return (
            f"no champion: taken away {until}"
            if champion is None
            else f"version {champion} stays champion: set {until}"
        )
    if not _must_judge(version, champion, checks, settings):
        return version.tags.get(names.GATE)
    by_gate = last is None or last.by == BY_GATE  # a hand knew what it did
    holder = _holder(client, model_state, unfit[0] if unfit and by_gate else "")
    judged = judge(candidate, checks, read_losses(student.predictions), student.selected_on, settings, holder)
    _note(client, model_state.name, version, judged, champion, settings)
    if judged.passed:
        move_champion(client, model_state.name, Move(candidate, champion, BY_GATE, judged.text, model_state.newest))
    # Last: it says that all of this was done.
    set_tags(client, model_state.name, version, {names.GATE_SETTINGS: _judged_by(checks, settings)})
    return judged.text


def replace_lost_champion(client: "MlflowClient", model_state: ModelState, before: ModelState) -> ModelState:
    """Move `champion` from a version without files to the same student's new one; return the updated model."""
    champion = model_state.aliases.get(names.CHAMPION)
    lost = model_state.versions.get(champion) if champion is not None else None
    again = model_state.holds(lost.tags.get(names.KEY, "")) if lost is not None and lost.lost else None
    if again is None:
        return model_state
    last = _last_move(client, model_state, before)
    by, newest = (last.by, last.newest) if last is not None else (BY_GATE, before.newest)
    reason = f"the same student as version {champion}, whose files are gone"
    move = move_champion(client, model_state.name, Move(again.number, champion, by, reason, newest))
    tags = {**model_state.tags, names.MOVED + move.at: _content(move)}
    return replace(model_state, aliases={**model_state.aliases, names.CHAMPION: again.number}, tags=tags)


def described(description: str, start: str, text: str) -> str:
    """Replace the line with this beginning in a version's description, or append it."""
    kept = [line for line in description.splitlines() if line and not line.startswith(start)]
    return "\n\n".join([*kept, f"{start} {text}"])


def _last_move(client: "MlflowClient", model_state: ModelState, before: ModelState) -> Move | None:
    """The last move, after recording a move made outside of distilflow."""
    moves, champion = history(model_state), model_state.aliases.get(names.CHAMPION)
    last = moves[-1] if moves else None
    if champion is None or (last is not None and last.version == champion):
        return last
    previous = last.version if last else None
    tags = model_state.versions[champion].tags if champion in model_state.versions else {}
    if tags.get(names.GATE_PASSED) == "true" and tags.get(names.GATE_AGAINST) == str(previous):
        # The gate's own move, killed before it was recorded.
        return record(
            client, model_state.name, Move(champion, previous, BY_GATE, tags.get(names.GATE, ""), model_state.newest)
        )
    return record(client, model_state.name, Move(champion, previous, BY_HAND, OUTSIDE, before.newest))


def _held_by_hand(version: StoredVersion, champion: int | None, last: Move) -> bool:
    """Return whether the champion was set or removed by hand, and this student is not newer."""
    if last.by != BY_HAND or champion == version.number or version.first_number > last.newest:
        return False
    return champion is not None or last.version is None


def _must_judge(version: StoredVersion, champion: int | None, checks: tuple[Check, ...], settings: Registry) -> bool:
    """Return whether to judge: the first time, after other settings or test results, or without a champion."""
    if champion is None:
        return True
    return champion != version.number and version.tags.get(names.GATE_SETTINGS) != _judged_by(checks, settings)


def _holder(client: "MlflowClient", model_state: ModelState, unfit: str) -> Holder | None:
    """The present champion with its losses."""
    champion = model_state.aliases.get(names.CHAMPION)
    if champion is None:
        return None
    version = model_state.versions.get(champion)
    selected_on = version.tags.get(names.SELECTED_ON, "selection") if version else "selection"
    return Holder(champion, stored_losses(client, version), selected_on, unfit)


def stored_losses(client: "MlflowClient", version: StoredVersion | None) -> Losses | None:
    """Task losses of a version; None if the registry holds no predictions of it."""
    return None if version is None else of_evidence(client, version, (PREDICTIONS,), read_losses)


def _note(
    client: "MlflowClient", name: str, version: StoredVersion, judged: Judged, champion: int | None, settings: Registry
) -> None:
    """The verdict as tags of the version, and in its description; nothing is written that stands there."""
    passed = str(judged.passed).lower()
    tags = {names.GATE_AGAINST: str(champion), names.GATE_PASSED: passed, names.GATE: judged.text}
    set_tags(client, name, version, tags)
    note_checks(client, name, version, judged.verdict.checks, settings)
    text = described(version.description, "Gate:", judged.text)
    if text != version.description:
        client.update_model_version(name, str(version.number), description=text)


def _judged_by(checks: tuple[Check, ...], settings: Registry) -> str:
    """Inputs of a verdict besides the champion: the settings, and the failed tests."""
    failed = [check.name for check in checks if check.passed is False]
    return f"{settings_text(settings)} {json.dumps(failed)}"
