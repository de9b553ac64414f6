"""Start a stage on the hardware of a file of this folder, as accelerate does, and exit with its status.

    python -m hardware cpu_2 tasks.teacher --dataset rte --seed 42

is `accelerate launch --config_file hardware/cpu_2.yaml -m tasks.teacher ...`, whose launcher ends with status 1 and some
forty lines of its own, whatever the stage said. Here the stage's one line is the last, and its status is the status: 2
for an error that says what to do, 143 after SIGTERM. `launch: python -m hardware cpu_2` in params.yaml.
"""

import logging
import subprocess
import sys
from pathlib import Path

from accelerate.commands.launch import launch_command, launch_command_parser
from torch.distributed.elastic.agent.server import api as server_api
from torch.distributed.elastic.multiprocessing import api as multiprocessing_api
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

FOLDER = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """Run `NAME MODULE [argument ...]`; the exit status of the process that failed first, or 0."""
    names = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if len(arguments) < 2 or arguments[0] not in names:
        given = " ".join(arguments) or "nothing"
        print(
            f"usage: python -m hardware NAME MODULE ..., NAME one of {', '.join(names)}; given: {given}",
            file=sys.stderr,
        )
        return 2
    # Its reports on the processes repeat the stage's own words, or are about the launcher itself.
    for name in (multiprocessing_api.__name__, server_api.__name__):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    file = FOLDER / f"{arguments[0]}.yaml"
    options = launch_command_parser().parse_args(["--config_file", str(file), "-m", *arguments[1:]])
    try:
        launch_command(options)
    except ChildFailedError as error:
        return _status(error.get_first_failure()[1].exitcode)
    except subprocess.CalledProcessError as error:  # of one process, which has no such launcher
        return _status(error.returncode)
    except SignalException as end:
        return 128 + end.sigval
    return 0


def _status(code: int) -> int:
    """The exit status in shell convention; `code` is negative for a process killed by a signal."""
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
