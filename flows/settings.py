"""Settings from the environment, and the environment of the flows' tools, with telemetry off.

DISTILFLOW_RETRIES        how often a stage is tried again after a failure that may pass, such as a network's (2)
DISTILFLOW_RETRY_DELAY    seconds before each of them (60)
DISTILFLOW_SHORT_STAGE    seconds; with pools, a stage that took less last time runs in the parent (20)
DISTILFLOW_LOST_AFTER     seconds without a sign of life after which a stage on a worker counts as lost (90)
DISTILFLOW_WEBHOOK        address that gets a JSON POST when a run fails; a secret, never shown
"""

import os
from dataclasses import dataclass

from errors import UserError

WEBHOOK = "DISTILFLOW_WEBHOOK"
# No stage asks Prefect anything.
NOT_FOR_STAGES = {WEBHOOK, "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"}
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Prefect's own banners and advertisements.
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "ERROR",
}


@dataclass(frozen=True)
class Settings:
    """A flow's retries after transient failures."""

    retries: int
    retry_delay: float


def quiet() -> None:
    """Put QUIET into the environment as defaults. Must run before prefect is imported, which reads it then."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)


def read_settings() -> Settings:
    """Read the settings. Raises UserError with the variable's name, value and allowed values."""
    return Settings(
        retries=int(_number("DISTILFLOW_RETRIES", "2", whole=True)),
        retry_delay=_number("DISTILFLOW_RETRY_DELAY", "60", whole=False),
    )


def short_seconds() -> float:
    """With pools, a stage that took less last time runs in the parent."""
    return _number("DISTILFLOW_SHORT_STAGE", "20", whole=False)


def lost_seconds() -> float:
    """Time without a sign of life after which a stage on a worker counts as lost."""
    return _number("DISTILFLOW_LOST_AFTER", "90", whole=False)


def webhook() -> str | None:
    """The webhook address for failures, if any."""
    return os.environ.get(WEBHOOK, "").strip() or None


def stage_environment() -> dict[str, str]:
    """The environment of a stage: without the flow's secrets, with unbuffered output.

    DVC runs a command by the login shell, which for a service's user is one that refuses to run anything.
    """
    own = {"PYTHONUNBUFFERED": "1", "SHELL": "/bin/sh"}
    return {key: value for key, value in os.environ.items() if key not in NOT_FOR_STAGES} | own


def _number(name: str, default: str, *, whole: bool) -> float:
    text = os.environ.get(name, "").strip() or default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1e6:
        raise UserError(f"{name}={text}: not allowed; a {'whole ' if whole else ''}number from 0")
    return value
