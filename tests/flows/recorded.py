"""A workspace of the real pipeline in which DVC believes that everything ran: outputs are made up and committed."""

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml
from dvc.repo import Repo  # here, and not in a test: its log keeps the stream that it finds when it is imported
from stages import merged
from workspace import CATALOG, Workspace, make_workspace

from flows.graph import MODULE
from stage_code import SourceTree, code_file, code_text

SECONDS = 2.5


def make_unrun(root: Path, *, datasets: Sequence[str], seeds: Sequence[int]) -> Workspace:
    """A workspace with these datasets, copies of a generated one where there is none of that name."""
    workspace = make_workspace(root)
    for name in datasets:
        if not (root / CATALOG / name).exists():
            shutil.copytree(root / CATALOG / workspace.datasets[0], root / CATALOG / name)
    path = root / "params.yaml"
    changes = {"datasets": list(datasets), "seeds": list(seeds)}
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text()), changes), sort_keys=False))
    return workspace


def pretend_all_ran(root: Path) -> None:
    """Make every output, with what later stages read in it, and record it in dvc.lock."""
    os.environ.setdefault("DVC_NO_ANALYTICS", "1")
    with contextlib.chdir(root), Repo() as repo:
        outs = {Path(out.fs_path): MODULE.findall(stage.cmd)[0] for stage in repo.index.stages for out in stage.outs}
        read = [Path(dep.fs_path) for dep in repo.index.deps]
        source = SourceTree(root)
        for out, stage in outs.items():
            if out.suffix:  # a file of a stage that has no record there
                out.parent.mkdir(parents=True)
                out.write_text("{}")
                continue
            out.mkdir(parents=True)
            record = {"duration_s": SECONDS, "output": str(out.relative_to(root)), "code": source.modules_of(stage)}
            (out / "run.json").write_text(json.dumps(record))
            for inside in (path for path in read if out in path.parents and path.suffix != ".json"):
                inside.mkdir(exist_ok=True)
                (inside / "content").write_text(str(inside.relative_to(root)))
        for stage in source.stages():
            (root / code_file(stage)).write_text(code_text(source.modules_of(stage)))
        repo.commit(force=True)
