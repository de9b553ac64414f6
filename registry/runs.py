"""The MLflow run behind a version: its parameters, scores, curves and files; clean-up of interrupted ones."""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from checksums import combined, file_sums
from config.parameters import Parameters
from outputs import json_text
from records.evaluated import EvaluateMetrics
from records.stage_run import RunRecord
from registry import names
from registry.evidence import CURVES, EvaluatedStudent, curves
from registry.lineage import Checkout, flattened, params_text, run_parameters, versions

if TYPE_CHECKING:
    from mlflow import MlflowClient

Row = TypeVar("Row")
# MLflow takes 1000 entries at once, 100 of them parameters.
METRICS_AT_ONCE, PARAMETERS_AT_ONCE = 900, 100
DAY = 24 * 3600
COSTS = ("duration_s", "cpu_s", "peak_memory_mb")


def finish_interrupted(client: "MlflowClient", experiment: str) -> int:
    """Close runs with a version, delete those of a killed registration without one; return the number deleted."""
    deleted = 0
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if names.KEY not in run.data.tags:
            continue
        if client.search_model_versions(f"run_id = '{run.info.run_id}'"):
            client.set_terminated(run.info.run_id)
        elif not _still_at_work(run.data.tags.get(names.PROCESS, ""), run.info.start_time / 1000):
            delete_run(client, experiment, run.info.run_id)
            deleted += 1
    return deleted


def delete_run(client: "MlflowClient", experiment: str, run_id: str) -> None:
    """Delete a run and its logged models."""
    for model in client.search_logged_models([experiment], filter_string=f"source_run_id = '{run_id}'"):
        client.delete_logged_model(model.model_id)
    client.delete_run(run_id)


def log_run(
    client: "MlflowClient",
    experiment: str,
    student: EvaluatedStudent,
    checkout: Checkout,
    found: Mapping[str, RunRecord],
    *,
    params: Parameters,
    card: str,
) -> str:
    """Log everything about a student except the model; return the id of the run, still open.

    `found` is run.json of the stages behind it, by stage.
    """
    tags = {
        **version_tags(student, checkout),
        names.PROCESS: this_process(),
        "dataset_hash": combined(student.tokens, file_sums(student.tokens)),
        "code_hash": checkout.code_hash,
        **{f"versions.{name}": version for name, version in versions(found).items()},
    }
    run_id = client.create_run(experiment, run_name=student.title, tags=tags).info.run_id
    _log_numbers(client, run_id, student, found)
    with _evidence(student, found, params_text(params), card) as folder:
        client.log_artifacts(run_id, str(folder), names.EVIDENCE)
    return run_id


def this_process() -> str:
    """The process that registers: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _still_at_work(process: str, started: float) -> bool:
    """Return whether the process that started a run may be alive; another machine's counts as alive for a day."""
    host, _, number = process.rpartition(":")
    if host == socket.gethostname():
        return number != str(os.getpid()) and Path("/proc", number).exists()
    return time.time() - started < DAY


def version_tags(student: EvaluatedStudent, checkout: Checkout) -> dict[str, str]:
    """Tags that identify a version's student, set on its run as well."""
    return {
        names.KEY: student.key,
        names.STUDENT_HASH: student.student_hash,
        names.EVALUATE_HASH: student.evaluate_hash,
        names.BENCHMARK: student.benchmark,
        names.DATASET: student.dataset,
        names.METHOD: student.method,
        names.SEED: str(student.seed),
        names.MARGIN: f"{student.margin_points:.2f}",
        names.SELECTED_ON: student.selected_on,
        names.COMMIT: checkout.commit,
        names.DIRTY: checkout.dirty,
    }


def _log_numbers(
    client: "MlflowClient", run_id: str, student: EvaluatedStudent, found: Mapping[str, RunRecord]
) -> None:
    """Parameters, scores and curves in as few requests as MLflow allows."""
    from mlflow.entities import Metric, Param

    at = int(datetime.fromisoformat(found["evaluate"].started).timestamp() * 1000)
    metrics = [Metric(key, value, at, 0) for key, value in _scores(student, found).items()]
    metrics += [Metric(key, value, at, step) for key, step, value in curves(student)]
    params = [Param(key, value) for key, value in run_parameters(student, found).items()]
    batches = zip_longest(_parts(metrics, METRICS_AT_ONCE), _parts(params, PARAMETERS_AT_ONCE), fillvalue=())
    for some_metrics, some_params in batches:
        client.log_batch(run_id, metrics=some_metrics, params=some_params)


def _scores(student: EvaluatedStudent, found: Mapping[str, RunRecord]) -> dict[str, float]:
    """All measurements of evaluate, the margin, and the cost of the stages."""
    texts = {key.replace(".", "/"): value for key, value in flattened(student.metrics.tree()).items()}
    for stage in ("teacher", "student", "evaluate"):
        if stage in found:
            texts |= {f"cost/{stage}/{cost}": str(getattr(found[stage], cost)) for cost in COSTS}
    return {key: float(text) for key, text in texts.items() if _number(text)} | {names.MARGIN: student.margin_points}


def _parts(rows: Sequence[Row], size: int) -> list[Sequence[Row]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False


@contextmanager
def _evidence(student: EvaluatedStudent, found: Mapping[str, RunRecord], params: str, card: str) -> Generator[Path]:
    """A folder with the run's artifacts."""
    with tempfile.TemporaryDirectory(prefix="distilflow-") as made:
        folder = Path(made)
        files = [student.predictions, student.evaluated / EvaluateMetrics.FILE, Path("dvc.lock")]
        files += [student.folder / kind.FILE for kind in CURVES]
        for path in files:
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        for stage, record in found.items():
            (folder / f"run-{stage}.json").write_text(json_text(record.tree()), encoding="utf-8")
        (folder / "params.yaml").write_text(params, encoding="utf-8")
        (folder / "README.md").write_text(card, encoding="utf-8")
        yield folder
