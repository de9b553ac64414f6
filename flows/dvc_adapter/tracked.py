"""Stages of DVC's graph with everything tracked for them, as plain values."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc.dependency import ParamsDependency
    from dvc.output import Output
    from dvc.stage import Stage


@dataclass(frozen=True)
class TrackedPath:
    """A dependency or an output of a stage."""

    path: Path
    written: str
    """Path as in dvc.yaml."""
    checksum: str
    """Checksum of the last run in dvc.lock; '' if there was none."""
    _out: "Output" = field(repr=False, compare=False)

    def status(self) -> str | None:
        """DVC's status of it: modified, deleted, not in cache; None if unchanged."""
        try:
            return next(iter(self._out.status().values()), None)
        except FileNotFoundError:  # a stage that runs meanwhile has just replaced it
            return "modified"


@dataclass(frozen=True)
class TrackedParams:
    """The keys of one params file that a stage depends on."""

    file: Path
    keys: tuple[str, ...]
    recorded: dict[str, object]
    """Values in the last run, by dvc.lock; empty if there was none."""
    _dependency: "ParamsDependency" = field(repr=False, compare=False)

    def read(self) -> dict[str, object]:
        """Present values."""
        return self._dependency.read_params()


@dataclass(frozen=True)
class DvcStage:
    """A stage of dvc.yaml for one combination of its matrix, or a file under `dvc add`."""

    name: str
    """Address from the root: student@rte-mse_kd-42."""
    command: str
    needs: tuple[str, ...]
    """Names of the stages whose outputs it reads, in the order of dvc.yaml."""
    deps: tuple[TrackedPath, ...]
    params: tuple[TrackedParams, ...]
    outs: tuple[TrackedPath, ...]
    always: bool
    """Runs whether or not anything changed."""
    _stage: "Stage" = field(repr=False, compare=False)

    @property
    def has_run(self) -> bool:
        """True if dvc.lock has an entry of it."""
        return any(entry.hash_info for entry in (*self._stage.outs, *self._stage.deps))

    @property
    def command_changed(self) -> bool:
        """True if its command differs from dvc.lock."""
        return self._stage.changed_stage()

    @property
    def is_cached(self) -> bool:
        """True if DVC's cache holds all its outputs in dvc.lock."""
        return all(out.checksum for out in self.outs) and self._stage.outs_cached()


def plain_stage(stage: "Stage", needs: Iterable["Stage"]) -> DvcStage:
    """Convert a DVC stage to a plain value, with the names of its upstream stages."""
    from dvc.dependency import ParamsDependency

    command = stage.cmd if isinstance(stage.cmd, str) else " ".join(stage.cmd or ())
    return DvcStage(
        name=_address(stage),
        command=command,
        needs=tuple(map(_address, needs)),
        deps=tuple(_tracked(dep) for dep in stage.deps if not isinstance(dep, ParamsDependency)),
        params=tuple(_tracked_params(dep) for dep in stage.deps if isinstance(dep, ParamsDependency)),
        outs=tuple(map(_tracked, stage.outs)),
        always=stage.always_changed,
        _stage=stage,
    )


def _address(stage: "Stage") -> str:
    """DVC's address from the root; `stage.addressing` would be one from the current folder."""
    path, name = stage.path_in_repo, getattr(stage, "name", None)  # data under `dvc add` has a path and no name
    if name is None:
        return path
    return name if path == "dvc.yaml" else f"{path}:{name}"


def _tracked(out: "Output") -> TrackedPath:
    return TrackedPath(Path(out.fs_path), out.def_path, str(out.hash_info.value or "") if out.hash_info else "", out)


def _tracked_params(dep: "ParamsDependency") -> TrackedParams:
    recorded = dep.hash_info.value if dep.hash_info else None
    return TrackedParams(
        Path(dep.fs_path), tuple(dep.params), dict(recorded) if isinstance(recorded, dict) else {}, dep
    )
