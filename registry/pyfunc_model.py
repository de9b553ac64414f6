"""Content of a registered version: a stock Hugging Face folder, scoring.json, and one file of code.

    MLmodel                        MLflow's description: signature, where things are
    student_scorer.py              data/rendering.py and scorer.py in one file
    artifacts/student/             config.json, model.safetensors, tokenizer files, README.md (the model card)
    artifacts/scoring.json         how rows become text, label names, the longest input
    requirements.txt               mlflow, torch, transformers, pandas, as they are installed here

One file, because modules that two versions share by name would be the first version's in a process that loads both. No
torch is imported here: a stage that finds nothing new to log must end quickly.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from data.records import DatasetSpec
from data.rendering import columns_of, integer_columns
from data.tokens import open_split
from kinds import KINDS
from models.checkpoints import weight_files
from models.tokenizer import FILES
from registry.pyfunc_check import CODE, SCORING, STUDENT, SUMS, sums_of

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.models.model import ModelInfo

    from registry.scorer import Scoring

ROOT = Path(__file__).resolve().parents[1]
RENDERING, SCORER = ROOT / "data" / "rendering.py", ROOT / "registry" / "scorer.py"
CARD = "README.md"
ARTIFACTS = {STUDENT: STUDENT, "scoring": SCORING, "sums": SUMS}
"""MLflow's name of an artifact -> its file or folder."""
FORMAT = 1
BARS = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
PACKAGES = ("mlflow", "torch", "transformers", "pandas")
HEADER = '''"""The scorer of a student made by distilflow: raw columns in; label, score, probabilities and cuts out. A generated file."""

from __future__ import annotations
'''
# Joined from two modules, of which each has its own docstring and imports.
LEFT_OUT = ("__future__", "data.rendering")


def scoring_settings(tokens: Path) -> Scoring:
    """Build the scorer's settings from the split stage's tokens folder. OSError or UserError if it is incomplete."""
    spec = DatasetSpec.from_json(json.loads((tokens / "spec.json").read_text(encoding="utf-8")))
    header = open_split(tokens, "train").header
    return {
        "format": FORMAT,
        "dataset": spec.name,
        "kind": spec.kind,
        "label_names": list(spec.label_names),
        "render": spec.render,
        "max_length": header["max_length"],
        "pad_id": header["pad_id"],
    }


def log_student(*, run_id: str, student: Path, tokens: Path, card: str, name: str) -> ModelInfo:
    """Log one student as an MLflow model of a run, without registering it. `model_uri` of the result names it.

    Args:
        run_id: the run, of the tracking server that is set; it is not started or ended.
        student: the student stage's model folder.
        tokens: the split stage's tokens folder.
        card: the model card, Markdown.
        name: the logged model's.
    """
    import mlflow.pyfunc
    from mlflow import MlflowClient
    from mlflow.models import Model

    settings, client = scoring_settings(tokens), MlflowClient()
    with tempfile.TemporaryDirectory(prefix="distilflow-") as made:
        folder = Path(made)
        stock_files(student, card, folder / STUDENT)
        (folder / SCORING).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / CODE).write_text(composed_scorer(), encoding="utf-8")
        _write_sums(folder)
        # Made here, because MLflow itself would put it into the default experiment and not into that of the run.
        experiment = client.get_run(run_id).info.experiment_id
        model = client.create_logged_model(experiment, name=name, source_run_id=run_id)
        with _without_advice():
            # Not mlflow.pyfunc.log_model, which logs into the active run only.
            return Model.log(
                artifact_path=None,
                flavor=mlflow.pyfunc,
                model_id=model.model_id,
                run_id=run_id,
                python_model=str(folder / CODE),
                artifacts={name: str(folder / file) for name, file in ARTIFACTS.items()},
                signature=signature(settings),
                pip_requirements=requirements(),
            )


def _write_sums(folder: Path) -> None:
    """The checksums for `check_package`."""
    named = {CODE: folder / CODE, f"artifacts/{SCORING}": folder / SCORING, f"artifacts/{STUDENT}": folder / STUDENT}
    (folder / SUMS).write_text(json.dumps(sums_of(named), indent=2) + "\n", encoding="utf-8")


@contextmanager
def _without_advice() -> Generator[None]:
    """Silence MLflow's advice on input examples, which would load the student, and its bars."""
    given = os.environ.get(BARS)
    os.environ[BARS] = "false"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*An input example was not provided", category=UserWarning)
            yield
    finally:
        os.environ.pop(BARS) if given is None else os.environ.update({BARS: given})


def stock_files(student: Path, card: str, folder: Path) -> None:
    """Copy the files of a model folder that transformers reads, with a card and without our own."""
    folder.mkdir()
    for path in stock_paths(student):
        shutil.copyfile(path, folder / path.name)
    (folder / CARD).write_text(card, encoding="utf-8")


def stock_paths(student: Path) -> list[Path]:
    """The files of a model folder that transformers reads."""
    weights = weight_files(student)
    index = student / "model.safetensors.index.json"
    kept = [student / "config.json", *weights, *(path for path in (index,) if path.is_file())]
    return kept + [student / file for file in FILES if (student / file).is_file()]


def composed_scorer() -> str:
    """The scorer as one file of code: rendering and scorer, without imports of ours."""
    parts = [HEADER, *(_own_lines(path.read_text(encoding="utf-8")) for path in (RENDERING, SCORER))]
    ending = "import mlflow.models\n\nmlflow.models.set_model(StudentScorer())\n"
    return "\n\n".join(part.strip("\n") for part in [*parts, ending]) + "\n"


def requirements() -> list[str]:
    """Exact versions, without local build labels such as +cpu, which no index has."""
    return [f"{package}=={version(package).partition('+')[0]}" for package in PACKAGES]


def signature(settings: Scoring) -> ModelSignature:
    """Columns in and out, and batch_size. Positions have any type: long would refuse an empty frame, and "3"."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    from registry.scorer import BATCH_SIZE, TRUNCATED

    positions = integer_columns(settings["render"])
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(AnyType() if column in positions else "string", column) for column in columns_of(settings["render"])
    ]
    probabilities = [f"probability_{name}" for name in settings["label_names"]]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec("string" if KINDS[settings["kind"]].has_classes else "double", "label"),
        *(ColSpec("double", name) for name in ("score", *probabilities)),
        ColSpec("boolean", TRUNCATED),
    ]
    return ModelSignature(
        inputs=Schema(inputs),
        outputs=Schema(outputs),
        params=ParamSchema([ParamSpec("batch_size", "long", BATCH_SIZE)]),
    )


def _own_lines(source: str) -> str:
    """A module's source without its docstring and without the imports of LEFT_OUT; comments stay."""
    lines = source.splitlines()
    tree = ast.parse(source)
    for place, node in enumerate(tree.body):
        docstring = place == 0 and isinstance(node, ast.Expr)
        if docstring or (isinstance(node, ast.ImportFrom) and node.module in LEFT_OUT):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "\n".join(lines)
