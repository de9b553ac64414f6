"""Own rows by the lines of README.md and docs/tutorial.md, run as printed: config, source and split."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import yaml
from doc_blocks import ROOT, blocks
from safetensors.numpy import save_file
from stages import run_stage_here

from models.tokenizer import build_word_tokenizer, save_tokenizer

ALL = blocks()
PROFILE = ROOT / "profiles" / "superglue-minilm.yaml"


def checkpoint(folder: Path, text: str) -> None:
    """A folder that is taken for a checkpoint, whose tokenizer knows the words of a text."""
    save_tokenizer(build_word_tokenizer(re.findall(r"[a-z0-9]+", text.lower())), folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "num_hidden_layers": 6}))
    save_file({}, folder / "model.safetensors")


def prepared(here: Path) -> str:
    """Return the last line of the rows' last stage; `python -m config` has to take the params file first."""
    params = here / "params.yaml"
    content = yaml.safe_load(params.read_text(encoding="utf-8"))
    rows = (here / "mine/tickets/train.csv").read_text(encoding="utf-8")
    checkpoint(here / "checkpoints" / Path(content["split"]["tokenizer"]).name, rows)
    content["models"]["search"] = ["checkpoints"]  # docs/how-to.md: "Without network, put its folder into one that ..."
    params.write_text(yaml.safe_dump(content), encoding="utf-8")
    command = [sys.executable, "-m", "config", "params.yaml"]
    done = subprocess.run(command, cwd=here, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("params.yaml: valid (mine: 1 dataset, ")
    said = ""
    for stage in ("source", "split"):
        ended = run_stage_here(here, stage, "--dataset", "tickets")
        assert ended.status == 0, ended.errors
        said += ended.errors + ended.output
    return said


def test_readmes_ten_lines_for_own_rows_run_as_printed(tmp_path: Path) -> None:
    description, keys = [block for block in ALL if block.page == "README.md" and block.language == "yaml"]
    place = re.match(r"# (\S+/dataset.yaml)\n", description.text)
    assert place is not None
    file = tmp_path / place[1]
    file.parent.mkdir(parents=True)
    file.write_text(description.text, encoding="utf-8")
    raw = yaml.safe_load(description.text)
    with (file.parent / "train.csv").open("w", encoding="utf-8", newline="") as rows:
        writer = csv.writer(rows)
        writer.writerow(["ticket", "message", "queue"])
        writer.writerows([n, f"please look at order {n}", raw["labels"][n % 3]] for n in range(300))
    text = PROFILE.read_text(encoding="utf-8")
    for key in yaml.safe_load(keys.text):
        line = next(line for line in keys.text.splitlines() if line.startswith(f"{key}:"))
        text, count = re.subn(rf"^{key}:.*\n(?:[ #].*\n)*", lambda _, line=line: line + "\n", text, flags=re.MULTILINE)
        assert count == 1
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    said = prepared(tmp_path)
    assert "source tickets: train 300 rows" in said and "dev 45 rows" in said


def test_the_tutorials_own_rows_run_as_printed(tmp_path: Path) -> None:
    own = [
        block for block in ALL if block.language == "sh" and block.page == "docs/tutorial.md" and "mine" in block.text
    ]
    script = "\n".join(
        [
            "set -eu",
            *(re.sub(r"^(make clean|python -m config .*)$", "", block.text, flags=re.MULTILINE) for block in own),
        ]
    )
    (tmp_path / "profiles").symlink_to(ROOT / "profiles")
    subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True)
    printed = next(
        block for block in ALL if block.page == "docs/tutorial.md" and block.text.startswith("source tickets")
    )
    for wanted, line in zip(printed.text.splitlines(), prepared(tmp_path).splitlines(), strict=True):
        assert line.startswith(wanted.removesuffix("..."))
