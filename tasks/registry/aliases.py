"""Which version is `candidate` and which is `champion`, and the history of that.

The history is in tags of the registered model, one for each time that the champion changed. An alias that is elsewhere
than the last of them says was moved outside of distilflow, which counts as moved by hand.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from config import Registry
from tasks.registry import names
from tasks.registry.connection import RegistryUnreachable, explained
from tasks.registry.evidence import Student
from tasks.registry.gate import Claim, Losses, Verdict, judge, judge_first, read_losses
from tasks.registry.shelves import Shelf, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

BY_GATE, BY_HAND = "gate", "hand"
OUTSIDE = "the alias was moved outside of distilflow"


@dataclass(frozen=True)
class Move:
    """One time that the champion changed."""

    version: int
    previous: int | None
    by: str
    """BY_GATE or BY_HAND."""
    reason: str
    newest: int
    """The highest version number then: what came later is new."""
    at: str = ""
    """UTC; the end of the tag's name."""


def history(shelf: Shelf) -> list[Move]:
    """All moves of the champion, oldest first."""
    tags = sorted((key, value) for key, value in shelf.tags.items() if key.startswith(names.MOVED))
    return [replace(Move(**json.loads(value)), at=key.removeprefix(names.MOVED)) for key, value in tags]


def move_champion(client: "MlflowClient", name: str, move: Move) -> Move:
    """Set the alias and record it; in this order, so that a kill between looks like a move from outside."""
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


def set_candidate(client: "MlflowClient", shelf: Shelf, students: Mapping[int, Student]) -> int:
    """Point `candidate` at the best on selection of the versions given, in the order of the seeds; its number."""
    best = min(students, key=lambda number: students[number].selection_loss)  # the first of equals
    if shelf.aliases.get(names.CANDIDATE) != best:
        client.set_registered_model_alias(shelf.name, names.CANDIDATE, str(best))
    return best


def set_champion(
    client: "MlflowClient", shelf: Shelf, before: Shelf, candidate: int, student: Student, settings: Registry
) -> str | None:
    """Let the gate judge the candidate if it has to; the sentence about it, None if it never was judged.

    Args:
        client: of the registry.
        shelf: the registered model now, with all versions.
        before: the same before this registration: what is in it is not new.
        candidate: a version's number.
        student: the candidate's.
        settings: section `registry` of params.yaml.
    """
    champion, version = shelf.aliases.get(names.CHAMPION), shelf.versions[candidate]
    last = _last_move(client, shelf, before)
    if last is not None and _held_by_hand(version, champion, last):
        return f"version {champion} stays champion: set by hand ({last.reason}) until a student registered later passes"
    if not _must_judge(version, champion, settings):
        return version.tags.get(names.GATE)
    verdict = _verdict(client, shelf, student, candidate, settings)
    _note(client, shelf.name, version, verdict, champion)
    if verdict.passed:
        move_champion(client, shelf.name, Move(candidate, champion, BY_GATE, verdict.text, shelf.newest))
    if version.tags.get(names.GATE_SETTINGS) != _settings_text(settings):  # last: it says that all of this was done
        client.set_model_version_tag(shelf.name, str(candidate), names.GATE_SETTINGS, _settings_text(settings))
    return verdict.text


def replace_lost_champion(client: "MlflowClient", shelf: Shelf, before: Shelf) -> Shelf:
    """Move `champion` from a version whose files are gone to that of the same student; the registered model after it."""
    champion = shelf.aliases.get(names.CHAMPION)
    lost = shelf.versions.get(champion) if champion is not None else None
    again = shelf.holds(lost.tags.get(names.KEY, "")) if lost is not None and lost.lost else None
    if again is None:
        return shelf
    last = _last_move(client, shelf, before)
    by, newest = (last.by, last.newest) if last is not None else (BY_GATE, before.newest)
    reason = f"the same student as version {champion}, whose files are gone"
    move = move_champion(client, shelf.name, Move(again.number, champion, by, reason, newest))
    tags = {**shelf.tags, names.MOVED + move.at: _content(move)}
    return replace(shelf, aliases={**shelf.aliases, names.CHAMPION: again.number}, tags=tags)


