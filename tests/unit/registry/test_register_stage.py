"""The register stage in an embedded registry: what a version holds, what is new, and what is said of what is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from small_outputs import DATASET, METHOD, NAME, Place, read, write
from stages import ROOT

from config.parameters import load
from registry import versions
from registry.connection import connect
from registry.evidence import find_students
from registry.lineage import checkout

pytestmark = pytest.mark.xdist_group("registry")


def client(place: Place) -> MlflowClient:
    return MlflowClient(place.address, place.address)


def numbers(place: Place) -> list[int]:
    """The versions that there are."""
    return sorted(int(found.version) for found in client(place).search_model_versions(f"name = '{NAME}'"))


def test_a_student_that_is_registered_twice_is_one_version(place: Place) -> None:
    place.params()
    first, second = place.register(), place.register()
    assert first.status == second.status == 0, first.errors + second.errors
    assert "1 new of 1 students" in first.output.splitlines()[-1]
    assert "0 new of 1 students" in second.output.splitlines()[-1]
    assert numbers(place) == [1]
    assert len(client(place).search_runs(["1"])) == 1
    assert place.entry() | {"run_id": "", "gate": "", "checks": []} == {
        "dataset": DATASET,
        "method": METHOD,
        "seed": 42,
        "name": NAME,
        "version": 1,
        "new": False,
        "aliases": ["candidate", "champion"],
        "gate": "",
        "checks": [],
        "run_id": "",
        "url": None,
    }


def test_where_nothing_changed_nothing_is_asked_and_mlflow_is_not_imported(place: Place) -> None:
    place.params()
    assert place.register().status == 0
    code = "import sys, tasks.register as r; from tasks.runtime.stage import run_stage; import runpy\n"
    code += "sys.argv = ['tasks.register']\nrunpy.run_module('tasks.register', run_name='__main__', alter_sys=True)\n"
    code += "assert 'mlflow' not in sys.modules, 'MLflow was imported'"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place.root,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": place.address},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "0 new of 1 students" in done.stdout
    assert place.entry()["version"] == 1 and place.entry()["new"] is False


def test_what_somebody_changed_in_the_registry_is_seen(place: Place) -> None:
    place.params()
    assert place.register().status == 0
    client(place).delete_model_version(NAME, "1")
    assert "1 new of 1 students" in place.register().output.splitlines()[-1]
    assert numbers(place) == [2]


def test_another_setting_of_the_gate_is_seen(place: Place) -> None:
    place.params()
    assert place.register().status == 0
    before = read(place.root / "outputs/register/registered.json")["state"]
    place.params(registry={"minimum_rows": 7})
    assert place.register().status == 0
    assert read(place.root / "outputs/register/registered.json")["state"] != before


def test_a_version_carries_the_evidence_for_it(place: Place) -> None:
    place.params()
    (place.root / "dvc.lock").write_text("schema: '2.0'\n")
    assert place.register().status == 0
    registry, scores = client(place), read(place.evaluated() / "metrics.json")
    version = registry.get_model_version(NAME, "1")
    margin = 100 * (scores["dev"]["accuracy"] - scores["teacher_dev"]["accuracy"])
    assert float(version.tags["margin_points"]) == pytest.approx(margin, abs=0.01)
    assert {
        "distilflow.key",
        "distilflow.student_hash",
        "distilflow.evaluate_hash",
        "commit",
        "dirty",
    } <= version.tags.keys()
    assert {key: version.tags[key] for key in ("seed", "method", "dataset", "benchmark", "selected_on")} == {
        "seed": "42",
        "method": METHOD,
        "dataset": DATASET,
        "benchmark": "quickstart",
        "selected_on": "selection",
    }
    assert f"{scores['dev']['accuracy']:.4f} on dev" in (version.description or "")
    run = registry.get_run(version.run_id or "")
    assert run.info.status == "FINISHED"
    assert run.data.params["student.epochs"] == "6"
    assert run.data.params["teacher.config.hidden_size"] == "64"
    assert run.data.metrics["dev/accuracy"] == scores["dev"]["accuracy"]
    assert run.data.metrics["teacher_dev/loss"] == scores["teacher_dev"]["loss"]
    assert run.data.metrics["parameters/student"] == scores["parameters"]["student"]
    assert run.data.metrics["latency_ms/student/p50"] == scores["latency_ms"]["student"]["p50"]
    epochs = [json.loads(line) for line in (place.student() / "curves.jsonl").read_text().splitlines()]
    curve = registry.get_metric_history(run.info.run_id, "curves/selection_loss")
    assert [(point.step, point.value) for point in curve] == [(row["epoch"], row["selection_loss"]) for row in epochs]
    assert {"code_hash", "dataset_hash", "versions.torch"} <= run.data.tags.keys()
    files = {Path(file.path).name for file in registry.list_artifacts(run.info.run_id, "evidence")}
    assert {"params.yaml", "dvc.lock", "predictions.parquet", "metrics.json", "curves.jsonl", "README.md"} <= files
    kept = Path(registry.download_artifacts(run.info.run_id, "evidence/params.yaml")).read_text()
    assert kept == (place.root / "params.yaml").read_text()


def test_the_logged_model_holds_the_student_and_its_card(place: Place) -> None:
    import mlflow

    place.params()
    assert place.register().status == 0
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{NAME}@champion"))
    weights = folder / "artifacts" / "student" / "model.safetensors"
    assert weights.read_bytes() == (place.student() / "model" / "model.safetensors").read_bytes()
    card = (folder / "artifacts" / "student" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")


def test_an_evaluation_that_was_only_timed_anew_is_no_new_version(begun: Place) -> None:
    metrics = read(begun.evaluated() / "metrics.json")
    metrics["latency_ms"]["student"]["p50"] *= 3
    metrics["dev"]["loss"] += 1e-9  # another machine's arithmetic
    write(begun.evaluated() / "metrics.json", metrics)
    assert begun.register().status == 0
    assert numbers(begun) == [1]


def test_an_evaluation_with_other_scores_and_a_student_with_other_weights_are_new_versions(begun: Place) -> None:
    begun.change_metrics(42, "dev", "accuracy", 0.01)
    assert begun.register().status == 0
    assert numbers(begun) == [1, 2]
    begun.change_weights(42, "trained again")
    assert begun.register().status == 0
    assert numbers(begun) == [1, 2, 3]
    assert begun.entry()["version"] == 3


def test_what_is_missing_is_named_in_one_line_and_the_rest_is_registered(place: Place) -> None:
    place.another_seed(8)
    write(place.student(8) / "model" / "config.json", {"other": "weights than evaluate saw"})
    place.params(seeds=[42, 7, 8])
    ended = place.register()
    assert ended.status == 0
    (line,) = [line for line in ended.errors.splitlines() if "not registered" in line]
    assert f"{DATASET} {METHOD} 7: outputs/student/{DATASET}/{METHOD}/7/model/config.json is missing" in line
    assert f"{DATASET} {METHOD} 8: outputs/evaluate/{DATASET}/{METHOD}/8 is of another student than" in line
    assert "1 new of 1 students, 2 missing" in ended.output
    assert numbers(place) == [1]


def test_a_params_file_of_which_nothing_was_evaluated_ends_with_two(place: Place) -> None:
    place.params(seeds=[7])
    ended = place.register()
    assert ended.status == 2
    assert "no student of params.yaml has been evaluated; run `dvc repro`" in ended.errors
    assert not place.output("register").exists()


def test_a_damaged_metrics_file_is_named(place: Place) -> None:
    place.params()
    (place.evaluated() / "metrics.json").write_text('{"dev":')
    ended = place.register()
    assert ended.status == 2
    assert "evaluate/payment/finetune/42/metrics.json: not valid JSON" in ended.errors


def test_a_dead_server_stops_nothing_and_the_next_run_catches_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.params()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    ended = place.register()
    assert ended.status == 0
    assert [line for line in ended.errors.splitlines() if line] == [
        "register: http://127.0.0.1:9: no answer (connection refused); the files under outputs/ stay the record, and the "
        "next run catches up"
    ]
    assert place.registered()["reachable"] is False
    assert place.entry()["version"] is None
    shown = json.loads(place.output("register", "versions.json").read_text(encoding="utf-8"))
    assert shown["reachable"] is False and shown["students"][0]["pull"] is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.address)
    assert "1 new of 1 students" in place.register().output
    assert place.registered()["reachable"] is True
    assert numbers(place) == [1]
    first = place.output("register", "versions.json").read_bytes()
    assert json.loads(first)["students"][0]["pull"].startswith("python -m flows pull ")
    assert "0 new of 1 students" in place.register().output
    assert place.output("register", "versions.json").read_bytes() == first


@pytest.mark.parametrize("address", ["htp://127.0.0.1:5000", "http://", "mlruns", "http://127.0.0.1:99999"])
def test_an_address_that_is_none_ends_with_two_and_one_line(
    place: Place, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    place.params()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    ended = place.register()
    assert ended.status == 2
    (line,) = ended.errors.splitlines()
    assert line.startswith(f"register: {address}: ")
    assert "MLFLOW_TRACKING_URI must be http://HOST:PORT" in line
    assert not place.output("register").exists()


def test_a_name_that_holds_students_of_something_else_is_refused(place: Place) -> None:
    place.params()
    client(place).create_registered_model(NAME, tags={"benchmark": "quick", "dataset": "start-payment"})
    ended = place.register()
    assert ended.status == 2
    assert f"registered model {NAME} holds students of benchmark quick, dataset start-payment" in ended.errors


KILLED = """
import os, signal, sys
from unittest.mock import patch
from mlflow import MlflowClient
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
patch.object(MlflowClient, sys.argv.pop(), die).start()
import runpy
runpy.run_module("tasks.register", run_name="__main__")
"""


@pytest.mark.parametrize(
    "step",
    [
        "create_model_version",
        pytest.param("set_terminated", marks=pytest.mark.slow),
        pytest.param("set_registered_model_alias", marks=pytest.mark.slow),
    ],
)
def test_a_registration_killed_half_way_is_completed_by_the_next_without_a_second_version(
    place: Place, step: str
) -> None:
    place.params()
    killed = subprocess.run([sys.executable, "-c", KILLED, step], cwd=place.root, env=environment(), check=False)
    assert killed.returncode == -9
    ended = place.register()
    assert ended.status == 0, ended.errors
    assert numbers(place) == [1]
    (run,) = client(place).search_runs(["1"])
    assert run.info.status == "FINISHED"
    assert client(place).get_model_version(NAME, "1").run_id == run.info.run_id
    (model,) = client(place).search_logged_models(["1"])
    assert model.source_run_id == run.info.run_id
    assert place.entry()["aliases"] == ["candidate", "champion"]


@pytest.mark.parametrize("seen", [True, False], ids=["before the version is made", "at the same moment"])
def test_of_two_machines_that_register_one_student_one_version_stays(
    begun: Place, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    begun.params()
    registry = connect()
    asked = versions._version_of
    answers = iter([asked, asked] if seen else [lambda *_: None, asked])
    monkeypatch.setattr(versions, "_version_of", lambda *given: next(answers)(*given))
    monkeypatch.chdir(begun.root)
    (student,), _ = find_students(load())
    other = versions.Registration(registry, "1", load(), checkout())
    assert other.register(student, ()).number == 1
    assert numbers(begun) == [1]
    assert len(registry.search_runs(["1"])) == 1
    assert len(registry.search_logged_models(["1"])) == 1


def test_a_run_whose_version_belongs_to_no_student_of_this_params_file_is_not_deleted(begun: Place) -> None:
    run_id = client(begun).get_model_version(NAME, "1").run_id or ""
    client(begun).update_run(run_id, status="RUNNING")  # as a kill right after the version would leave it
    client(begun).set_tag(run_id, "distilflow.process", "vm:0")
    begun.another_seed(7)
    begun.params(seeds=[7])
    assert begun.register().status == 0
    assert client(begun).get_run(run_id).info.status == "FINISHED"
    assert client(begun).get_run(run_id).info.lifecycle_stage == "active"


TWICE = """
import runpy, sys
said = []
for _ in range(2):
    try:
        runpy.run_module("tasks.register", run_name="__main__")
    except SystemExit as end:
        said.append(end.code)
