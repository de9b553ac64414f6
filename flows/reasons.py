"""Reasons why DVC would run a stage, in words, by the same comparisons as DVC's."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flows.dvc_adapter.tracked import DvcStage, TrackedParams, TrackedPath
from outputs import read_if_whole
from records.stage_run import PastRun
from stage_code import SourceTree, changed_modules, code_file, code_text

WORDS = {"modified": "changed", "deleted": "missing", "not in cache": "not in DVC's cache"}
NOTHING = "(none)"
CODE = "code"  # the stage whose output holds, for every stage, the modules that it runs
NAMED = 3  # changed modules; more are counted


class WorkspaceStatus:
    """Status of the workspace, each path read once: a hundred stages depend on the same code.

    A stage's code is looked up in the source, whatever outputs/code says of an earlier state: stage `code` writes it anew
    before anything else runs.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._source = SourceTree(root)
        self._paths: dict[tuple[Path, str], str | None] = {}
        self._modules: dict[str, dict[str, str]] = {}
        self._params: dict[tuple[Path, tuple[str, ...]], dict[str, object]] = {}

    def of(self, entry: TrackedPath) -> str | None:
        """DVC's status of a dependency or an output: modified, deleted, new, not in cache; None if unchanged."""
        key = (entry.path, entry.checksum)
        if key not in self._paths:
            stage = self.stage_of_code(entry.path)
            self._paths[key] = entry.status() if stage is None else self._status_of_code(entry, stage)
        return self._paths[key]

    def stage_of_code(self, path: Path) -> str | None:
        """The stage whose modules a file lists; None for any other path."""
        return path.stem if path == self._root / code_file(path.stem) else None

    def _status_of_code(self, entry: TrackedPath, stage: str) -> str | None:
        content = code_text(self.modules(stage)).encode()
        own = hashlib.md5(content, usedforsecurity=False).hexdigest()  # the checksum that DVC writes into dvc.lock
        return None if entry.checksum == own else "modified"

    def modules(self, stage: str) -> dict[str, str]:
        """sha256 of the stage's present modules."""
        if stage not in self._modules:
            self._modules[stage] = self._source.modules_now(stage)
        return self._modules[stage]

    def params(self, tracked: TrackedParams) -> dict[str, object]:
        """Present values of a stage's keys in the params file."""
        key = (tracked.file, tracked.keys)
        if key not in self._params:
            self._params[key] = tracked.read()
        return self._params[key]


def why(stage: DvcStage, statuses: WorkspaceStatus, needs: Sequence[DvcStage]) -> tuple[tuple[str, ...], bool]:
    """Compare a stage with its last run: (reasons why it is out of date itself, whether DVC's cache has all outputs).

    Args:
        stage: as DVC reads it, with the checksums of dvc.lock.
        statuses: shared by all stages of a graph.
        needs: the stages before this one; their own outputs are their own reasons.
    """
    always = ("always runs",) if stage.always else ()
    if not stage.has_run:
        return ("never run", *always), False
    theirs = [out.path for need in needs if need.name != CODE for out in need.outs if statuses.of(out) is not None]
    changed = (*_changed_deps(stage, statuses, theirs), *(("its command changed",) if stage.command_changed else ()))
    wrong = {out.written: status for out in stage.outs if (status := statuses.of(out)) is not None}
    restores = not changed and not always and set(wrong.values()) == {"deleted"}
    return (*changed, *(f"{WORDS.get(status, status)}: {path}" for path, status in wrong.items()), *always), restores


def _changed_deps(stage: DvcStage, statuses: WorkspaceStatus, theirs: Sequence[Path]) -> Iterator[str]:
    for dep in stage.deps:
        status = statuses.of(dep)
        if status is not None and not _overlaps(dep.path, theirs):
            word = WORDS.get(status, status) if dep.checksum else "new dependency"
            yield f"{word}: {_changed_modules(stage, dep.path, statuses) or dep.written}"
    for tracked in stage.params:
        yield from _changed_params(tracked, statuses)


def _changed_modules(stage: DvcStage, path: Path, statuses: WorkspaceStatus) -> str:
    """The modules that changed since the stage's last run by its record; '' if unknown."""
    name = statuses.stage_of_code(path)
    if name is None:
        return ""
    past = read_if_whole(PastRun, stage.outs[0].path / PastRun.FILE) if stage.outs else None
    if past is None or past.code is None:
        return ""
    changed = changed_modules(past.code, statuses.modules(name))
    more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    return f"{', '.join(changed[:NAMED])}{more}"


def _overlaps(path: Path, others: Sequence[Path]) -> bool:
    """Return whether a path equals, contains or lies in one of the others."""
    return any(other == path or other in path.parents or path in other.parents for other in others)


def _changed_params(tracked: TrackedParams, statuses: WorkspaceStatus) -> Iterator[str]:
    """Differences from the values of the last run: 'params curriculum.reward: gain -> real'."""
    before = dict(_leaves("", tracked.recorded)) if tracked.recorded else {}
    now = dict(_leaves("", statuses.params(tracked)))
    for key in [*before, *(key for key in now if key not in before)]:
        if before.get(key, NOTHING) != now.get(key, NOTHING):
            yield f"params {key}: {_shown(before.get(key, NOTHING))} -> {_shown(now.get(key, NOTHING))}"


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    """Each single value with its dotted path; a list counts as one value."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), part)
    else:
        yield path, list(value) if isinstance(value, tuple) else value


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return "null" if value is None else str(value)
