"""stage_code/: a folder for each stage, with a link to every module that the stage runs. `make links` writes it.

DVC follows a link to the file, so such a folder is one dependency that changes when a module changes that the stage
runs, and only then. Fifty dependencies a stage would make dvc.lock, which DVC reads and writes in Python each time a stage
has run, three times as long.
"""

import functools
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml
from source_imports import ROOT, run_by

FOLDER = ROOT / "stage_code"
ALWAYS_RUN = "register"


@functools.cache
def wanted() -> dict[str, dict[str, str]]:
    """Stage -> the name of a link, which is the module's -> where it leads to."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {stage: _links(run_by(stage)) for stage in stages if stage != ALWAYS_RUN}


def found() -> dict[str, dict[str, str]]:
    """The same as it is on disk; what is no link leads to ''."""
    return {
        folder.name: {link.name: str(link.readlink()) if link.is_symlink() else "" for link in folder.iterdir()}
        for folder in FOLDER.iterdir()
    }


def write(folders: Mapping[str, Mapping[str, str]]) -> None:
    """Make stage_code/ anew."""
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    for stage, links in folders.items():
        (FOLDER / stage).mkdir(parents=True)
        for name, target in links.items():
            (FOLDER / stage / name).symlink_to(target)


def _links(files: list[str]) -> dict[str, str]:
    """Without a suffix, so that no tool takes a link for one more module."""
    return {".".join(Path(file).with_suffix("").parts): f"../../{file}" for file in files}


if __name__ == "__main__":
    before, after = found() if FOLDER.exists() else {}, wanted()
    write(after)
    for name, links in after.items():
        old = before.get(name, {})
        for sign, names in (("+", links.keys() - old.keys()), ("-", old.keys() - links.keys())):
            for module in sorted(names):
                print(f"{name} {sign} {module}")
