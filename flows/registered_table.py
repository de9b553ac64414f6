"""Students and champions of registered.json, as the summary of a run shows them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RegisteredStudent:
    """A student in the registry, as the summary shows it."""

    name: str
    version: str
    seed: int
    aliases: tuple[str, ...]
    new: bool
    url: str | None
    gate: str = ""
    """The gate's sentence, with every test."""


def read_student(given: Mapping) -> RegisteredStudent:
    """One student of registered.json, of this release or an earlier one."""
    return RegisteredStudent(
        name=given["name"],
        version=str(given["version"]),
        seed=given["seed"],
        aliases=tuple(given.get("aliases", ())),
        new=bool(given.get("new")),
        url=given.get("url"),
        gate=given.get("gate") or "",
    )


def unfit_line(given: Mapping) -> str:
    """A champion that would not pass the gate."""
    failed = "; ".join(given["failed"])
    return f"!! {given['name']}: version {given['version']} is champion and would NOT pass the gate: {failed}"
