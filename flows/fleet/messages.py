"""The last state's message of a child run: words for people that the parent can read back."""

import json
import re
from dataclasses import dataclass
from typing import Literal

RAN = re.compile(r"^(ran|restored) in ([\d.]+) s on (.+?) \((.*)\); value ([0-9a-f]{64})$")
FAILED = re.compile(r"^status (-?\d+) on (.+)$")


@dataclass(frozen=True)
class ChildResult:
    """The result of a stage that a worker ran."""

    outcome: Literal["ran", "restored"]
    seconds: float
    """Of DVC and the stage, without the way there and back."""
    machine: str
    cpu: str
    """The CPU's model."""
    value: str
    """Name of the entry in DVC's run cache."""

    def text(self) -> str:
        """The message."""
        return f"{self.outcome} in {self.seconds:.1f} s on {self.machine} ({self.cpu}); value {self.value}"


@dataclass(frozen=True)
class ChildFailure:
    """A stage that failed on a worker, or that it could not begin."""

    status: int
    machine: str
    tail: tuple[str, ...]
    """Last lines."""

    def text(self) -> str:
        """The message."""
        return "\n".join([f"status {self.status} on {self.machine}", *self.tail])


def read_result(text: str | None) -> ChildResult | None:
    """The result in a message; None if it holds none."""
    found = RAN.match(text or "")
    if found is None:
        return None
    outcome = "ran" if found[1] == "ran" else "restored"
    return ChildResult(outcome, float(found[2]), found[3], found[4], found[5])


def read_failure(text: str | None) -> ChildFailure:
    """The failure in a message; of a message that is not ours all lines are its tail."""
    lines = (text or "no reason was given").splitlines()
    found = FAILED.match(lines[0])
    if found is None:
        return ChildFailure(1, "", tuple(lines))
    return ChildFailure(int(found[1]), found[2], tuple(lines[1:]))


def to_json(end: ChildResult | ChildFailure) -> str:
    """The content of the file by which a job tells the child how it ended."""
    return json.dumps({"kind": type(end).__name__, **vars(end)})


def from_json(text: str) -> ChildResult | ChildFailure:
    """The value in such a file."""
    content = json.loads(text)
    if content.pop("kind") == ChildResult.__name__:
        return ChildResult(**content)
    return ChildFailure(content["status"], content["machine"], tuple(content["tail"]))
