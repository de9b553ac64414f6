"""versions.json: what the report says of registered versions. Nothing in it changes when nothing new was registered.

DVC runs the report again when this file changes, so what differs from run to run (what is new, times, addresses) isn't in it.
"""

from collections.abc import Mapping
from typing import cast

from registry import names

FILE = "versions.json"


def shown_versions(result: Mapping[str, object]) -> dict[str, object]:
    """From registered.json."""
    students = cast(list[Mapping[str, object]], result["students"])
    return {
        "reachable": result["reachable"],
        "trial": bool(result.get("trial")),  # not its name, which is drawn anew each time
        "students": [_student(one) for one in students],
    }


def _student(one: Mapping[str, object]) -> dict[str, object]:
    aliases, name, version = cast(list[str], one["aliases"]), str(one["name"]), one["version"]
    kept = {key: one[key] for key in ("dataset", "method", "seed", "name", "version", "aliases", "gate")}
    return kept | {"pull": None if version is None else pull_line(name, cast(int, version), aliases)}


def pull_line(name: str, version: int, aliases: list[str]) -> str:
    """The command that downloads a version: the champion by its alias, as the programs of its users do; others by number."""
    to = f"--to outputs/pulled/{name}"
    if names.CHAMPION in aliases:
        return f"python -m flows pull {name}@{names.CHAMPION} {to}"
    return f"python -m flows pull models:/{name}/{version} {to}"
