"""True if two outputs of a stage are the same, but for what measures the machine."""

import json
from pathlib import Path

# `files` holds the sums of the others, those with measured values among them; they are compared themselves.
MEASURED = ("cpu_s", "peak_memory_mb", "latency_ms", "throughput", "duration_s", "started", "files")


def differences(first: Path, second: Path) -> list[str]:
    """The files that differ, or are in one folder only."""
    names = sorted({str(path.relative_to(folder)) for folder in (first, second) for path in _files(folder)})
    return [name for name in names if _content(first / name) != _content(second / name)]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _content(path: Path) -> object:
    """A file's bytes; of metrics and records, the values without what is measured."""
    if not path.exists():
        return None
    if path.name in ("metrics.json", "run.json"):
        return _plain(json.loads(path.read_text(encoding="utf-8")))
    return path.read_bytes()


def _plain(content: object) -> object:
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items() if key not in MEASURED}
    return content
