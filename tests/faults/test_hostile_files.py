"""Files that somebody else wrote: names and links that lead out, pickles, code, exploding YAML. None gets its way."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import yaml
from made_pipeline import DATASET, OUTPUTS, Made, refused, registry_of

from config.reading import read_yaml as read_params
from data.yaml_reading import read_yaml
from errors import UserError
from models.checkpoints import weight_files
from registry import model_ref, pull
from registry.pyfunc_check import check_package

pytestmark = pytest.mark.xdist_group("faults")
NAME = "own-reviews-mse_kd"
SUPPLIED = {
    "methods": ["mse_kd"],
    "teacher": {"from": "supplied", "config": None, "trajectory": False},
}


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.mark,))


def pickled(mark: Path) -> bytes:
    """A pickle that makes `mark` when it is read."""
    return pickle.dumps(Payload(mark))


def test_the_payload_would_work(tmp_path: Path) -> None:
    pickle.loads(pickled(tmp_path / "mark"))
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["../outside.jsonl", "{root}/outside.jsonl", "a/../../outside.jsonl", "x\x00.jsonl"])
def test_a_description_cannot_name_files_outside_of_its_folder(made: Made, name: str) -> None:
    shutil.copyfile(made.root / "data" / DATASET / "train.jsonl", made.root / "data" / "outside.jsonl")
    file = made.root / "data" / DATASET / "dataset.yaml"
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, "files": {"train": name.format(root=made.root / "data")}}))
    refused(made, made.run("source"), "files.train", "within the dataset's own folder")


def test_a_link_out_of_a_data_folder_is_not_followed_but_for_dvcs_own_cache(made: Made) -> None:
    folder = made.root / "data" / DATASET
    secret = made.root / "outside.jsonl"
    (folder / "train.jsonl").rename(secret)
    (folder / "train.jsonl").symlink_to(secret)
    refused(made, made.run("source"), "train.jsonl is a link that leads out of its folder")
    cached = made.root / "cache/files/md5/ab" / ("c" * 30)
    cached.parent.mkdir(parents=True)
    secret.rename(cached)
    (folder / "train.jsonl").unlink()
    (folder / "train.jsonl").symlink_to(cached)
    assert made.run("source").status == 0


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "..", "", "a\nb"])
def test_a_dataset_or_benchmark_is_a_word_and_no_path(made: Made, name: str) -> None:
    for section in ({"datasets": [name]}, {"benchmark": name}):
        made.params(**section)
        ended = made.run("source", "--dataset", name)
        assert ended.status == 2 and "is not allowed" in ended.errors, ended


def test_labels_with_hostile_names_make_no_paths(made: Made) -> None:
    file = made.root / "data" / DATASET / "dataset.yaml"
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, "labels": ["../../../bad", "/etc/good"]}))
    outside = sorted(path for path in made.root.parent.rglob("*") if made.output() not in path.parents)
    for stage in ("source", "split", "teacher", "signals", "student", "evaluate"):
        options = ("--dataset", DATASET, "--seed", "1", "--method", "mse_kd") if stage == "evaluate" else ()
        ended = made.run(stage, *options)
        assert ended.status == 0, ended.errors
    assert sorted(path for path in made.root.parent.rglob("*") if made.output() not in path.parents) == outside


@pytest.mark.parametrize("keep_safetensors", [True, False])
def test_pickled_weights_beside_or_instead_of_safetensors_are_never_read(made: Made, keep_safetensors: bool) -> None:
    model = shutil.copytree(made.output(OUTPUTS["teacher"], "model"), made.root / "supplied")
    mark = made.root / "mark"
    for name in ("pytorch_model.bin", "model.pt", "training_args.bin", "optimizer.pt", "tf_model.h5"):
        (model / name).write_bytes(pickled(mark))
    if not keep_safetensors:
        (model / "model.safetensors").unlink()
    made.params(**SUPPLIED)
    ended = made.run("teacher")
    assert not mark.exists()
    if keep_safetensors:
        assert ended.status == 0, ended.errors
    else:
        refused(made, ended, "only weights in safetensors are read", "pytorch_model.bin")


def test_code_that_a_checkpoint_brings_along_is_never_run(made: Made) -> None:
    model = shutil.copytree(made.output(OUTPUTS["teacher"], "model"), made.root / "supplied")
    mark = made.root / "mark"
    (model / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Evil: pass\n")
    config = json.loads((model / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Evil", "AutoModelForSequenceClassification": "evil.Evil"}
    (model / "config.json").write_text(json.dumps(config))
    made.params(**SUPPLIED)
    made.run("teacher")
    (model / "config.json").write_text(json.dumps({**config, "model_type": "evil"}))
    refused(made, made.run("teacher"), "evil")
    assert not mark.exists()


def test_an_index_of_weights_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "../../secret.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="outside of its folder"):
        weight_files(tmp_path)


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "once aliases"),
        ("a: &a [*a]\n", "once aliases"),
        ("a: " + "[" * 5000 + "]" * 5000, "YAML"),
        ("a: !!python/object/apply:os.system [touch mark]\n", "could not determine a constructor"),
        ("a: " + "9" * 5000, "YAML"),
        ("\x00", "YAML"),
    ],
    ids=["billion laughs", "holds itself", "deep", "python object", "long number", "NUL"],
)
def test_yaml_that_explodes_or_runs_code_is_one_error(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        read_params(file)
    with pytest.raises(UserError, match=message):
        read_yaml(file, "reviews")
    assert not Path("mark").exists()


def test_an_alias_or_two_is_fine(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: &a {x: 1}\nb: *a\nc: *a\n")
    assert read_params(tmp_path / "x.yaml") == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1}}


@pytest.fixture
def pulled(made: Made, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A student that was registered and pulled."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_of(made))
    made.params(
        methods=["mse_kd"],
    )
    ended = made.run("register")
    assert ended.status == 0, ended.errors
    assert pull.main([f"{NAME}/1", "--to", str(made.root / "pulled")]) == 0
    capsys.readouterr()
    return made.root / "pulled"


def test_a_pulled_student_that_was_damaged_leads_out_or_unpickles_is_refused(pulled: Path, tmp_path: Path) -> None:
    weights, described = pulled / "artifacts/student/model.safetensors", pulled / "MLmodel"
    whole, model = weights.read_bytes(), described.read_text()
    check_package(pulled, "it")
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match=r"artifacts/student/model.safetensors is damaged"):
        model_ref.load(str(pulled))
    weights.unlink()
    (tmp_path / "elsewhere").write_bytes(whole)
    weights.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="leads out of the folder"):
        model_ref.load(str(pulled))
    weights.unlink()
    weights.write_bytes(whole)
    (pulled / "python_model.pkl").write_bytes(pickled(tmp_path / "mark"))
    content = yaml.safe_load(model)
    function = content["flavors"]["python_function"]
    del function["model_code_path"]
    function |= {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}
    described.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="no pickles"):
        model_ref.load(str(pulled))
    assert not (tmp_path / "mark").exists()
    described.write_text("{")
    with pytest.raises(UserError, match="MLmodel is damaged"):
        model_ref.load(str(pulled))
    described.write_text(model)
    assert model_ref.load(str(pulled)).title == str(pulled)


def test_sums_that_name_files_elsewhere_are_refused(pulled: Path) -> None:
    (pulled / "artifacts/sums.json").write_text(json.dumps({"../../secret": "0"}))
    with pytest.raises(UserError, match="leads out"):
        check_package(pulled, "it")
