"""A `python` for DVC in tests: it runs `python -m tasks.STAGE` in a fork of a process that has imported torch already.

A stage of these tests works for a second, and Python imports what it needs for seven. Each stage still is a process of
its own, in its own folder, with the command line and environment that DVC gives it, and imports this project's code
from that folder. Processes that start from nothing are what `make demo`, `make chaos` and the stages by hand of
test_same_weights.py run.

`python warm_python.py SOCKET` serves; the script that `warm_folder` writes asks it.
"""

import array
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

IMPORTED = (
    "accelerate",
    "jinja2",
    "matplotlib.figure",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "safetensors.torch",
    "tokenizers",
    "torch.distributed.fsdp",
    "torch.func",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.bert.modeling_bert",
)
"""Packages of others; nothing of this project."""
ASKING = """
import array, json, os, signal, socket, sys

if sys.argv[1:2] != ["-m"] or not sys.argv[2].startswith("tasks."):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
request = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
os.chdir({folder!r})
asked = socket.socket(socket.AF_UNIX)
asked.connect("socket")
own = array.array("i", [0, 1, 2])
asked.sendmsg([len(request).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, own)])
asked.sendall(request)
answers = asked.makefile()
stage = int(answers.readline())
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: os.kill(stage, number))
sys.exit(int(answers.readline()))
"""


@contextlib.contextmanager
def warm_folder(folder: Path) -> Generator[Path]:
    """A folder for the front of PATH whose `python` is warm, until the end of the context."""
    from programs import write_program  # not at the top: the server, which runs this file, finds no module of the tests

    address, tools = folder / "socket", folder / "bin"
    tools.mkdir(parents=True)
    code = ASKING.format(python=sys.executable, folder=str(folder))
    # Without `site`: it needs the standard library alone, and starts in a third of the time.
    write_program(tools / "python", code, python=sys.executable, options=("-S", "-E"))
    settings = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen([sys.executable, __file__, str(address)], env=os.environ | settings)
    try:
        end = time.monotonic() + 300
        while not address.exists():
            assert server.poll() is None and time.monotonic() < end, "no warm python in five minutes"
            time.sleep(0.05)
        yield tools
    finally:
        server.kill()
        server.wait()


def serve(address: Path) -> None:
    """Import what takes long, then fork a process for every stage that is asked for."""
    for name in IMPORTED:
        importlib.import_module(name)
    assert not [name for name in ("config", "tasks", "models") if name in sys.modules]
    # A fork has no thread but the one that forks; pyarrow's allocator starts its own again.
    threads = [path.read_text(encoding="utf-8").strip() for path in Path("/proc/self/task").glob("*/comm")]
    assert len([name for name in threads if name != "jemalloc_bg_thd"]) == 1, threads
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    listening = socket.socket(socket.AF_UNIX)
    os.chdir(address.parent)  # the address of a socket has 107 bytes at most, and a folder may take them all
    listening.bind(f"{address.name}.new")
    listening.listen()
    Path(f"{address.name}.new").rename(address.name)
    while True:
        connection, _ = listening.accept()
        size, passed, _, _ = connection.recvmsg(8, socket.CMSG_SPACE(12))
        own = array.array("i", passed[0][2])
        if os.fork() == 0:
            listening.close()
            _attend(connection, int.from_bytes(size, "big"), own)
        connection.close()
        for one in own:
            os.close(one)


def _attend(connection: socket.socket, size: int, own: "array.array[int]") -> None:
    """Start the stage, tell which process it is and how it ended. Returns in the stage alone, when its work is done."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection.makefile("rb") as asked:
        (module, *options), folder, environment = json.loads(asked.read(size))
    stage = os.fork()
    if stage:
        for one in own:
            os.close(one)
        connection.sendall(b"%d\n" % stage)
        status = os.waitstatus_to_exitcode(os.waitpid(stage, 0)[1])
        connection.sendall(b"%d\n" % (status if status >= 0 else 128 - status))
        os._exit(0)
    connection.close()
    for stream, one in enumerate(own):
        os.dup2(one, stream)
        os.close(one)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = [module, *options], folder
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
