"""Values of the records that stages leave as JSON."""

from collections.abc import Mapping

from tasks.running.stage import StageError


def number_in(content: Mapping[str, object], *keys: str) -> float:
    """Return the number at a path of keys of evaluate's metrics.json. Raises StageError if there is none."""
    value: object = content
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, int | float):
        raise StageError(f"evaluate's metrics.json has no number at '{'.'.join(keys)}'; run evaluate again")
    return float(value)
