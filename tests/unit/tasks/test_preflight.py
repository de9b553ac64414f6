"""`python -m config` refuses what the first stages would refuse: rows, descriptions, checkpoints, methods that don't fit."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file
from stages import ROOT, merged, run_stage_here, write_params

from config.__main__ import main
from data.quickstart import vocabulary
from models.tokenizer import build_word_tokenizer, save_tokenizer

SINGLE = {"kind": "single", "text": ["message"], "label": "queue", "labels": ["billing", "delivery", "other"]}
SCORE = {"kind": "regression", "text": ["message"], "label": "queue", "range": [0, 5]}
NET = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 32,
}
OWN: dict[str, object] = {
    "benchmark": "mine",
    "datasets": ["tickets"],
    "source": {"folder": "mine", "search": []},
    "methods": ["finetune", "mse_kd"],
    "student": {"config": {**NET, "num_hidden_layers": 2}},
    "teacher": {"config": NET},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with own rows, as README describes them."""
    monkeypatch.chdir(tmp_path)
    describe(SINGLE)
    rows = [f"{n},message {n},{SINGLE['labels'][n % 3]}" for n in range(30)]
    Path("mine/tickets/train.csv").write_text("\n".join(["ticket,message,queue", *rows]) + "\n")
    return tmp_path


def describe(description: Mapping[str, object]) -> None:
    Path("mine/tickets").mkdir(parents=True, exist_ok=True)
    Path("mine/tickets/dataset.yaml").write_text(yaml.safe_dump(dict(description)))


def checkpoint(folder: Path, words: int | None = None, **config: object) -> Path:
    """A folder that looks like a checkpoint's, with the embedded tokenizer or some of its words."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**NET, "max_position_embeddings": 64, **config}))
    save_file({"weight": np.zeros(2, np.float32)}, folder / "model.safetensors")
    save_tokenizer(build_word_tokenizer(vocabulary()[:words]), folder)
    return folder


def told(capsys: pytest.CaptureFixture[str], **changes: object) -> tuple[int, str]:
    """Run `python -m config` for own rows with these changes; its exit status and stderr."""
    write_params(Path(), **merged({**OWN}, changes))
    capsys.readouterr()
    return main(["params.yaml"]), capsys.readouterr().err


def refused(capsys: pytest.CaptureFixture[str], stage: str, *options: str, **changes: object) -> str:
    """Return the message of the config check, which is the stage's, too."""
    status, said = told(capsys, **changes)
    assert status == 2, said
    ended = run_stage_here(Path(), stage, "--dataset", "tickets", *options)
    assert ended.status == 2
    lines = ended.errors.removeprefix(f"{stage}: ").splitlines()
    cause = lines[1].split(": ", 1)[1].split(" in all ")[0] if len(lines) > 1 else lines[0]
    assert cause in said, f"the stage says {ended.errors}"
    return said


def test_own_rows_are_valid_and_the_demos_words_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    status, said = told(capsys)
    assert status == 0
    assert "WARNING: split.tokenizer: quickstart knows the words of the embedded benchmark only, and tickets" in said


@pytest.mark.parametrize("name", ["params.yaml", "profiles/superglue-minilm.yaml"])
def test_shipped_files_are_checked_without_torch_and_without_the_hub(name: str) -> None:
    code = f"import sys; from config.__main__ import main; end = main([{name!r}]); print(end, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"
    assert done.stderr == ""


def test_a_dataset_without_folder_description_or_rows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "source", source={"folder": "nowhere"})
    assert "source.folder: dataset 'tickets' of benchmark 'mine' is unknown" in said
    Path("mine/tickets/train.csv").rename("mine/tickets/train.xlsx")
    assert "train.xlsx is an Excel workbook" in refused(capsys, "source")
    Path("mine/tickets/train.xlsx").unlink()
    assert "no rows found (looked in mine/tickets)" in refused(capsys, "source")


