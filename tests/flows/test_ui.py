"""`python -m flows ui`: both servers really run, on loopback only, and end together without a trace."""

import contextlib
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from local_servers import (
    LOOPBACK,
    answers,
    copy_of_the_flows,
    free_ports,
    listeners,
    living,
    quiet_environment,
    wait_until,
)
from other_origin import (
    assert_mlflow_is_closed,
    assert_prefect_is_closed,
    basic,
    chromium,
    deployment,
    runs,
    seen_by_a_page,
)

from flows import auth_string, ui
from flows.servers import Server

pytestmark = pytest.mark.xdist_group("local servers")
COMMAND = (sys.executable, "-m", "flows", "ui")
# Small servers instead of the two: one answers, the other ends after a while.
SMALL = """
import sys
from pathlib import Path
from errors import UserError
from flows.servers import Server, serve

def server(name, port, code):
    command = (sys.executable, "-c", code, str(port))
    return Server(name, command, port, f"--{name}-port", "/", Path(name).absolute(), {"PATH": "/bin"})

stays = "import sys, http.server as h; h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='127.0.0.1')"
ends = "import threading, os; print('out of paper', flush=True); threading.Timer(2, os._exit, [3]).start();" + stays
child = "import subprocess; subprocess.Popen(['sleep', '300']);" + stays
kinds = {"stays": stays, "ends": ends, "child": child}
try:
    serve([server(name, int(port), kinds[name]) for name, port in zip(sys.argv[1::2], sys.argv[2::2])],
          lambda: print("all answer", flush=True))
except UserError as error:
    sys.exit(str(error))
"""


@dataclass
class Running:
    """The command that runs, and its ports."""

    process: "subprocess.Popen[str]"
    folder: Path
    prefect: int
    mlflow: int
    printed: list[str]

    @property
    def api(self) -> str:
        """The address of Prefect's API."""
        return f"http://127.0.0.1:{self.prefect}/api"

    @property
    def auth_string(self) -> str:
        """The auth string of Prefect's API."""
        return auth_string.read(self.folder / "outputs" / "prefect" / auth_string.FILE)


@pytest.fixture(scope="module")
def started() -> Iterator[list[Running]]:
    """Everything started for these tests; the last one may still run."""
    found: list[Running] = []
    yield found
    for one in found:
        one.process.terminate()
        one.process.communicate(timeout=300)


@pytest.fixture
def running(started: list[Running], tmp_path_factory: pytest.TempPathFactory) -> Running:
    """Both servers, which answer: those of the test before, unless it has ended them."""
    if not started or started[-1].process.poll() is not None:
        started.append(both(tmp_path_factory))
    return started[-1]


def both(tmp_path_factory: pytest.TempPathFactory) -> Running:
    """Start both servers in a new checkout, and wait until they answer."""
    folder = copy_of_the_flows(tmp_path_factory.mktemp("ui") / "a checkout")
    prefect, mlflow = free_ports(2)
    process = start(folder, "--prefect-port", str(prefect), "--mlflow-port", str(mlflow))
    assert process.stdout
    printed: list[str] = []
    for line in process.stdout:
        printed.append(line.rstrip("\n"))
        if line.startswith("Ctrl-C"):
            break
    return Running(process, folder, prefect, mlflow, printed)


