"""run.json of every stage: its inputs, machine, and duration."""

from typing import ClassVar

from pydantic import ConfigDict

from records.base import Record, RecordPart


class PastRun(RecordPart):
    """The part of run.json that must be readable from any release: before a rerun, and by readers of its files."""

    model_config = ConfigDict(extra="ignore")
    FILE: ClassVar[str] = "run.json"
    code: dict[str, str] | None = None
    files: dict[str, str] | None = None
    duration_s: float | None = None


class RunRecord(Record):
    """Provenance of the stage's numbers."""

    FILE: ClassVar[str] = "run.json"
    stage: str
    dataset: str | None
    method: str | None
    seed: int | None
    params: dict[str, object]
    """The parameters that DVC tracks for the stage, nested as in params.yaml."""
    input_hashes: dict[str, str]
    """Path -> sha256 of its content."""
    code: dict[str, str]
    """Module -> sha256."""
    files: dict[str, str] | None = None
    """Other files of the folder -> sha256; None in a record without checksums, which is not verified."""
    versions: dict[str, str]
    device: str
    threads: int
    processes: int
    started: str
    duration_s: float
    cpu_s: float
    peak_memory_mb: float

    def parameter(self, key: str) -> object:
        """A recorded parameter by its dotted key; None if the stage doesn't track it."""
        value: object = self.params
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value
