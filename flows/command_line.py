"""The options of `python -m flows`, with examples for each command. No imports of the commands."""

import argparse
import math
import platform
import tomllib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from paths import ROOT

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


class Forwarded(NamedTuple):
    """A command that needs torch or MLflow and gets its arguments in its own process."""

    module: str
    what: str


FORWARDED = {
    "pull": Forwarded("registry.pull", "download a registered student to a folder"),
    "score": Forwarded("registry.score", "label a CSV, TSV, JSONL or Parquet file with a student"),
    "compare": Forwarded("reporting.compare", "evaluated methods side by side: intervals, wins, ranks, time, memory"),
    "promote": Forwarded("registry.promote", "make a version the champion, or an earlier one again"),
}
POOLS = ("cpu", "gpu")
DATASETS = "only these datasets, and what they need (all of params.yaml)"
PROFILE = "a whole params file instead of params.yaml: a path, or the name of one in profiles/"
SET = (
    "another value, as in --set curriculum.reward=real; with it or --profile, the run gets a git worktree of its own; a run "
    "with other values registers nothing, unless registry.trials=true is among them"
)


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    whole = argparse.ArgumentParser(
        prog="python -m flows",
        description="Plan, run and schedule the pipeline; pull, score and promote what it registered.",
        epilog="python -m flows COMMAND --help shows its options and examples.",
    )
    whole.add_argument(
        "--version", action="version", version=f"distilflow {version()}", help="print the version and end"
    )
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_plan(commands)
    _add_run(commands)
    _add_serve(commands)
    _add_worker(commands)
    _add_status(commands)
    for name, (_, what) in FORWARDED.items():  # for the list in --help; main() does not come this far with them
        commands.add_parser(name, help=what)
    _add_clean(commands)
    _add_ui(commands)
    return whole


def version() -> str:
    """The version of this checkout, from pyproject.toml."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]["version"]


def _add_plan(commands: "Commands") -> None:
    plan = _command(
        commands,
        "plan",
        "what would run, why, and how long it took last time; runs nothing",
        "python -m flows plan",
        "python -m flows plan --datasets rte copa --seeds 42",
        "python -m flows plan --set curriculum.reward=real --set curriculum.update=step",
        "python -m flows plan --profile superglue-minilm --json",
    )
    _add_selection(plan)
    _add_pool(plan)
    plan.add_argument("--json", action="store_true", help="for programs: every stage, also those that are up to date")


def _add_run(commands: "Commands") -> None:
    run = _command(
        commands,
        "run",
        "run what is out of date, as a Prefect flow",
        "python -m flows run",
        "python -m flows run --datasets rte --methods mpdistil --parallel 2",
        "python -m flows run --set curriculum.reward=real     # params.yaml stays as it is",
        "python -m flows run --pool cpu --pool gpu            # on the machines that run `python -m flows worker`",
    )
    _add_selection(run)
    _add_parallel(run)


def _add_serve(commands: "Commands") -> None:
    serve = _command(
        commands,
        "serve",
        "wait here and run on a schedule, and when asked to in Prefect's UI; needs no work pool",
        'python -m flows serve --cron "0 2 * * *"             # every night at two',
        "python -m flows serve --interval 3600 --seeds 42     # every hour, one seed",
    )
    when = serve.add_mutually_exclusive_group(required=True)
    when.add_argument("--cron", metavar="EXPR", help="minute hour day month weekday")
    when.add_argument("--interval", type=_seconds, metavar="SECONDS", help="from the start of one run to the next")
    serve.add_argument("--timezone", default="UTC", metavar="NAME", help="of --cron, as in Europe/Berlin (UTC)")
    serve.add_argument("--name", default="local", help="of the deployment in Prefect (local)")
    _add_selection(serve)
    _add_parallel(serve)


def _add_worker(commands: "Commands") -> None:
    worker = _command(
        commands,
        "worker",
        "serve a work pool: run stages that `run --pool` sends, on this machine",
        "python -m flows worker --pool cpu",
        "CUDA_VISIBLE_DEVICES=1 python -m flows worker --pool gpu     # one worker for each GPU",
        "python -m flows worker --pool cpu --check                    # only say what is missing",
    )
    worker.add_argument("--pool", required=True, choices=POOLS, help="the class of stages that are taken")
    worker.add_argument("--limit", type=_count, default=1, metavar="N", help="stages side by side, at most (1)")
    worker.add_argument("--name", default=platform.node(), help="of this machine, in logs and states (its host name)")
    worker.add_argument("--check", action="store_true", help="look whether all that a worker needs is there, and end")


def _add_status(commands: "Commands") -> None:
    status = _command(
        commands,
        "status",
        "the last runs and the next scheduled ones, as the Prefect server knows them",
        "python -m flows status",
        "python -m flows status --limit 20",
    )
    status.add_argument("--limit", type=_count, default=5, metavar="N", help="runs to show (5)")


def _add_clean(commands: "Commands") -> None:
    clean = _command(
        commands,
        "clean",
        "remove from DVC's cache what neither the workspace, a branch, a tag, an experiment nor a registered version needs",
        "python -m flows clean --dry-run",
        "python -m flows clean --yes --runs-older-than 30",
    )
    clean.add_argument("--dry-run", action="store_true", help="only say what would go")
    clean.add_argument("--yes", action="store_true", help="don't ask")
    clean.add_argument(
        "--runs-older-than", type=_days, metavar="DAYS", help="remove results in outputs/runs that are older, too"
    )


def _add_ui(commands: "Commands") -> None:
    ui = _command(
        commands,
        "ui",
        "start MLflow and Prefect on this machine, on loopback only, and print their addresses",
        "python -m flows ui",
        "python -m flows ui --prefect-port 4300 --mlflow-port 5300",
    )
    ui.add_argument("--prefect-port", type=_port, default=4200, metavar="PORT", help="default: 4200")
    ui.add_argument("--mlflow-port", type=_port, default=5000, metavar="PORT", help="default: 5000")


def _command(commands: "Commands", name: str, what: str, *examples: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog="\n  ".join(["examples:", *examples]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_selection(command: argparse.ArgumentParser) -> None:
    """Add the options for filters, profile and single values."""
    command.add_argument("--datasets", nargs="+", default=[], metavar="NAME", help=DATASETS)
    command.add_argument("--seeds", nargs="+", default=[], type=int, metavar="N", help="only these seeds")
    command.add_argument("--methods", nargs="+", default=[], metavar="NAME", help="only these methods")
    command.add_argument("--profile", metavar="FILE", help=PROFILE)
    command.add_argument("--set", nargs="+", default=[], action="extend", metavar="KEY=VALUE", help=SET)


def _add_parallel(command: argparse.ArgumentParser) -> None:
    command.add_argument("--parallel", type=_count, default=1, metavar="N", help="stages side by side, at most (1)")
    _add_pool(command)


def _add_pool(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--pool",
        action="append",
        default=[],
        choices=POOLS,
        help="send stages to the workers of this pool (`python -m flows worker`); may be repeated",
    )


def _number(least: float, most: float, allowed: str, *, whole: bool = False) -> Callable[[str], float]:
    """A reader of numbers in a range, for argparse; `allowed` is its error."""

    def read(text: str) -> float:
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = math.nan
        if not least <= value < most:
            raise argparse.ArgumentTypeError(f"{text}: {allowed}")
        return value

    return read


_count = _number(1, math.inf, "a whole number from 1", whole=True)
_port = _number(1, 65536, "no port; allowed are 1 to 65535", whole=True)
_seconds = _number(1, math.inf, "a number of seconds from 1")
_days = _number(0, math.inf, "a number of days from 0")