print(said, "torch" in sys.modules)
"""


def test_registering_imports_no_torch(place: Place) -> None:
    place.params()
    command = [sys.executable, "-c", TWICE]
    done = subprocess.run(command, cwd=place.root, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] False", done.stderr
    assert numbers(place) == [1]


def test_four_processes_at_once_on_a_fresh_store_lose_nothing_and_register_nothing_twice(
    place: Place, tmp_path: Path
) -> None:
    place.another_seed(7)
    place.params(seeds=[42, 7])
    own = environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'not there yet' / 'mlflow.db'}"}
    roots = [place.root, *(tmp_path / f"copy {number}" for number in range(3))]
    for root in roots[1:]:
        root.mkdir()
        (root / "outputs").symlink_to(place.output())
        (root / "params.yaml").write_bytes((place.root / "params.yaml").read_bytes())
    command = [sys.executable, "-m", "tasks.register"]
    started = [
        subprocess.Popen(command, cwd=root, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for root in roots
    ]
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0, 0], said
    registry = MlflowClient(own["MLFLOW_TRACKING_URI"], own["MLFLOW_TRACKING_URI"])
    versions = registry.search_model_versions(f"name = '{NAME}'")
    assert sorted(version.tags["seed"] for version in versions) == ["42", "7"]
    assert len(registry.search_runs(["1"])) == 2
    assert sum(int(text.partition(" new of")[0].rpartition(" ")[2]) for text in said) == 2


def environment() -> dict[str, str]:
    """This process's environment, with our modules on the path."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}
