"""The Prefect API for a command: the configured one, or a temporary server."""

import atexit
import contextlib
import json
import os
import socket
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.context import get_settings_context
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL, temporary_settings

from errors import UserError
from flows import auth_string
from flows.crash_recovery import end_servers
from flows.file_locks import locked
from flows.process_notes import write_note
from flows.servers import LOOPBACK, running, wait_for_answer
from flows.ui import prefect_folder, prefect_server
from paths import OPENING, without_password

PATIENCE = 10.0
# It is there for one run: schedules belong to a server that stays.
NO_SCHEDULES = ("--no-scheduler", "--no-late-runs")


def server_address() -> str | None:
    """The address in PREFECT_API_URL or the Prefect profile. Raises UserError if no Prefect answers there."""
    address = PREFECT_API_URL.value()
    if address:
        check(address)
    return address or None


def ensure_prefect_api() -> None:
    """Provide a Prefect API: the configured one, else a server that ends with this process.

    It has the database of `make ui`, and it goes after everything else: Prefect sends its last logs at exit.
    """
    if server_address():
        return
    print("PREFECT_API_URL is not set: starting a temporary Prefect server ...", file=sys.stderr, flush=True)
    at_exit = contextlib.ExitStack()
    atexit.register(at_exit.close)
    folder = Path(at_exit.enter_context(tempfile.TemporaryDirectory()))
    for line in end_servers(Path.cwd()):
        print(line, file=sys.stderr)
    server = prefect_server(_free_port())
    server = replace(server, command=(*server.command, *NO_SCHEDULES), folder=folder)
    # Two servers that make the tables of one fresh database at once would both fail.
    with locked(Path(server.environment["PREFECT_HOME"], OPENING)):
        process = at_exit.enter_context(running(server))
        note = write_note(Path.cwd(), "server", str(process.pid), server=process.pid)
        at_exit.callback(note.unlink, missing_ok=True)
        wait_for_answer(server, process, threading.Event())
    secret = server.environment[auth_string.SERVER]
    at_exit.enter_context(
        temporary_settings(updates={PREFECT_API_URL: f"{server.address}/api", PREFECT_API_AUTH_STRING: secret})
    )


def check(address: str) -> None:
    """Raise UserError unless a Prefect API at this address accepts requests of this process."""
    problem = _problem(address)
    if problem is None:
        return _check_auth_string(address)
    raise UserError(
        f"PREFECT_API_URL={without_password(address)}: {problem}; start a server (`make ui`), correct the address "
        f"(it ends with /api, as in http://{LOOPBACK}:4200/api), or {_how_to_unset()}"
    )


def _problem(address: str) -> str | None:
    """The reason why no Prefect API answers at this address; None if one does."""
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=PATIENCE) as answer:  # noqa: S310
            return None if json.load(answer) is True else "what answers there is no Prefect API"
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return None  # a Prefect that wants a key even for this
        return f"what answers there is no Prefect API (status {error.code})"
    except urllib.error.URLError as error:
        return f"nothing answers there ({getattr(error.reason, 'strerror', None) or error.reason})"
    except (OSError, ValueError) as error:
        return f"no Prefect API answers there ({error})"


def _check_auth_string(address: str) -> None:
    """Raise UserError if the API answers health checks but rejects this process's credentials."""
    given = PREFECT_API_AUTH_STRING.value()
    with SyncPrefectClient(address, auth_string=given, api_key=PREFECT_API_KEY.value()) as client:
        try:
            client.api_version()
        except PrefectHTTPStatusError as error:
            if error.response.status_code != httpx.codes.UNAUTHORIZED:
                return
        except httpx.HTTPError:
            return  # it answered a moment ago; what is asked next says what is wrong now
        else:
            return
    raise UserError(
        f"PREFECT_API_URL={without_password(address)}: the server asks for an auth string, and {auth_string.CLIENT} is "
        f"{'another one' if given else 'not set'}; that of `make ui` here: "
        f"{auth_string.export_line(prefect_folder())}"
    )


def _how_to_unset() -> str:
    """Advice for unsetting the address, by its origin; a run then starts a temporary server."""
    if os.environ.get("PREFECT_API_URL"):
        return "unset it"
    profile = get_settings_context().profile
    if PREFECT_API_URL in profile.settings:
        return f"leave Prefect's profile '{profile.name}', which sets it: `prefect profile use ephemeral`"
    return "remove it from .env, prefect.toml or pyproject.toml"


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as probe:
        return probe.getsockname()[1]
