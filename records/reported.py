"""Records of report, limited to the parts that our own programs read."""

from typing import ClassVar

from pydantic import ConfigDict

from records.base import RecordPart


class ReportPart(RecordPart):
    """A part of report.json, which has more for other programs."""

    model_config = ConfigDict(extra="ignore")


class ReportScore(ReportPart):
    """Mean over seeds, and its standard deviation if there are several."""

    mean: float
    sd: float | None


class ReportInterval(ReportPart):
    """A difference with the ends of its interval; None if there are too few rows for one."""

    difference: float
    low: float | None
    high: float | None


class ReportMargin(ReportPart):
    """Student minus teacher."""

    interval: ReportInterval


class ReportDataset(ReportPart):
    """One dataset, by column."""

    name: str
    headline: str
    scores: dict[str, ReportScore]
    margins: dict[str, ReportMargin]


class ReportRecord(ReportPart):
    """report.json; scores are fractions."""

    FILE: ClassVar[str] = "report.json"
    protocol: str
    seeds_note: str
    columns: dict[str, str]
    """Column -> heading."""
    methods: tuple[str, ...]
    datasets: tuple[ReportDataset, ...]


class ChosenPoints(ReportPart):
    """points.json of `experiments.grid --grids`."""

    points: dict[str, int]
    """Method -> number of points tried."""
