"""Values of the records that stages leave as JSON."""

from collections.abc import Mapping

from errors import UserError


def number_in(content: Mapping[str, object], *keys: str) -> float:
    """Return the number at a path of keys of evaluate's metrics.json. Raises UserError if there is none."""
    value: object = content
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(value, int | float):
        raise UserError(f"evaluate's metrics.json has no number at '{'.'.join(keys)}'; run evaluate again")
    return float(value)
