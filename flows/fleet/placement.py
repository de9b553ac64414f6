"""The place of a stage: a pool, or the parent."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from config import parameters
from flows.dvc_adapter.recorded_runs import RecordedRuns
from flows.fleet.queues import Pool
from flows.fleet.snapshot import files_in
from flows.gpu import launched_stages, names_a_gpu
from flows.graph import Node
from flows.reasons import CODE


@dataclass(frozen=True)
class Placement:
    """The rules by which stages of one run go to pools."""

    pools: Collection[str]
    recorded: RecordedRuns
    snapshot: Collection[str]
    """Paths of the files that a worker gets by the snapshot."""
    launched: Collection[str]
    """Stages that are launched onto hardware."""
    on_gpu: bool | None
    """The launch line names hardware with a GPU, or without; None if it names none."""
    short_s: float
    """A stage that took less last time stays in the parent."""
    seconds: Mapping[str, float]
    """Stage -> duration of its last run."""

    def pool_of(self, node: Node) -> Pool | None:
        """The pool for a stage; None if it stays in the parent.

        There stay: what always runs, or writes or reads an output that DVC does not cache; what reads a file that neither a
        stage writes nor the snapshot brings (rows that git ignores); `code`, whose output every stage reads and which takes a
        moment; what was short last time; and all whose pool was not named.
        """
        if node.stage == CODE or node.always or not self.recorded.has_key(node.name):
            return None
        if self.seconds.get(node.name, self.short_s) < self.short_s:
            return None
        if not all(map(self._is_in_snapshot, self.recorded.other_inputs(node.name))):
            return None
        pool = self._class(node.stage)
        return pool if pool in self.pools else None

    def _class(self, stage: str) -> Pool:
        """The class of a stage; a launch line that names no hardware takes a GPU where there is such a pool."""
        if stage not in self.launched:
            return "cpu"
        on_gpu = "gpu" in self.pools if self.on_gpu is None else self.on_gpu
        return "gpu" if on_gpu else "cpu"

    def _is_in_snapshot(self, path: str) -> bool:
        return path in self.snapshot or any(name.startswith(f"{path}/") for name in self.snapshot)


def placement(
    root: Path, pools: Collection[str], recorded: RecordedRuns, short_s: float, seconds: Mapping[str, float]
) -> Placement:
    """The rules for the repository in `root`."""
    on_gpu = names_a_gpu(parameters.load(root / "params.yaml").launch, root)
    return Placement(pools, recorded, files_in(root), launched_stages(root), on_gpu, short_s, seconds)
