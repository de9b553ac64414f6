"""The command line: `python -m flows COMMAND`; each command's --help has examples.

Exit status: 0, or 2 with one line on stderr that says what to do; a run in which a stage fails ends with 1.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from errors import UserError
from flows.command_line import FORWARDED, parser
from flows.options import RunOptions, ServeOptions
from flows.settings import quiet

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    quiet()
    try:
        if given and given[0] in FORWARDED:
            return subprocess.run([sys.executable, "-m", f"tasks.{given[0]}", *given[1:]]).returncode
        if given and given[0] == "ui":
            from flows.ui import main as ui

            return ui(given[1:])
        options = parser().parse_args(given)
        status = WORK[options.command](options)
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"python -m flows {given[0]}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has read enough; what is still to be written at exit goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _plan(options: argparse.Namespace) -> int:
    from flows.plan import main as plan

    return plan(_run_options(options), as_json=options.json)


def _run(options: argparse.Namespace) -> int:
    from flows.run import main as run

    return run(_run_options(options))


def _serve(options: argparse.Namespace) -> int:
    from flows.serving import main as serve

    given = ServeOptions(_run_options(options), options.name, options.cron, options.interval)
    return serve(given, options.timezone)


def _status(options: argparse.Namespace) -> int:
    from flows.status import main as status

    return status(limit=options.limit)


def _clean(options: argparse.Namespace) -> int:
    from flows.clean import main as clean

    return clean(dry_run=options.dry_run, yes=options.yes, older_than=options.runs_older_than)


def _run_options(options: argparse.Namespace) -> RunOptions:
    return RunOptions(
        datasets=tuple(options.datasets),
        seeds=tuple(options.seeds),
        methods=tuple(options.methods),
        profile=options.profile,
        overrides=tuple(options.set),
        parallel=getattr(options, "parallel", 1),
    )


WORK: dict[str, Callable[[argparse.Namespace], int]] = {
    "plan": _plan,
    "run": _run,
    "serve": _serve,
    "status": _status,
    "clean": _clean,
}

if __name__ == "__main__":
    raise SystemExit(main())
