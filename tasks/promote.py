"""promote: makes a version the champion by hand, forward or back, with the reason on record.

    python -m tasks.promote quickstart-payment-mpdistil 3 --reason "3 points better on last week's tickets"

It stays until a student that is registered later passes the gate.
"""

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.registry import names
from tasks.registry.aliases import BY_HAND, Move, described, history, move_champion
from tasks.registry.connection import REGISTERING, RegistryError, connect, explained, lock_folder, locked
from tasks.registry.shelves import Shelf, read_shelves
from tasks.registry.stored_files import locate, missing_files

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXAMPLES = """examples:
  python -m tasks.promote quickstart-payment-mpdistil 3 --reason "3 points better on last week's tickets"
  python -m tasks.promote quickstart-payment-mpdistil 2 --reason "3 fails on long hypotheses: back to 2"
"""


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    name: str
    version: int
    reason: str


def promote(client: "MlflowClient", wish: Wish) -> str:
    """Move the alias, record why, and say what was and what is. Raises RegistryError for an unknown name or version."""
    known = _names(client)
    if wish.name not in known:
        raise RegistryError(f"no registered model {wish.name}; {names.nearest(wish.name, known)}")
    shelf = read_shelves(client, wish.name, [wish.name])[wish.name]
    version = shelf.versions.get(wish.version)
    if version is None:
        numbers = ", ".join(str(number) for number in sorted(shelf.versions))
        raise RegistryError(f"{wish.name} has no version {wish.version}; it has {numbers or 'none'}")
    if names.KEY in version.tags and (missing := missing_files(locate(client, wish.name, version), {})):
        raise RegistryError(
            f"{wish.name} version {wish.version} can't be pulled: {missing[0]} is gone; choose another version"
        )
    was = shelf.aliases.get(names.CHAMPION)
    move = move_champion(client, wish.name, Move(wish.version, was, BY_HAND, wish.reason, shelf.newest))
    text = f"made champion {move.at}, {'after version ' + str(was) if was else 'the first'}: {wish.reason}"
    client.set_model_version_tag(wish.name, str(wish.version), names.BY_HAND, text)
    description = described(version.description, "By hand:", text)
    client.update_model_version(wish.name, str(wish.version), description=description)
    return _said(shelf, wish)


def _names(client: "MlflowClient") -> list[str]:
    """Every registered model's name."""
    found: list[str] = []
    token: str | None = None
    while True:
        page = client.search_registered_models(max_results=1000, page_token=token)
        found += [model.name for model in page]
        token = page.token
        if not token:
            return found


def _said(shelf: Shelf, wish: Wish) -> str:
    """What was and what is."""
    was, moves = shelf.aliases.get(names.CHAMPION), history(shelf)
    if was is None:
        before = "there was no champion"
    else:
        how = f", by {moves[-1].by}: {moves[-1].reason}" if moves and moves[-1].version == was else ""
        before = f"it was version {was}{how}"
    stays = "stays" if was == wish.version else "is now"
    lines = [f"{wish.name}: version {wish.version} {stays} champion, by hand ({wish.reason})", before]
    if was is not None and was != wish.version:
        lines.append(f'the way back: python -m flows promote {wish.name} {was} --reason "..."')
    return "\n  ".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Promote; 2 with one line on stderr if that can't be done."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.promote",
        description="Make a version the champion by hand; it stays until a student registered later passes the gate.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="registered model, as in quickstart-payment-mpdistil")
    parser.add_argument("version", help="number of the version")
    parser.add_argument("--reason", required=True, help="why; kept with the version and in the model's history")
    options = parser.parse_args(arguments)
    try:
        wish = Wish(options.name.removeprefix("models:/"), _number(options.version), _reason(options.reason))
        client = connect()
        address = client.tracking_uri
        with (
            locked(lock_folder(address) / REGISTERING, "a registration is at work; waiting for it"),
            explained(address),
        ):
            print(promote(client, wish))
    except RegistryError as error:
        print(f"promote: {error}", file=sys.stderr)
        return 2
    return 0


def _number(text: str) -> int:
    if not text.isdecimal():
        raise RegistryError(f"version {text}: a version is a whole number, as in `promote NAME 3 --reason ...`")
    return int(text)


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not reason:
        raise RegistryError("--reason is empty; say in a sentence why, for those who look at the history later")
    return reason


if __name__ == "__main__":
    raise SystemExit(main())
