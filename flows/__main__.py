"""The command line: `python -m flows COMMAND`; each command's --help has examples.

Exit status: 0, or 2 with one line on stderr that says what to do; a run in which a stage fails ends with 1.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from errors import UserError
from flows.command_line import FORWARDED, parser
from flows.options import RunOptions, ServeOptions
from flows.settings import quiet

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    quiet()
    try:
        if given and given[0] in FORWARDED:
            return subprocess.run([sys.executable, "-m", FORWARDED[given[0]].module, *given[1:]]).returncode
        status = _run_command(parser().parse_args(given))
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"python -m flows {given[0]}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if given[0] == "run":
            print("Stopped. The next run does what is missing.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has read enough; what is still to be written at exit goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run_command(options: argparse.Namespace) -> int:
    """Import only the modules that the command needs, and run it."""
    match options.command:
        case "plan":
            from flows import plan

            return plan.main(_run_options(options), as_json=options.json)
        case "run":
            from flows import run

            return run.main(_run_options(options))
        case "serve":
            from flows import serving

            served = ServeOptions(_run_options(options), options.name, options.cron, options.interval)
            return serving.main(served, options.timezone)
        case "worker":
            from flows.fleet import worker

            return worker.main(options.pool, options.limit, options.name, check_only=options.check)
        case "status":
            from flows import status

            return status.main(options.limit)
        case "clean":
            from flows import clean

            return clean.main(dry_run=options.dry_run, yes=options.yes, older_than=options.runs_older_than)
        case _:
            from flows import ui

            return ui.main(options.prefect_port, options.mlflow_port)


def _run_options(options: argparse.Namespace) -> RunOptions:
    return RunOptions(
        datasets=tuple(options.datasets),
        seeds=tuple(options.seeds),
        methods=tuple(options.methods),
        profile=options.profile,
        overrides=tuple(options.set),
        parallel=getattr(options, "parallel", 1),
        pools=tuple(dict.fromkeys(getattr(options, "pool", ()))),
    )


if __name__ == "__main__":
    raise SystemExit(main())
