"""Records of report, and of what else its readers are given: those parts that a program of ours reads."""

from pydantic import BaseModel, ConfigDict


class ChosenPoints(BaseModel):
    """points.json of `experiments.grid --grids`; the rest of it is for people."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")
    points: dict[str, int]
    """Method -> points that were tried."""
