"""Content of a registered version: the one file of code, the stock folder, and their loading by MLflow."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from made_students import (
    CHOICE,
    MAX_LENGTH,
    PAIR,
    MadeStudent,
    empty_registry,
    made_rows,
    make_student,
    register_student,
)
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncInput, PyFuncModel
from source_imports import ROOT, imported
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from errors import UserError
from registry.connection import connect
from registry.pyfunc_model import composed_scorer, log_student, requirements, scoring_settings

pytestmark = pytest.mark.xdist_group("students")
# What a person who scores has: pandas brings numpy; transformers brings tokenizers and safetensors.
FOREIGN = {"mlflow", "torch", "transformers", "tokenizers", "safetensors", "pandas", "numpy"}
NAME = "own-made-finetune"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> MadeStudent:
    return make_student(tmp_path_factory.mktemp("a pair"), PAIR)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty registry, which MLFLOW_TRACKING_URI names."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", empty_registry(tmp_path / "registry"))
    return tmp_path / "registry"


@pytest.fixture
def registered(registry: Path, pair: MadeStudent, tmp_path: Path) -> Path:
    """The files of one registered version."""
    register_student(NAME, pair.student, pair.tokens, registry / "artifacts", card="# What it can't do\n")
    return Path(mlflow.artifacts.download_artifacts(f"models:/{NAME}/1", dst_path=str(tmp_path / "files")))


def answer(student: PyFuncModel, rows: PyFuncInput, **options: dict[str, object]) -> pd.DataFrame:
    """Return a loaded student's answers; MLflow itself promises no more than something."""
    answers = student.predict(rows, **options)
    assert isinstance(answers, pd.DataFrame)
    return answers


def test_the_one_file_of_code_imports_nothing_of_ours_and_nothing_that_a_bare_environment_lacks(tmp_path: Path) -> None:
    code = tmp_path / "student_scorer.py"
    code.write_text(composed_scorer(), encoding="utf-8")
    first = {name.split(".")[0] for name in imported(code)}
    assert first - set(sys.stdlib_module_names) == FOREIGN - {"safetensors"}


def test_no_name_of_the_rendering_is_taken_again_by_the_scorer() -> None:
    defined = [
        node.name if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else ast.unparse(node.targets[0])
        for node in ast.parse(composed_scorer()).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Assign))
    ]
    assert len(defined) > 20
    assert sorted(defined) == sorted(set(defined))


def test_settings_hold_what_the_tokens_were_made_with(tmp_path: Path) -> None:
    made = make_student(tmp_path, CHOICE)
    assert scoring_settings(made.tokens) == {
        "format": 1,
        "dataset": "made",
        "kind": "choice",
        "label_names": ["first", "second"],
        "render": made.spec.render,
        "max_length": MAX_LENGTH,
        "pad_id": 0,
    }


def test_requirements_are_exact_and_without_the_label_of_a_local_build() -> None:
    assert [line.split("==")[0] for line in requirements()] == ["mlflow", "torch", "transformers", "pandas"]
    assert all("==" in line and "+" not in line for line in requirements())


def test_a_version_holds_a_stock_folder_settings_and_code_and_no_pickle(registered: Path, pair: MadeStudent) -> None:
    (pair.student / "heads.safetensors").write_bytes(b"ours")
    files = {str(path.relative_to(registered)) for path in registered.rglob("*") if path.is_file()}
    assert files - {"registered_model_meta"} == {
        "MLmodel",
        "student_scorer.py",
        "requirements.txt",
        "conda.yaml",
        "python_env.yaml",
        "artifacts/scoring.json",
        "artifacts/sums.json",
        *(f"artifacts/student/{name}" for name in ("config.json", "model.safetensors", "README.md")),
        *(f"artifacts/student/{name}" for name in ("tokenizer.json", "tokenizer_config.json")),
    }
    assert (registered / "artifacts/student/README.md").read_text(encoding="utf-8") == "# What it can't do\n"
    assert (registered / "requirements.txt").read_text(encoding="utf-8").split() == requirements()


def test_the_folder_inside_loads_with_plain_transformers(registered: Path) -> None:
    folder = registered / "artifacts" / "student"
    network = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer is not None
    tokens = tokenizer("anna has a pony", "a pony", return_tensors="pt")
    assert network(**tokens).logits.shape == (1, 3)
    assert network.config.id2label == {0: "yes", 1: "no", 2: "perhaps"}
    assert tokens["token_type_ids"].max() == 1