def test_a_folder_that_dvc_would_miss_is_refused_even_if_the_rows_are_elsewhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("elsewhere").mkdir()
    rows = "".join(json.dumps({"premise": "a", "hypothesis": "b", "label": n % 2, "idx": n}) + "\n" for n in range(9))
    for name in ("train", "dev"):
        path = Path(f"elsewhere/rte/{name}.jsonl")
        path.parent.mkdir(exist_ok=True)
        path.write_text(rows)
    changes = {"benchmark": "superglue", "datasets": ["rte"], "source": {"folder": "mine", "search": ["elsewhere"]}}
    status, said = told(capsys, **changes)
    assert status == 2 and "mine/rte is no folder, and DVC watches it" in said
    Path("mine/rte").mkdir()
    assert told(capsys, **changes)[0] == 0


def test_columns_labels_and_descriptions_are_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    describe({**SINGLE, "text": ["mesage"]})
    said = refused(capsys, "source")
    assert "field 'mesage' is missing" in said and "did you mean 'message'" in said
    describe({**SINGLE, "labels": ["billing", "delivery"]})
    assert "field 'queue' is 'other'; must be one of" in refused(capsys, "source")
    describe({**SINGLE, "kind": "pairs"})
    assert "dataset.yaml: key 'kind' is 'pairs'" in told(capsys)[1]
    describe({**SINGLE, "metrics": ["pearson"]})
    assert "key 'metrics' names 'pearson'" in told(capsys)[1]


