"""The auth string of Prefect's API: made once, for one user, told to terminals without being shown, kept from stages."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from errors import UserError
from flows import auth_string
from flows.settings import stage_environment


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(auth_string.SERVER, raising=False)


def test_it_is_made_once_however_many_ask_at_the_same_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "prefect"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(auth_string.server_auth_string, [folder] * 32))
    assert len(made) == 1
    user, _, password = made.pop().partition(":")
    assert user == "distilflow" and len(password) >= 32
    assert [path.name for path in folder.iterdir()] == [auth_string.FILE]
    assert auth_string.server_auth_string(tmp_path / "another") != f"{user}:{password}"


def test_nobody_else_can_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        auth_string.server_auth_string(tmp_path / "prefect")
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "prefect", tmp_path / "prefect" / auth_string.FILE)]
    assert modes == [0o700, 0o600]


def test_a_terminal_that_is_told_the_line_has_it_and_the_line_does_not_show_it(tmp_path: Path) -> None:
    folder = tmp_path / "it's $HOME; a folder"
    made = auth_string.server_auth_string(folder)
    line = auth_string.export_line(folder)
    assert made not in line + auth_string.login(folder)
    shown = subprocess.run(
        ("sh", "-c", f"{line}\nprintenv {auth_string.CLIENT}"), text=True, capture_output=True, check=True
    )
    assert shown.stdout.strip() == made


def test_one_of_the_users_own_is_used_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(auth_string.SERVER, "me:mine")
    assert auth_string.server_auth_string(tmp_path) == "me:mine"
    assert (
        auth_string.export_line(tmp_path) == f"export {auth_string.CLIENT}=...   # what {auth_string.SERVER} is set to"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "\n", "two\nlines", "a\0b"])
def test_a_file_without_one_is_an_error_and_no_server_without_a_password(content: str, tmp_path: Path) -> None:
    (tmp_path / auth_string.FILE).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="no auth string of Prefect's API; it is one line, user:password"):
        auth_string.server_auth_string(tmp_path)


def test_a_command_gets_it_and_its_status_is_the_commands(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("me:mine\n", encoding="utf-8")
    code = f"import os, sys; print(os.environ[{auth_string.CLIENT!r}], os.environ[{auth_string.SERVER!r}]); sys.exit(3)"
    for command, status, said in (
        ([sys.executable, "-c", code], 3, "me:mine me:mine\n"),
        (["no-such-program"], 2, "no-such-program: can't be run"),
        ([], 2, "give the command to run"),
    ):
        done = subprocess.run(
            (sys.executable, "-m", "flows.auth_string", *command),
            cwd=Path(__file__).parents[2],
            env=os.environ | {auth_string.SECRET_FILE: str(tmp_path / "secret")},
            text=True,
            capture_output=True,
        )
        assert done.returncode == status
        assert said in done.stdout + done.stderr


def test_a_stage_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (auth_string.CLIENT, auth_string.SERVER, "PREFECT_API_KEY"):
        monkeypatch.setenv(name, "s3cr3t")
    assert "s3cr3t" not in stage_environment().values()
