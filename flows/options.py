"""Options of a run or a plan, as one value that the command line, the flow and its deployments share."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class RunOptions:
    """Filters, another profile, other values. Empty filters mean everything that params.yaml lists."""

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
        """The parameters of the flow: Prefect stores a run's parameters as JSON, which has lists."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class ServeOptions:
    """A schedule, and the options of its runs. Exactly one of `cron` and `interval` is given."""

    run: RunOptions
    name: str
    """Of the deployment, as Prefect's UI lists it."""
    cron: str | None = None
    interval: float | None = None
    """Seconds from the start of one run to that of the next."""