def start(folder: Path, *options: str, **own: str) -> "subprocess.Popen[str]":
    """Start the command, its error output among its output."""
    return subprocess.Popen(
        (*COMMAND, *options),
        cwd=folder,
        env=quiet_environment(**own),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_both_answer_and_what_is_printed_leads_to_them(running: Running) -> None:
    printed = "\n".join(running.printed)
    assert f"export PREFECT_API_URL=http://127.0.0.1:{running.prefect}/api\n" in printed
    assert f"export MLFLOW_TRACKING_URI=http://127.0.0.1:{running.mlflow} " in printed
    assert answers(f"http://127.0.0.1:{running.prefect}/api/health") == 200
    assert answers(f"http://127.0.0.1:{running.prefect}/") == 200
    assert answers(f"http://127.0.0.1:{running.mlflow}/") == 200


def test_they_listen_on_loopback_and_nowhere_else(running: Running) -> None:
    assert listeners(running.prefect) == {LOOPBACK}
    assert listeners(running.mlflow) == {LOOPBACK}


def test_a_web_page_of_another_origin_reads_nothing_and_starts_nothing(running: Running) -> None:
    assert_prefect_is_closed(running.api, running.auth_string)
    assert_mlflow_is_closed(f"http://127.0.0.1:{running.mlflow}")


def test_nor_does_it_in_a_real_browser(running: Running) -> None:
    chromium()
    authorization = basic(running.auth_string)
    start = deployment(running.api, authorization)
    before = runs(running.api, authorization)
    seen = seen_by_a_page(running.api, f"http://127.0.0.1:{running.mlflow}", start)
    # What it sends without asking is sent whether or not the server takes it.
    assert seen == {"read": "refused", "start": "sent", "register": "sent", "registry": "refused", "logs": "closed"}
    assert runs(running.api, authorization) == before
    assert_mlflow_is_closed(f"http://127.0.0.1:{running.mlflow}")


def test_the_auth_string_is_for_this_user_alone_and_on_no_command_line(running: Running) -> None:
    file = running.folder / "outputs" / "prefect" / auth_string.FILE
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    family = [psutil.Process(running.process.pid), *psutil.Process(running.process.pid).children(recursive=True)]
    assert running.auth_string not in "\n".join(
        [*running.printed, *(word for each in family for word in each.cmdline())]
    )
    logs = "".join(path.read_text(encoding="utf-8") for path in running.folder.glob("outputs/*/server.log"))
    assert running.auth_string not in logs
    registry = "postgresql://somebody:pa55word@registry.example.org/mlflow"
    assert "pa55word" not in " ".join(ui.mlflow_server(1, registry).command)


def test_another_terminal_gets_in_by_the_printed_lines_and_is_told_so_without_them(running: Running) -> None:
    exports = "\n".join(line for line in running.printed if line.startswith("  export PREFECT_"))
    command = f"exec {shlex.quote(sys.executable)} -m flows status"
    inside = terminal(running.folder, f"{exports}\n{command}")
    assert (inside.returncode, inside.stderr) == (0, "")
    assert "No run of distilflow yet." in inside.stdout
    for own, said in (
        (f"unset {auth_string.CLIENT}", "not set"),
        (f"{auth_string.CLIENT}=distilflow:no", "another one"),
    ):
        outside = terminal(running.folder, f"{exports}\n{own}\n{command}")
        assert outside.returncode == 2
        line = next(line for line in running.printed if auth_string.CLIENT in line).strip()
        assert (
            f"asks for an auth string, and {auth_string.CLIENT} is {said}; that of `make ui` here: {line}"
            in outside.stderr
        )


def terminal(folder: Path, commands: str) -> "subprocess.CompletedProcess[str]":
    """The lines that a person types into another terminal."""
    return subprocess.run(
        ("sh", "-c", commands), cwd=folder, env=quiet_environment(), text=True, capture_output=True, timeout=120
    )


def test_they_keep_everything_in_outputs_of_the_checkout(running: Running) -> None:
    outputs = running.folder / "outputs"
    assert sorted(path.name for path in outputs.iterdir()) == ["mlflow", "prefect"]
    assert (outputs / "mlflow" / "mlflow.db").is_file()
    assert (outputs / "prefect" / "prefect.db").is_file()


def test_a_port_in_use_is_one_error_that_names_port_and_option_and_nothing_starts(running: Running) -> None:
    before = psutil.Process().children(recursive=True)
    free = free_ports(1)[0]
    second = start(running.folder, "--prefect-port", str(free), "--mlflow-port", str(running.mlflow))
    output, _ = second.communicate(timeout=300)
    assert second.returncode == 2
    error = [line for line in output.splitlines() if not line.startswith("Starting")]
    assert len(error) == 1
    assert f"--mlflow-port {running.mlflow}" in error[0]
    assert "choose another port with --mlflow-port" in error[0]
    assert [each for each in living(psutil.Process().children(recursive=True)) if each not in before] == []
    assert answers(f"http://127.0.0.1:{running.mlflow}/health") == 200


def test_ctrl_c_stops_both_and_leaves_no_process(running: Running) -> None:
    family = psutil.Process(running.process.pid).children(recursive=True)
    assert len(family) >= 2
    running.process.send_signal(signal.SIGINT)
    output, _ = running.process.communicate(timeout=300)
    assert running.process.returncode == 0
    assert output.endswith("Stopped MLflow and Prefect.\n")
    assert living(family) == []
    assert answers(f"http://127.0.0.1:{running.prefect}/api/health") == 0


def test_killed_while_it_makes_mlflows_database_it_leaves_none_that_cannot_be_opened(tmp_path: Path) -> None:
    folder = copy_of_the_flows(tmp_path / "killed")
    prefect, mlflow = free_ports(2)
    process = start(folder, "--prefect-port", str(prefect), "--mlflow-port", str(mlflow))
    try:
        wait_until(lambda: any(has_begun(file) for file in folder.glob("outputs/mlflow/*mlflow.db*")))
    finally:
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            each.kill()
        process.communicate(timeout=300)
    opened = subprocess.run(
        (sys.executable, "-m", "registry.database"),
        cwd=folder,
        env=quiet_environment(),
        capture_output=True,
        text=True,
    )
    assert (opened.returncode, opened.stderr) == (0, "")
    assert (folder / "outputs/mlflow/mlflow.db").is_file()


def has_begun(file: Path) -> bool:
    """Return whether MLflow's migrations of a database have begun; they can't go on where they were broken off."""
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            return bool(database.execute("select name from sqlite_master where name = 'alembic_version'").fetchall())
    except sqlite3.Error:  # a journal, or locked just now
        return False


def test_a_server_that_ends_by_itself_takes_the_others_along_and_its_last_lines_are_shown(tmp_path: Path) -> None:
    process, folder = small(tmp_path, "stays", "ends")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "ends ended by itself (status 3)" in output
    assert "out of paper" in output
    assert of(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_child_of_a_server_ends_with_it(tmp_path: Path, number: signal.Signals) -> None:
    process, folder = small(tmp_path, "stays", "child")
    assert process.stdout
    assert process.stdout.readline() == "all answer\n"
    assert "sleep" in [each.name() for each in of(folder)]
    process.send_signal(number)
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert of(folder) == []


def test_a_registry_on_a_server_is_not_started_but_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[str] = []

    def at_once(servers: Sequence[Server], announce: Callable[[], None]) -> None:
        started.extend(server.name for server in servers)
        announce()

    monkeypatch.setattr(ui, "serve", at_once)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://registry.example.org")
    assert ui.main(4200, 5000) == 0
    assert started == ["Prefect"]
    assert "MLflow   https://registry.example.org (MLFLOW_TRACKING_URI; not started here)" in (capsys.readouterr().out)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--mlflow-port", "70000"), "70000: no port; allowed are 1 to 65535"),
        (("--mlflow-port", "4200"), "--prefect-port and --mlflow-port are both 4200"),
    ],
)
def test_wrong_ports_are_refused(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    process = start(copy_of_the_flows(tmp_path / "checkout"), *options)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert said in output


def small(tmp_path: Path, *kinds: str) -> "tuple[subprocess.Popen[str], Path]":
    """Start small servers in a folder; they run below it."""
    folder = copy_of_the_flows(tmp_path / "small")
    pairs = [word for kind, port in zip(kinds, free_ports(len(kinds)), strict=True) for word in (kind, str(port))]
    process = subprocess.Popen(
        (sys.executable, "-c", SMALL, *pairs),
        cwd=folder,
        env=quiet_environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return process, folder


def of(folder: Path) -> list[psutil.Process]:
    """Processes whose working folder lies in `folder`."""
    found = []
    for each in psutil.process_iter():
        try:
            if folder in Path(each.cwd()).parents and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
        except psutil.Error:
            continue
    return found
