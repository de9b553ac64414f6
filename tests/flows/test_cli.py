"""`python -m flows` itself: help with examples, forwarded commands, errors that say what to do."""

import shlex
import subprocess
import sys
from pathlib import Path
from shlex import split

import pytest

from flows.__main__ import main
from flows.command_line import FORWARDED, parser

ROOT = Path(__file__).parents[2]
COMMANDS = ("plan", "run", "serve", "status", "clean", "ui")


def flows(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The command line as a process of its own."""
    return subprocess.run([sys.executable, "-m", "flows", *arguments], cwd=cwd, text=True, capture_output=True)


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"    {name} " in printed for name in (*COMMANDS, *FORWARDED))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_examples_that_it_understands(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    examples = capsys.readouterr().out.split("examples:")[1].strip().splitlines()
    assert examples
    for line in examples:
        words = split(line.split("   #")[0])
        assert words[:3] == ["python", "-m", "flows"]
        assert parser().parse_args(words[3:]).command == command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve"], "one of the arguments --cron --interval is required"),
        (["serve", "--cron", "0 2 * * *", "--interval", "60"], "not allowed with argument"),
        (["serve", "--interval", "0"], "0: a number of seconds from 1"),
        (["run", "--parallel", "0"], "0: a whole number from 1"),
        (["plan", "--seeds", "one"], "invalid int value: 'one'"),
        (["clean", "--runs-older-than", "-1"], "-1: a number of days from 0"),
        (["clean", "--runs-older-than", "soon"], "soon: a number of days from 0"),
        (["pln"], "invalid choice: 'pln'"),
        ([], "required: COMMAND"),
    ],
)
def test_a_wrong_argument_ends_with_status_2_and_what_is_allowed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_an_error_is_one_line_on_stderr_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plan"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"python -m flows plan: {tmp_path}/params.yaml: no such file; start from one in profiles/\n"


@pytest.mark.parametrize("command", FORWARDED)
def test_a_forwarded_command_shows_its_own_help(command: str) -> None:
    done = flows(command, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: python -m {FORWARDED[command].module}" in done.stdout


def test_the_version_is_that_of_pyproject(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    printed = capsys.readouterr().out.split()
    assert printed == ["distilflow", printed[1]]
    assert f'\nversion = "{printed[1]}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    command = (
        f"{shlex.quote(sys.executable)} -m flows plan --json 2>&1 >&3 | cat"  # its stderr; its stdout is closed at once
    )
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as reader:
        reader.wait()
        assert reader.stdin
        done = subprocess.run(
            ["bash", "-c", f"exec 3>&{reader.stdin.fileno()}; {command}"],
            cwd=ROOT,
            text=True,
            capture_output=True,
            pass_fds=(reader.stdin.fileno(),),
        )
    assert (done.stdout, done.stderr) == ("", "")


def test_a_forwarded_command_passes_on_its_arguments_and_its_status() -> None:
    done = flows("pull", "no model", "--to", "/dev/null/folder")
    assert done.returncode == 2
    assert "no model" in done.stderr