@pytest.mark.parametrize(
    ("method", "description", "expected"),
    [
        ("skd", {**SINGLE, "labels": ["billing", "delivery"]}, "methods: skd: tickets has 2 classes"),
        ("dist", SCORE, "methods: dist: tickets is a regression"),
        ("skd", SCORE, "methods: skd: tickets is a regression"),
    ],
)
def test_methods_are_held_against_the_kind_of_dataset(
    method: str, description: Mapping[str, object], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    describe(description)
    value = "3.0" if description is SCORE else "billing"
    Path("mine/tickets/train.csv").write_text("message,queue\n" + f"a,{value}\n" * 3)
    status, said = told(capsys, methods=[method])
    assert status == 2 and expected in said


LAYERS = {"init": "pretrained_teacher_layers", "config": None, "layers": 2}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"teacher": {"config": {**NET, "model_type": "bart"}}}, "teacher.config: .*'bart' is not supported; supported are"),
        ({"teacher": {"config": {**NET, "hidden_size": 30}}}, "teacher.config: .* hidden_size 30 is not a multiple of .*heads 4"),
        ({"student": {"config": {"model_type": "distilbert", "dim": 30, "n_heads": 4}}}, "student.config: .* hidden_size 30 is not a multiple"),
        ({"student": {"config": {**NET, "num_attention_heads": 5}}}, "student.config: .* hidden_size 32 is not a multiple"),
        ({"teacher": {"checkpoint": "gpt", "config": None}}, "teacher.checkpoint: gpt/config.json: model_type 'gpt2'"),
        ({"teacher": {"checkpoint": "./no/such/folder/", "config": None}}, "teacher.checkpoint: model folder .* does not exist"),
        ({"teacher": {"checkpoint": "empty", "config": None}}, "teacher.checkpoint: empty: no config.json"),
        ({"teacher": {"checkpoint": "pickled", "config": None}}, "teacher.checkpoint: .*pytorch_model.bin is not read"),
        ({"teacher": {"checkpoint": "other", "config": None}}, "teacher.checkpoint: .* have different tokenizers"),
        ({"teacher": {"checkpoint": "bert", "config": None}, "student": {**LAYERS, "layers": 5}}, "student.layers: 5 layers asked, allowed are 1 to 4"),
        ({"teacher": {"checkpoint": "bert", "config": None}, "split": {"max_length": 65}}, "split.max_length: 65 tokens, but the teacher reads 64"),
        ({"student": {"config": {**NET, "model_type": "roberta", "max_position_embeddings": 10}}, "split": {"max_length": 9}}, "split.max_length: 9 tokens, but the student reads 8"),
        ({"teacher": {"from": "bert"}}, r"teacher.from: bert/config.json: 2 outputs .* 'tickets' \(single\) needs 3"),
        ({"split": {"tokenizer": "empty"}}, "split.tokenizer: empty: no config.json"),
        ({"split": {"tokenizer": "cut"}}, "split.tokenizer: cut/tokenizer.json: is not a valid tokenizer .*missing field"),
        ({"mse_kd": {"mapping": [[3, 1]]}}, r"methods: mse_kd: layer mapping \[3, 1\]: a pair is \[student layer 0-2"),
        ({"methods": ["pkd"], "student": {"config": {**NET, "num_hidden_layers": 4}}}, "methods: pkd: needs a student of 2 layers or more and a deeper teacher"),
        ({"methods": ["tinybert"], "student": LAYERS, "teacher": {"checkpoint": "deberta", "config": None}}, "methods: DeBERTa-v2 gives no attention scores"),
        ({"methods": ["tinybert"], "student": {"config": {**NET, "num_attention_heads": 2}}, "teacher": {"checkpoint": "bert", "config": None}}, "methods: tinybert: compares attention head by head, but the student has 2 heads"),
        ({"methods": ["ckd"], "teacher": {"checkpoint": "flat", "config": None}}, "methods: ckd: relates .* needs 2 layers or more"),
        ({"launch": "python -m hardware cpu_9"}, "launch: hardware/cpu_9.yaml is not there; there are .*cpu_2"),
    ],
)  # fmt: skip
def test_networks_are_looked_at(changes: dict, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint(Path("bert"))
    checkpoint(Path("flat"), num_hidden_layers=1)
    checkpoint(Path("gpt"), model_type="gpt2")
    checkpoint(Path("deberta"), model_type="deberta-v2")
    checkpoint(Path("other"), words=9)
    (checkpoint(Path("cut")) / "tokenizer.json").write_text('{"model": {"type": "WordLevel"}}')
    Path("empty").mkdir()
    pickled = checkpoint(Path("pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    status, said = told(capsys, **changes)
    assert status == 2
    assert re.search(expected, said), said
    assert said.startswith("params.yaml: 1 error\n"), said


def test_checkpoints_that_fit_are_valid_and_those_of_the_hub_are_not_looked_at(
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint(Path("models/bert"), id2label={str(n): name for n, name in enumerate(SINGLE["labels"])})
    search = {"search": ["models"]}
    assert told(capsys, models=search, teacher={"checkpoint": "org/bert", "config": None}, student=LAYERS)[0] == 0
    assert told(capsys, models=search, teacher={"from": "bert"})[0] == 0
    assert told(capsys, teacher={"checkpoint": "org/no-such-model", "config": None}, student=LAYERS)[0] == 0
    ckd = {"config": {"model_type": "distilbert", "dim": 32, "n_heads": 4, "n_layers": 2}}
    assert told(capsys, methods=["ckd"], student=ckd)[0] == 0


def test_a_search_folder_that_lacks_a_config_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    folder = checkpoint(Path("models/bert"))
    (folder / "config.json").unlink()
    changes = {"models": {"search": ["models"]}, "split": {"tokenizer": "org/bert"}}
    status, said = told(capsys, **changes)
    assert status == 0 and "WARNING: models.search: models/bert has no config.json" in said
    assert run_stage_here(Path(), "source", "--dataset", "tickets").status == 0
    ended = run_stage_here(Path(), "split", "--dataset", "tickets")
    assert ended.status == 2
    assert "(models; models/bert is there, but it has no config.json: copy all files of the model)" in ended.errors


def test_settings_of_the_curriculum_that_contradict_each_other_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    changes = {
        "methods": ["finetune", "mse_kd", "mpdistil"],
        "curriculum": {"update": "episode", "reward": "gain"},
    }
    status, said = told(capsys, **changes)
    assert status == 2 and "use update: step, or reward binary or real" in said


def test_all_problems_are_listed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    describe({**SINGLE, "text": ["mesage"]})
    status, said = told(capsys, launch="python -m hardware cpu_9", teacher={"config": {**NET, "hidden_size": 30}})
    assert status == 2 and said.startswith("params.yaml: 3 errors\n"), said
