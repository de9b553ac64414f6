"""The stages of a run over many machines: an output on the remote is as good as one in the workspace."""

from collections.abc import Collection
from pathlib import Path

from flows.dvc_adapter.recorded_runs import RecordedRuns, on_remote
from flows.dvc_adapter.repository import Repository
from flows.dvc_adapter.tracked import TrackedPath
from flows.reasons import WorkspaceStatus


class FleetStatus(WorkspaceStatus):
    """Statuses of outputs, and of what reads them, by dvc.lock and the remote; of code, rows and parameters by the workspace."""

    def __init__(self, root: Path, recorded: RecordedRuns, present: Collection[str]) -> None:
        super().__init__(root)
        self._recorded, self._present = recorded, present

    def of(self, entry: TrackedPath) -> str | None:
        """DVC's word for what is wrong with a path; None if nothing is."""
        if self.stage_of_code(entry.path) is None and self._recorded.is_cached_output(entry.written):
            # A dependency is compared with the record of the stages that write it, an output only looked for.
            found = self._recorded.checksum(entry.written)
            if entry.checksum and found is not None:
                if entry.checksum != found.value:
                    return "modified"
                if not self._recorded.is_output(entry.written) or entry.checksum in self._present:
                    return None
        return super().of(entry)


def of_remote(repo: Repository, root: Path) -> WorkspaceStatus:
    """Statuses for `read_graph`."""
    recorded = RecordedRuns(repo)
    outputs = recorded.outputs(recorded.names)
    return FleetStatus(root, recorded, on_remote(repo, outputs.values()))
