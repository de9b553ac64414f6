"""The auth string of Prefect's API, `user:password`; without it the server answers health checks only.

    python -m flows.auth_string COMMAND ...      run a command that finds it in its environment

takes it from the file that DISTILFLOW_AUTH_FILE names, by default the Docker secret of compose.yaml. It is never an
argument: other users of a machine can read those.
"""

import os
import secrets
import shlex
import sys
import tempfile
from pathlib import Path

from errors import UserError

CLIENT = "PREFECT_API_AUTH_STRING"
SERVER = "PREFECT_SERVER_API_AUTH_STRING"
FILE = "auth-string"
"""Path of the file in the folder of the server's database, readable by this user only."""
SECRET_FILE = "DISTILFLOW_AUTH_FILE"  # noqa: S105 (the name of a variable)
SECRET = Path("/run/secrets/prefect_auth")
PROGRAM = "python -m flows.auth_string"


def server_auth_string(folder: Path) -> str:
    """The auth string of a server with its database in `folder`: from the environment, else from the folder's file."""
    return _set_by_the_user() or _own(folder / FILE)


def export_line(folder: Path) -> str:
    """The shell line that gives a terminal access to such a server; it does not contain the secret itself."""
    if _set_by_the_user():
        return f"export {CLIENT}=...   # what {SERVER} is set to"
    return f'export {CLIENT}="$({_show(folder)})"'


def login(folder: Path) -> str:
    """Describe the login of Prefect's user interface."""
    return f"what {SERVER} is set to" if _set_by_the_user() else f"what this prints: {_show(folder)}"


def _set_by_the_user() -> str:
    return os.environ.get(SERVER, "").strip()


def _show(folder: Path) -> str:
    return f"cat {shlex.quote(str(folder / FILE))}"


def read(path: Path) -> str:
    """Read the auth string from a file. Raises UserError if there is none."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise UserError(f"{path}: the auth string of Prefect's API can't be read ({reason})") from None
    if not text or not text.isprintable():
        raise UserError(f"{path}: no auth string of Prefect's API; it is one line, user:password")
    return text


def _own(path: Path) -> str:
    """Read the auth string from a file, creating it if needed."""
    if not path.exists():
        try:
            _make(path)
        except OSError as error:
            raise UserError(
                f"{path}: the auth string of Prefect's API can't be written ({error.strerror}); set PREFECT_HOME to a folder "
                "that can be"
            ) from None
    return read(path)


def _make(path: Path) -> None:
    """Write a new auth string to a file readable by this user only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the database has what runs were given, and said
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f"{FILE}.")  # for this user alone, whatever the umask
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(f"distilflow:{secrets.token_urlsafe(32)}\n")
    made = Path(name)
    try:
        path.hardlink_to(made)  # appears whole, and of two processes only one makes it
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        made.replace(path)
    made.unlink(missing_ok=True)


def main(command: list[str]) -> int:
    """Replace this process by the command; return the exit status if that fails."""
    try:
        if not command:
            raise UserError("give the command to run, as in `prefect deployment ls`")
        auth_string = read(Path(os.environ.get(SECRET_FILE) or SECRET))
        os.execvpe(command[0], command, os.environ | {CLIENT: auth_string, SERVER: auth_string})  # noqa: S606
    except UserError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
    except OSError as error:
        print(f"{PROGRAM}: {command[0]}: can't be run ({error.strerror})", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
