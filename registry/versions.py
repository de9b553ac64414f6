"""Creation of a version such that a kill at any moment leaves no duplicate and no partial one.

A run is logged first, then the model in it, and last, in one step, the version that points to both. A run without its
version is what a killed registration left: the next one deletes it and starts over.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from config.parameters import Parameters
from errors import UserError
from paths import without_password
from records.registered import Check
from registry import names
from registry.aliases import described
from registry.card import render_card
from registry.evidence import EvaluatedStudent
from registry.experiment import ALREADY_EXISTS
from registry.gate_tags import check_tags
from registry.lineage import Checkout, records, versions
from registry.model_state import StoredVersion, read_model_states
from registry.runs import delete_run, log_run, version_tags
from registry.stored_files import Location
from reporting.verdict.check_result import Verdict
from reporting.wording import label_text

if TYPE_CHECKING:
    from mlflow import MlflowClient

SHOWN = 3  # names of files in a sentence
TESTS = "Tests:"
"""Beginning of the description line with the gate's tests at registration."""
MODEL_VERSIONS = "mlflow.modelVersions"
"""MLflow's own tag that links a logged model to its versions."""


@dataclass(frozen=True)
class Registration:
    """Common inputs of registering the students of one params file."""

    client: "MlflowClient"
    experiment: str
    parameters: Parameters
    checkout: Checkout

    def register(
        self, student: EvaluatedStudent, checks: tuple[Check, ...], lost: StoredVersion | None = None
    ) -> StoredVersion:
        """Log one student with its evidence and create the version, or return another machine's version made meanwhile.

        `checks` are the gate's tests of its dev rows. `lost` is an earlier version of the same student, whose files are gone: what the gate said of it stands.
        """
        from registry.pyfunc_model import log_student  # reads tokenizers and tables: only if something is new

        client, found = self.client, records(student)
        ensure_registered_model(client, student)
        margin = student.margin_interval(self.parameters.report.level)
        card = render_card(student, self.checkout, versions(found), margin, checks)
        run_id = log_run(client, self.experiment, student, self.checkout, found, params=self.parameters, card=card)
        model = log_student(run_id=run_id, student=student.model, tokens=student.tokens, card=card, name=student.name)
        tags = version_tags(student, self.checkout) | check_tags(checks, self.parameters.registry)
        tags |= _inherited(lost) if lost else {}
        text = summary(student, checks)
        return self._make_version(student, run_id, (model.model_uri, model.model_id), tags, text)

    def _make_version(
        self, student: EvaluatedStudent, run_id: str, logged: tuple[str, str | None], tags: dict[str, str], text: str
    ) -> StoredVersion:
        """The version of a logged model (its address and id), unless somebody made it meanwhile; of two made at once the lower number stays."""
        client, name = self.client, student.name
        source, model_id = logged
        if other := _version_of(client, student):
            delete_run(client, self.experiment, run_id)
            return other
        made = client.create_model_version(
            name,
            source,
            run_id,
            tags=tags,
            description=text,
            model_id=model_id,
        )
        own = StoredVersion.of(made)
        first = _version_of(client, student) or own
        if first.number != own.number:
            client.delete_model_version(name, str(own.number))
            delete_run(client, self.experiment, run_id)
            return first
        if model_id:
            client.set_logged_model_tags(
                model_id, {MODEL_VERSIONS: json.dumps([{"name": name, "version": own.number}])}
            )
        client.set_terminated(run_id)
        return own


def mark_lost(
    client: "MlflowClient", name: str, version: StoredVersion, location: Location, missing: Sequence[str]
) -> str:
    """Mark a version as missing its files; return a sentence about it."""
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    files = f"{', '.join(missing[:SHOWN])}{more}"
    if not version.lost:
        gone = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {files}"
        client.set_model_version_tag(name, str(version.number), names.LOST, gone)
        text = described(version.description, "Files:", f"gone since {gone}.")
        client.update_model_version(name, str(version.number), description=text)
    place = without_password(location.model)
    return f"version {version.number} of {name} has lost files in {place} ({files})"


def _version_of(client: "MlflowClient", student: EvaluatedStudent) -> StoredVersion | None:
    """The registry's present version of a student; the lowest number of two."""
    return read_model_states(client, student.name, [student.name])[student.name].holds(student.key)


def _inherited(lost: StoredVersion) -> dict[str, str]:
    """Tags that a version inherits from one of the same student whose files are missing."""
    kept = (names.GATE, names.GATE_PASSED, names.GATE_AGAINST, names.GATE_SETTINGS, names.BY_HAND)
    return {key: lost.tags[key] for key in kept if key in lost.tags} | {names.REPLACES: str(lost.first_number)}


def ensure_registered_model(client: "MlflowClient", student: EvaluatedStudent) -> None:
    """Create the registered model if needed. Raises UserError if the name holds something else."""
    from mlflow.exceptions import MlflowException

    holds = {names.BENCHMARK: student.benchmark, names.DATASET: student.dataset, names.METHOD: student.method}
    text = f"Students of {student.dataset} ({student.benchmark}) by {student.method}; a version is one seed's."
    try:
        client.create_registered_model(student.name, tags=holds, description=text)
    except MlflowException as error:
        if error.error_code != ALREADY_EXISTS:
            raise
        tags = client.get_registered_model(student.name).tags
        other = {key: tags[key] for key, value in holds.items() if key in tags and tags[key] != value}
        if other:
            shown = ", ".join(f"{key} {value}" for key, value in other.items())
            raise UserError(
                f"registered model {student.name} holds students of {shown}; give the benchmark another name in params.yaml"
            ) from None


def summary(student: EvaluatedStudent, checks: tuple[Check, ...]) -> str:
    """A version's description: its score beside its teacher's, and what the gate's tests say of it."""
    label = label_text(student.selected_on)
    own, teacher = student.score("dev", student.headline), student.score("teacher_dev", student.headline)
    return (
        f"Seed {student.seed}: {student.headline} {own:.4f} on dev, its teacher {teacher:.4f}{label}; "
        f"{student.parameters:,} parameters.\n\n{TESTS} {Verdict(checks).text}{label}."
    )
