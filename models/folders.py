"""Folders that appear whole or not at all."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(folder: Path, aside: Path | None = None) -> Generator[Path]:
    """Give an empty folder to write into; on success it takes the name `folder`, else it is removed.

    Written aside, synced to disk, renamed; a folder of that name is replaced. `aside` must be on the same file system;
    without it the place is beside `folder`, what an earlier, killed process left there is removed first, and one
    process at a time may write a folder.
    """
    aside = aside or folder.with_name(f".{folder.name}.partial")
    replaced = aside.with_name(f"{aside.name}-replaced")
    for leftover in (aside, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        yield aside
        for path in (*aside.rglob("*"), aside):
            _sync(path)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rename(replaced)
        aside.rename(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
