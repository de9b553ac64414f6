"""`python -m flows run`: one run of the flow from the terminal, and what it came to as the exit status.

0: everything is up to date; 1: a stage failed; 2: it could not start; 130: Ctrl-C, or cancelled in Prefect.
"""

import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, cast, get_args

import httpx
from prefect.exceptions import PrefectException

from config import parameters
from errors import UserError
from flows.checkouts import check_repository
from flows.filters import select
from flows.graph import read_graph
from flows.options import RunOptions
from flows.outcome import Outcome, PipelineFailed, PipelineStopped
from flows.overrides import params_text
from flows.pipeline import distilflow
from flows.prefect_api import ensure_prefect_api
from flows.settings import check_environment
from flows.summary import table

PROGRAM = "python -m flows run"


def main(options: RunOptions) -> int:
    """Run the flow and print its summary; the exit status."""
    try:
        with interrupted_by_signals():
            check(Path.cwd(), options)
            ensure_prefect_api()
            return run(options)
    except UserError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped. The next run does what is missing.", file=sys.stderr)
        return 130


def check(root: Path, options: RunOptions) -> None:
    """Raise UserError or UserError for what is wrong with the options, before any server is started."""
    check_environment()
    for method in options.methods:
        if method not in get_args(parameters.Method):
            raise UserError(f"--methods {method}: no such method; those are {', '.join(get_args(parameters.Method))}")
    if options.profile or options.overrides:
        check_repository(root)
        params_text(root, Path(options.profile) if options.profile else None, options.overrides)
    else:
        parameters.load(root / "params.yaml")
        select(read_graph(root), datasets=options.datasets, seeds=options.seeds, methods=options.methods)


def run(options: RunOptions) -> int:
    """Run the flow against the Prefect API that is set."""
    try:
        outcome = distilflow(**flow_parameters(options))
    except PipelineFailed as failure:
        outcome = failure.outcome
    except PipelineStopped as stopped:
        if stopped.outcome is None:
            raise KeyboardInterrupt from None
        print(f"\n{table(stopped.outcome)}\nCancelled in Prefect. The next run does what is missing.")
        return 130
    except (PrefectException, httpx.HTTPError) as error:
        print(f"{PROGRAM}: the run ended, Prefect says: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    assert isinstance(outcome, Outcome)
    print(f"\n{table(outcome)}")
    return 0 if outcome.complete else 1


class FlowParameters(TypedDict):
    """The parameters of the flow."""

    datasets: list[str]
    seeds: list[int]
    methods: list[parameters.Method]
    profile: str | None
    overrides: list[str]
    parallel: int


def flow_parameters(options: RunOptions) -> FlowParameters:
    """The options as the flow takes them; `check` has seen to their values."""
    return {
        "datasets": list(options.datasets),
        "seeds": list(options.seeds),
        "methods": cast(list[parameters.Method], list(options.methods)),
        "profile": options.profile,
        "overrides": list(options.overrides),
        "parallel": options.parallel,
    }


@contextmanager
def interrupted_by_signals() -> Generator[None]:
    """SIGTERM and a closed terminal end a command as Ctrl-C does, which also works where a script started it with `&`."""
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else set()  # nohup
    signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} - ignored
    before = {number: signal.signal(number, signal.default_int_handler) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