def test_it_lies_in_its_run_and_nothing_is_registered(registry: Path, pair: MadeStudent) -> None:
    client = connect()
    experiment = client.create_experiment("own", (registry / "own").as_uri())
    run = client.create_run(experiment).info.run_id
    logged = log_student(run_id=run, student=pair.student, tokens=pair.tokens, card="", name="student")
    model = client.get_logged_model(logged.model_id)
    assert (model.source_run_id, model.experiment_id, model.status) == (run, experiment, "READY")
    assert (registry / "own").is_dir()
    assert client.search_registered_models() == []
    assert client.get_run(run).info.status == "RUNNING", "the run is its owner's to end"


def test_the_signature_names_raw_columns_answers_and_batch_size(registered: Path) -> None:
    signature = mlflow.models.Model.load(str(registered)).signature
    assert signature.inputs.input_names() == ["premise", "hypothesis"]
    names = ["label", "score", "probability_yes", "probability_no", "probability_perhaps"]
    types = {"label": "string", "truncated": "boolean"}
    assert [(column.name, column.type.name) for column in signature.outputs.inputs] == [
        (name, types.get(name, "double")) for name in [*names, "truncated"]
    ]
    assert signature.params.to_dict()[0]["default"] == 32


def test_through_mlflow_a_missing_column_is_one_error_that_names_it_and_the_needed_ones(registered: Path) -> None:
    student = mlflow.pyfunc.load_model(str(registered))
    with pytest.raises(MlflowException, match=r"premise.*hypothesis.*missing inputs \['hypothesis'\]") as caught:
        student.predict(pd.DataFrame({"premise": ["anna"], "label": [1]}))
    assert caught.value.get_http_status_code() == 400


def test_through_mlflow_rows_come_in_any_form_and_types_are_those_of_the_signature(
    registered: Path, pair: MadeStudent
) -> None:
    student = mlflow.pyfunc.load_model(str(registered))
    rows = pd.DataFrame(made_rows(pair.spec, 3), index=[7, 8, 9])
    answers = answer(student, rows[["hypothesis", "premise"]].assign(label=1), params={"batch_size": 2})
    assert answers.index.tolist() == [7, 8, 9]
    assert answer(student, rows.to_dict("records")).equals(answer(student, rows.to_dict("list")))
    assert answer(student, rows.iloc[:0]).dtypes.equals(answers.dtypes)
    assert mlflow.models.infer_signature(rows, answers).outputs == student.metadata.get_output_schema()


def test_two_versions_in_one_process_share_no_code(registry: Path, pair: MadeStudent, tmp_path: Path) -> None:
    other = make_student(tmp_path / "other", CHOICE)
    for made in (pair, other):
        register_student(NAME, made.student, made.tokens, registry / "artifacts")
    first, second = (mlflow.pyfunc.load_model(f"models:/{NAME}/{version}") for version in (1, 2))
    codes = [type(student.unwrap_python_model()) for student in (first, second)]
    assert codes[0] is not codes[1]
    assert codes[0].__module__ != codes[1].__module__
    assert list(answer(first, made_rows(pair.spec, 1)))[2:] == [
        "probability_yes",
        "probability_no",
        "probability_perhaps",
        "truncated",
    ]
    assert list(answer(second, made_rows(other.spec, 1)))[2:] == [
        "probability_first",
        "probability_second",
        "truncated",
    ]


def test_logging_needs_no_torch(registry: Path, pair: MadeStudent) -> None:
    code = """
import json, sys
from pathlib import Path
from registry.connection import connect
from registry.pyfunc_model import log_student
client = connect()
run = client.create_run(client.create_experiment("own", Path("own").absolute().as_uri())).info.run_id
student, tokens = map(Path, sys.argv[1:])
log_student(run_id=run, student=student, tokens=tokens, card="", name="student")
print(json.dumps(sorted({"torch", "transformers"} & set(sys.modules))))
"""
    command = [sys.executable, "-c", code, str(pair.student), str(pair.tokens)]
    done = subprocess.run(command, cwd=registry, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert done.stderr == b"", "MLflow's advice and bars are no news to the person at the terminal"


def test_a_student_that_is_not_whole_is_not_logged(registry: Path, pair: MadeStudent, tmp_path: Path) -> None:
    broken = tmp_path / "model"
    shutil.copytree(pair.student, broken)
    (broken / "model.safetensors").write_bytes(b"cut short")
    client = connect()
    experiment = client.create_experiment("own", (registry / "own").as_uri())
    run = client.create_run(experiment).info.run_id
    with pytest.raises(UserError, match=r"model\.safetensors: corrupt or cut short"):
        log_student(run_id=run, student=broken, tokens=pair.tokens, card="", name="student")
    assert client.search_logged_models([experiment]) == []
