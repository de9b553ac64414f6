"""Records of register."""

from records.base import Record


class RegisterMetrics(Record):
    """metrics.json of register."""

    students: int
    new: int
    missing: int
    reachable: bool
