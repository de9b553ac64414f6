"""The ticket of a stage on the remote: its name, the snapshot, and the entries of dvc.lock of the stages before it."""

import json
from dataclasses import asdict, dataclass

from errors import UserError
from flows.dvc_adapter.recorded_runs import Entry
from flows.dvc_adapter.remote_files import RemoteFiles


@dataclass(frozen=True)
class Ticket:
    """All that a worker has to know besides its own settings. The same key and commit make the same ticket."""

    stage: str
    """DVC's address: student@rte-mse_kd-42."""
    commit: str
    key: str
    """In DVC's run cache."""
    lock: dict[str, Entry]
    """Stage -> its entry, of the stages before this one."""
    trial: str = ""
    """The other values of a run that has some, in words."""


def write(files: RemoteFiles, ticket: Ticket) -> None:
    """Put a ticket on the remote."""
    files.write(_file(ticket.key), json.dumps(asdict(ticket), indent=1).encode())


def read(files: RemoteFiles, key: str) -> Ticket:
    """The ticket of a key. Raises UserError if there is none."""
    content = files.read(_file(key))
    if content is None:
        raise UserError(
            f"{files.address}: no ticket {key}; is the worker's DVC remote the one of the run that sent the stage?"
        )
    try:
        return Ticket(**json.loads(content))
    except (ValueError, TypeError):
        raise UserError(f"{files.address}/{_file(key)}: not a ticket of this release") from None


def _file(key: str) -> str:
    return f"tickets/{key}.json"
