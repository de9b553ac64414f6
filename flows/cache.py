"""DVC's cache: objects that dvc.lock files refer to, and unreferenced ones."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from flows.dvc_adapter.run_cache_entries import FILES, HASH, RUNS


@dataclass(frozen=True)
class Unneeded:
    """Removable objects and run cache entries, and the size of the rest."""

    objects: tuple[Path, ...]
    runs: tuple[Path, ...]
    size: int
    kept: int

    def remove(self) -> None:
        """Delete it, files before the listings that name them: an interrupted clean-up leaves no partial folder."""
        for path in (*self.runs, *sorted(self.objects, key=lambda path: path.suffix != ".dir")):
            path.unlink(missing_ok=True)


def checksums_in(text: str) -> set[str]:
    """All hashes in the text of dvc.lock or a .dvc file, including dependencies, to be on the safe side."""
    return set(HASH.findall(text))


def find_unneeded(cache: Path, wanted: Iterable[str]) -> Unneeded:
    """Find everything in a cache except these objects and the files of the folders among them."""
    keep = set(wanted)
    for name in [name for name in keep if name.endswith(".dir")]:
        keep |= _inside(cache, name)
    objects = {path: path.parent.name + path.name for path in (cache / FILES).glob("??/*") if path.is_file()}
    gone = tuple(path for path, name in objects.items() if name not in keep)
    size = sum(path.stat().st_size for path in gone)
    runs = tuple(path for path in (cache / RUNS).glob("??/*/*") if not _outputs(path) & keep)
    return Unneeded(gone, runs, size, len(objects) - len(gone))


def _inside(cache: Path, name: str) -> set[str]:
    """Hashes of the files of a folder; none if its listing is not in the cache."""
    try:
        content = json.loads((cache / FILES / name[:2] / name[2:]).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return set()
    return {entry["md5"] for entry in content}


def _outputs(entry: Path) -> set[str]:
    """Hashes of the outputs in a run cache entry."""
    content = yaml.load(entry.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (safe)
    return {out["md5"] for out in content.get("outs", []) if "md5" in out} if isinstance(content, dict) else set()
