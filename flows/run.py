"""`python -m flows run`: one run of the flow from the terminal; its outcome is the exit status.

0: everything is up to date; 1: a stage failed; 2: it could not start; 130: Ctrl-C, or cancelled in Prefect.
"""

import os
import sys
from pathlib import Path

import httpx
from prefect.exceptions import PrefectException

import environment
from config import parameters
from config.methods import METHODS
from errors import UserError
from flows.checkouts import check_repository
from flows.dvc_adapter.repository import open_unheld
from flows.filters import select
from flows.graph import read_graph
from flows.options import RunOptions
from flows.outcome import Outcome, PipelineFailed, PipelineStopped
from flows.overrides import params_text
from flows.pipeline import distilflow
from flows.prefect_api import ensure_prefect_api, server_address
from flows.signal_handlers import as_ctrl_c
from flows.summary import table

PROGRAM = "python -m flows run"


def main(options: RunOptions) -> int:
    """Run the flow and print its summary; return the exit status."""
    with as_ctrl_c():
        check(Path.cwd(), options)
        ensure_prefect_api()
        return run(options)


def check(root: Path, options: RunOptions) -> None:
    """Raise UserError for invalid options, before any server is started."""
    environment.check(os.environ)
    for method in options.methods:
        if method not in METHODS:
            raise UserError(f"--methods {method}: no such method; those are {', '.join(METHODS)}")
    if options.pools:
        check_pools(root)
    if options.profile or options.overrides:
        check_repository(root)
        params_text(root, Path(options.profile) if options.profile else None, options.overrides)
    else:
        parameters.load(root / "params.yaml")
        select(read_graph(root), datasets=options.datasets, seeds=options.seeds, methods=options.methods)


def check_pools(root: Path) -> None:
    """Raise UserError unless there are a server and a remote that other machines can reach, too."""
    if server_address() is None:
        raise UserError(
            "--pool: PREFECT_API_URL is not set, and workers need a server that stays: start one with `make ui`, then here the "
            "two `export PREFECT_...` that it prints"
        )
    from flows.dvc_adapter.remote_files import remote_files

    with open_unheld(root) as repo:
        remote_files(repo)


def run(options: RunOptions) -> int:
    """Run the flow against the configured Prefect API."""
    try:
        outcome = distilflow(**options.flow_parameters())
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
