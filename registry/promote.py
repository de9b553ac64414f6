"""promote: make a version the champion by hand, forward or back, regardless of the gate, with a recorded reason.

    python -m registry.promote quickstart-payment-mpdistil 3 --reason "3 points better on last week's tickets"
    python -m registry.promote quickstart-payment-mpdistil --none --reason "answers one class only"

It stays until a student that is registered later passes the gate. `--none` takes the alias away, for as long.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from broken_pipe import without_readers
from config.parameters import Registry, load
from errors import UserError
from registry import names
from registry.aliases import BY_HAND, Move, described, history, move_champion, stored_losses
from registry.connection import REGISTERING, connect, explained, lock_folder, locked
from registry.gate import Holder, against_champion
from registry.gate_tags import failed_in
from registry.model_state import ModelState, StoredVersion, pages, read_model_states
from registry.stored_files import locate, missing_files
from reporting.verdict.check_result import CHAMPION

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXAMPLES = """examples:
  python -m registry.promote quickstart-payment-mpdistil 3 --reason "3 points better on last week's tickets"
  python -m registry.promote quickstart-payment-mpdistil 2 --reason "3 fails on long hypotheses: back to 2"
  python -m registry.promote quickstart-payment-mpdistil --none --reason "answers one class only"
"""


@dataclass(frozen=True)
class Wish:
    """Read the command line."""

    name: str
    version: int | None
    """None: no champion."""
    reason: str


def promote(client: "MlflowClient", wish: Wish) -> str:
    """Move the alias, record why, and say what was and what is. Raises UserError for an unknown name or version."""
    known = [model.name for model in pages(client.search_registered_models)]
    if wish.name not in known:
        raise UserError(f"no registered model {wish.name}; {names.nearest(wish.name, known)}")
    model_state = read_model_states(client, wish.name, [wish.name])[wish.name]
    was = model_state.aliases.get(names.CHAMPION)
    if wish.version is None:
        if was is None:
            raise UserError(f"{wish.name} has no champion to take away")
        move_champion(client, wish.name, Move(None, was, BY_HAND, wish.reason, model_state.newest))
        return _said(model_state, wish, "")
    version = _version(client, model_state, wish.version)
    past = past_the_gate(client, model_state, version, _settings())
    reason = f"{wish.reason} ({past})"
    move = move_champion(client, wish.name, Move(version.number, was, BY_HAND, reason, model_state.newest))
    text = f"made champion {move.at}, {'after version ' + str(was) if was else 'the first'}: {wish.reason}; by hand, {past}"
    client.set_model_version_tag(wish.name, str(version.number), names.BY_HAND, text)
    description = described(version.description, "By hand:", text)
    client.update_model_version(wish.name, str(version.number), description=description)
    return _said(model_state, wish, past)


def _version(client: "MlflowClient", model_state: ModelState, number: int) -> StoredVersion:
    """Look up a version by number. Raises UserError if there is none, or its files are missing."""
    version = model_state.versions.get(number)
    if version is None:
        numbers = ", ".join(str(one) for one in sorted(model_state.versions))
        raise UserError(f"{model_state.name} has no version {number}; it has {numbers or 'none'}")
    if names.KEY in version.tags and (missing := missing_files(locate(client, model_state.name, version), {})):
        raise UserError(
            f"{model_state.name} version {number} can't be pulled: {missing[0]} is gone; choose another version"
        )
    return version


def past_the_gate(client: "MlflowClient", model_state: ModelState, version: StoredVersion, settings: Registry) -> str:
    """Judge a version now: its own tests as registered, and a new comparison with the champion."""
    if names.CHECKED not in version.tags:
        return (
            "past the gate: its tests are not in the registry, it was registered by an earlier release or another tool"
        )
    failed = failed_in(version.tags, without=(CHAMPION,))
    was = model_state.aliases.get(names.CHAMPION)
    losses = stored_losses(client, version) if was not in (None, version.number) else None
    if losses is not None and was is not None:
        holder = Holder(was, stored_losses(client, model_state.versions.get(was)), "")
        check = against_champion(version.number, losses, settings, holder)
        failed += [check.text] if check.passed is False else []
    return f"past the gate: failed {'; '.join(failed)}" if failed else "no test of the gate failed"


def _settings() -> Registry:
    """Section `registry` of params.yaml; defaults without such a file."""
    try:
        return load(Path("params.yaml")).registry
    except UserError:
        return Registry()


def _said(model_state: ModelState, wish: Wish, past: str) -> str:
    """Describe the move: before, after, and the tests that the version fails."""
    was, moves = model_state.aliases.get(names.CHAMPION), history(model_state)
    if was is None:
        before = "there was no champion"
    else:
        how = f", by {moves[-1].by}: {moves[-1].reason}" if moves and moves[-1].version == was else ""
        before = f"it was version {was}{how}"
    if wish.version is None:
        lines = [f"{wish.name}: no version is champion now, by hand ({wish.reason})", before]
        lines.append("it stays so until a student registered later passes the gate, or `promote` names a version")
    else:
        stays = "stays" if was == wish.version else "is now"
        lines = [f"{wish.name}: version {wish.version} {stays} champion, by hand ({wish.reason})", past, before]
    if was is not None and was != wish.version:
        lines.append(f'the way back: python -m flows promote {wish.name} {was} --reason "..."')
    return "\n  ".join(lines)


@without_readers()
def main(arguments: list[str] | None = None) -> int:
    """Promote; return 2 with one line on stderr on failure."""
    parser = argparse.ArgumentParser(
        prog="python -m registry.promote",
        description="Make a version the champion by hand, regardless of the gate; it stays until a student registered later passes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="registered model, as in quickstart-payment-mpdistil")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("version", nargs="?", help="number of the version")
    which.add_argument("--none", action="store_true", help="remove the alias: no version is champion")
    parser.add_argument("--reason", required=True, help="reason, stored with the version and in the model's history")
    options = parser.parse_args(arguments)
    try:
        wish = Wish(
            options.name.removeprefix("models:/"),
            None if options.none else _number(options.version),
            _reason(options.reason),
        )
        client = connect()
        address = client.tracking_uri
        with (
            locked(lock_folder(address) / REGISTERING, "a registration is at work; waiting for it"),
            explained(address),
        ):
            print(promote(client, wish))
    except UserError as error:
        print(f"promote: {error}", file=sys.stderr)
        return 2
    return 0


def _number(text: str) -> int:
    if not text.isdecimal():
        raise UserError(f"version {text}: a version is a whole number, as in `promote NAME 3 --reason ...`")
    return int(text)


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not reason:
        raise UserError("--reason is empty; give a reason, which is kept in the history")
    return reason


if __name__ == "__main__":
    raise SystemExit(main())
