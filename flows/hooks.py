"""Webhook notification of a failed run: one JSON POST. It never affects the run's outcome."""

import http.client
import json
import os
import urllib.error
import urllib.request

from prefect import get_run_logger
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.utilities.urls import url_for

from flows.outcome import Outcome, PipelineFailed
from flows.settings import webhook

PATIENCE = 10.0
LINES = 5


def announce_failure(flow: Flow, flow_run: FlowRun, state: State) -> None:
    """Notify the webhook of the failing flow run."""
    if line := notify(flow.name, flow_run, state):
        get_run_logger().info("%s", line)


def notify(flow_name: str, run: FlowRun, state: State) -> str | None:
    """Notify the webhook of the failed run, its stages and links; return a log line, None without a webhook.

    Not by httpx: it logs every address, and this one is a secret.
    """
    address = webhook()
    if address is None:
        return None
    try:
        post(address, message(flow_name, run, state))
    except (OSError, ValueError, http.client.HTTPException) as error:
        # The address is a secret, and the error's own text may hold it.
        return f"The webhook could not be told: {_kind(error)}"
    return "The webhook was told."


def message(flow_name: str, run: FlowRun, state: State) -> dict[str, object]:
    """The content of the POST. `text` is what chat programs show."""
    link = url_for("flow-run", obj_id=run.id)
    outcome = _outcome(state)
    failed = outcome.failed if outcome else ()
    lines = {stage.name: list(stage.tail[-LINES:]) for stage in failed}
    return {
        "text": f"{flow_name} failed: {state.message or state.name}" + (f" {link}" if link else ""),
        "flow": flow_name,
        "run": run.name,
        "run_id": str(run.id),
        "state": state.name,
        "failed_stages": [stage.name for stage in failed],
        "last_lines": lines,
        "link": link,
    }


def post(address: str, content: dict[str, object]) -> None:
    """Send JSON. Raises OSError, ValueError or HTTPException."""
    scheme = address.partition(":")[0]
    if scheme not in ("http", "https"):
        raise ValueError("not an http address")
    request = urllib.request.Request(  # noqa: S310 (http and https only)
        address, json.dumps(content).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=PATIENCE):  # noqa: S310
        pass


def _outcome(state: State) -> Outcome | None:
    failure = getattr(state.data, "result", state.data)
    return failure.outcome if isinstance(failure, PipelineFailed) else None


def _kind(error: Exception) -> str:
    """Describe an error without the address."""
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError) and error.reason.errno:
        return os.strerror(error.reason.errno)
    return type(error).__name__
