"""The gate's tests as tags of a version, and the tests of a champion whose student is not in the outputs."""

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from config.methods import BASELINE
from config.stages import Registry
from outputs import read_file
from records.evaluated import PREDICTIONS, EvaluateMetrics
from records.registered import STATES, Check
from registry import names
from registry.connection import RegistryUnreachable, explained
from registry.evidence import EvaluatedStudent
from registry.model_state import ModelState, StoredVersion
from reporting.evaluations import Evaluation, read_predictions
from reporting.verdict.check_result import CHAMPION, NAMES
from reporting.verdict.dev_rows import NOT_A_METHOD, evidence
from reporting.verdict.own_checks import own_checks

if TYPE_CHECKING:
    from mlflow import MlflowClient

Made = TypeVar("Made")
NO_FINETUNE = "the fine-tuned student of its seed is not at hand"


def settings_text(settings: Registry) -> str:
    """The settings behind a verdict."""
    return json.dumps(settings.model_dump(mode="json", exclude={"trials"}), sort_keys=True)


def check_tags(checks: Iterable[Check], settings: Registry) -> dict[str, str]:
    """A tag for each test."""
    tags = {_tag(check.name): f"{check.state}: {check.text}" for check in checks}
    return {**tags, names.CHECKED: settings_text(settings)}


def failed_in(tags: Mapping[str, str], *, without: Sequence[str] = ()) -> list[str]:
    """The clauses of the failed tests, from a version's tags."""
    found = [tags.get(_tag(name), "") for name in NAMES if name not in without]
    start = f"{STATES[False]}: "
    return [text.removeprefix(start) for text in found if text.startswith(start)]


def note_checks(
    client: "MlflowClient", name: str, version: StoredVersion, checks: Iterable[Check], settings: Registry
) -> None:
    """Tag a version with its tests."""
    set_tags(client, name, version, check_tags(checks, settings))


def set_tags(client: "MlflowClient", name: str, version: StoredVersion, tags: Mapping[str, str]) -> None:
    """Set tags of a version that it has not already."""
    for key, value in tags.items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(name, str(version.number), key, value)


def stored_checks(
    client: "MlflowClient", version: StoredVersion, like: EvaluatedStudent, settings: Registry
) -> tuple[Check, ...] | None:
    """The tests of a version without outputs, from the evidence of its run; None if it is not ours.

    `like` is a student of the same registered model: of the same dataset, with the same metric and constant.
    """

    def tested(predictions: Path, metrics: Path) -> tuple[Check, ...] | None:
        stored = Evaluation(read_file(EvaluateMetrics, metrics), read_predictions(predictions, like.spec.kind))
        why = NO_FINETUNE if BASELINE in like.methods else NOT_A_METHOD
        rows = evidence(stored, like.headline, like.spec.kind, None, why, constant=like.dev_rows.constant)
        return own_checks(rows, settings) if rows.rows else None

    return of_evidence(client, version, (PREDICTIONS, EvaluateMetrics.FILE), tested)


def of_evidence(
    client: "MlflowClient", version: StoredVersion, files: Sequence[str], read: Callable[..., Made | None]
) -> Made | None:
    """Read files from the artifacts of a version's run; None if they are missing or not ours."""
    if not version.run_id:
        return None
    with tempfile.TemporaryDirectory(prefix="distilflow-") as folder:
        try:
            with explained(client.tracking_uri):
                found = [
                    client.download_artifacts(version.run_id, f"{names.EVIDENCE}/{file}", folder) for file in files
                ]
            return read(*map(Path, found))
        except RegistryUnreachable:
            raise
        except (ValueError, OSError, KeyError, pa.ArrowException):
            return None


def champion_failures(
    client: "MlflowClient",
    model_state: ModelState,
    own: Mapping[int, tuple[Check, ...]],
    like: EvaluatedStudent,
    settings: Registry,
) -> list[str]:
    """The tests that the present champion fails itself, one clause each.

    `own` are the tests of the students at hand, by their versions' numbers.
    """
    number = model_state.aliases.get(names.CHAMPION)
    version = model_state.versions.get(number) if number is not None else None
    if version is None or (version.lost and version.number not in own):
        return []
    if version.number not in own and version.tags.get(names.CHECKED) == settings_text(settings):
        return failed_in(version.tags, without=(CHAMPION,))
    checks = own.get(version.number) or stored_checks(client, version, like, settings)
    if checks is None:
        return []
    note_checks(client, model_state.name, version, checks, settings)
    return [check.text for check in checks if check.passed is False]


def champion_check(tags: Mapping[str, str]) -> Check | None:
    """The past test against the then champion, from a version's tags; None if it was not made."""
    text = tags.get(_tag(CHAMPION), "")
    for passed, state in STATES.items():
        if text.startswith(f"{state}: "):
            return Check(CHAMPION, passed, "", "", text.removeprefix(f"{state}: "))
    return None


def _tag(name: str) -> str:
    return names.CHECK + name.replace(" ", ".")
