"""Options of a run or a plan, shared by command line, flow and deployments."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class RunOptions:
    """Filters, profile and single values. Empty filters keep everything that params.yaml lists."""

    datasets: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    methods: tuple[str, ...] = ()
    profile: str | None = None
    """A whole params file, instead of params.yaml."""
    overrides: tuple[str, ...] = ()
    """Single values over it: "curriculum.reward=real"."""
    parallel: int = 1
    """Stages side by side, at most; with pools, those on this machine."""
    pools: tuple[str, ...] = ()
    """Work pools to which stages are sent; none: all run here."""

    def flow_parameters(self) -> dict[str, Any]:
        """The parameters of the flow, with lists: Prefect stores them as JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class ServeOptions:
    """A schedule, and the options of its runs. Exactly one of `cron` and `interval` is set."""

    run: RunOptions
    name: str
    """Name of the deployment in Prefect's UI."""
    cron: str | None = None
    interval: float | None = None
    """Seconds from the start of one run to the start of the next."""
