"""`python -m flows serve`: run the flow on a schedule from this process, without a work pool, one run at a time."""

import asyncio
import contextlib
import signal
import threading
import zoneinfo
from collections.abc import Generator
from datetime import timedelta
from functools import partial
from pathlib import Path

import psutil
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import EntrypointType
from prefect.runner import Runner
from prefect.schedules import Cron, Interval, Schedule
from pydantic import ValidationError

from errors import UserError
from flows.crash_recovery import recover
from flows.options import ServeOptions
from flows.pipeline import PROFILES, distilflow
from flows.prefect_api import server_address
from flows.process_notes import write_note
from flows.run import check
from flows.signal_handlers import as_ctrl_c
from paths import without_password

# A run that would overlap another one waits: most of what it was to do is then cached.
ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)
RECOVER_S = 60.0


def main(options: ServeOptions, timezone: str = "UTC") -> int:
    """Serve until Ctrl-C; return the exit status. Raises UserError for options that can't be served."""
    schedule = schedule_of(options, timezone)
    address = server_address()
    if address is None:
        raise UserError(
            "PREFECT_API_URL is not set, and a schedule needs a server that stays: start one with `make ui`, then here "
            "the two `export PREFECT_...` that it prints"
        )
    check(Path.cwd(), options.run)
    parameters = parameters_of(options)
    print(f"Serving {distilflow.name}/{options.name} ({_words(options, timezone)}) for {without_password(address)}.")
    print(
        "It also runs when asked to in the UI, with a form for its parameters. Ctrl-C ends it and pauses the schedule.",
        flush=True,
    )
    runner = _Runner(name=options.name, limit=1, pause_on_shutdown=True)
    deployment = runner.add_flow(
        distilflow,
        name=options.name,
        schedule=schedule,
        concurrency_limit=ONE_AT_A_TIME,  # also for others who serve it
        parameters=parameters,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    write_note(Path.cwd(), "serve", str(deployment))
    with contextlib.suppress(KeyboardInterrupt), as_ctrl_c(), _recovering(Path.cwd()):
        asyncio.run(runner.start())
    return 0


@contextlib.contextmanager
def _recovering(root: Path) -> Generator[None]:
    """Clean up after killed runs, now and every minute: the next run may wait for a slot that nobody holds."""
    ended = threading.Event()

    def work() -> None:
        while True:
            recover(root, partial(print, flush=True))
            if ended.wait(RECOVER_S):
                return

    thread = threading.Thread(target=work, name="recovering", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


class _Runner(Runner):
    """Prefect's runner with SIGTERM handled like Ctrl-C: its own handler waits for the active run to end."""

    def handle_sigterm(self, *args: object, **kwargs: object) -> None:
        for run in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                run.send_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def parameters_of(options: ServeOptions) -> dict[str, object]:
    """Parameters of a scheduled run. Raises UserError for a profile missing from Prefect's form."""
    profile = options.run.profile
    if profile and Path(profile).parent == Path("profiles"):
        profile = Path(profile).stem
    if profile and profile not in PROFILES:
        raise UserError(f"--profile {profile}: a schedule takes one in profiles/: {', '.join(PROFILES)}")
    return options.run.flow_parameters() | {"profile": profile}


def schedule_of(options: ServeOptions, timezone: str) -> Schedule:
    """Build the schedule. Raises UserError for an invalid cron expression or time zone."""
    try:
        zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(f"--timezone {timezone}: not known; a name such as UTC or Europe/Berlin is") from None
    if options.interval is not None:
        return Interval(timedelta(seconds=options.interval), timezone=timezone)
    if options.cron is None:
        raise UserError("give --cron or --interval")
    try:
        CronSchedule(cron=options.cron, timezone=timezone)
    except ValidationError:
        raise UserError(
            f'--cron "{options.cron}": not a cron expression; it has five fields, minute hour day month weekday, '
            'as in "0 2 * * *" for every night at two'
        ) from None
    return Cron(options.cron, timezone=timezone)


def _words(options: ServeOptions, timezone: str) -> str:
    return f"every {options.interval:g} s" if options.interval is not None else f"cron {options.cron}, {timezone}"
