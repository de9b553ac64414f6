"""Records of register."""

from typing import ClassVar

from records.base import Record, RecordPart


class RegisterMetrics(Record):
    """metrics.json of register."""

    students: int
    new: int
    missing: int
    reachable: bool


class Version(RecordPart):
    """One student of params.yaml in the registry."""

    dataset: str
    method: str
    seed: int
    name: str
    """The registered model."""
    version: int | None
    """None: it has none, or it is not known."""
    aliases: tuple[str, ...]
    gate: str | None
    """The gate's sentence, with the comparison with the present champion."""


class ShownVersion(Version):
    """A version as the report shows it."""

    pull: str | None
    """The command that downloads it."""


class ShownVersions(Record):
    """versions.json: what the report says of registered versions. Nothing in it changes when nothing new was registered.

    DVC runs the report again when this file changes, so what differs from run to run (what is new, times, addresses) isn't
    in it.
    """

    FILE: ClassVar[str] = "versions.json"
    reachable: bool
    trial: bool
    students: tuple[ShownVersion, ...]