def described(description: str, start: str, text: str) -> str:
    """A version's description with the line that starts so replaced, or added."""
    kept = [line for line in description.splitlines() if line and not line.startswith(start)]
    return "\n\n".join([*kept, f"{start} {text}"])


def _last_move(client: "MlflowClient", shelf: Shelf, before: Shelf) -> Move | None:
    """The last move, after noting one that the history doesn't know."""
    moves, champion = history(shelf), shelf.aliases.get(names.CHAMPION)
    last = moves[-1] if moves else None
    if champion is None or (last is not None and last.version == champion):
        return last
    previous = last.version if last else None
    tags = shelf.versions[champion].tags if champion in shelf.versions else {}
    if tags.get(names.GATE_PASSED) == "true" and tags.get(names.GATE_AGAINST) == str(previous):
        # The gate's own move, killed before it was recorded.
        return record(client, shelf.name, Move(champion, previous, BY_GATE, tags.get(names.GATE, ""), shelf.newest))
    return record(client, shelf.name, Move(champion, previous, BY_HAND, OUTSIDE, before.newest))


def _held_by_hand(version: Version, champion: int | None, last: Move) -> bool:
    """Whether another version is champion by hand, and this one is no newer student."""
    return champion not in (None, version.number) and last.by == BY_HAND and version.first_number <= last.newest


def _must_judge(version: Version, champion: int | None, settings: Registry) -> bool:
    """Once, and again for other settings or where there is no champion."""
    if champion is None:
        return True
    return champion != version.number and version.tags.get(names.GATE_SETTINGS) != _settings_text(settings)


def _verdict(client: "MlflowClient", shelf: Shelf, student: Student, number: int, settings: Registry) -> Verdict:
    claim = Claim(
        number,
        student.parameters,
        student.latency_ms,
        student.margin_points,
        student.headline,
        student.selected_on,
        read_losses(student.predictions, student.selected_on),
    )
    champion = shelf.aliases.get(names.CHAMPION)
    if champion is None:
        return judge_first(claim, settings)
    holder = shelf.versions.get(champion)
    selected_on = holder.tags.get(names.SELECTED_ON, "selection") if holder else "selection"
    return judge(claim, settings, champion, _stored_losses(client, holder, selected_on), selected_on)


def _stored_losses(client: "MlflowClient", version: Version | None, selected_on: str) -> Losses | None:
    """Task losses of a version from the artifacts of its run; None if they are not there (another tool's version)."""
    if version is None or not version.run_id:
        return None
    with tempfile.TemporaryDirectory(prefix="distilflow-") as folder:
        try:
            with explained(client.tracking_uri):
                path = client.download_artifacts(version.run_id, f"{names.EVIDENCE}/{names.PREDICTIONS}", folder)
            return read_losses(Path(path), selected_on)
        except RegistryUnreachable:
            raise
        except (ValueError, OSError, KeyError):  # not there, or no table of ours
            return None


def _note(client: "MlflowClient", name: str, version: Version, verdict: Verdict, champion: int | None) -> None:
    """The verdict as tags of the version, and in its description; nothing is written that stands there."""
    tags = {
        names.GATE_AGAINST: str(champion),
        names.GATE_PASSED: str(verdict.passed).lower(),
        names.GATE: verdict.text,
    }
    for key, value in tags.items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(name, str(version.number), key, value)
    text = described(version.description, "Gate:", verdict.text)
    if text != version.description:
        client.update_model_version(name, str(version.number), description=text)


def _settings_text(settings: Registry) -> str:
    """The settings that a verdict depends on."""
    return json.dumps(settings.model_dump(mode="json"), sort_keys=True)
