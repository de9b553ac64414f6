"""A small git and DVC repository whose stages are shell scripts, with the matrices and the params.yaml of the real one.

A stage's script is taken from `scripts/STAGE`, so that a test says what a stage does by writing that file.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from stages import ROOT, write_params

DVC_YAML = """
stages:
  source:
    matrix:
      dataset: ${datasets}
    cmd: sh scripts/source --dataset ${item.dataset}
    deps:
      - scripts/source
    outs:
      - outputs/source/${item.dataset}
  teacher:
    matrix:
      dataset: ${datasets}
      seed: ${seeds}
    cmd: sh scripts/teacher --dataset ${item.dataset} --seed ${item.seed}
    deps:
      - outputs/source/${item.dataset}
      - scripts/teacher
    params:
      - teacher.epochs
    outs:
      - outputs/teacher/${item.dataset}/${item.seed}
  evaluate:
    matrix:
      dataset: ${datasets}
      method: ${methods.student}
      seed: ${seeds}
    cmd: sh scripts/evaluate --dataset ${item.dataset} --method ${item.method} --seed ${item.seed}
    deps:
      - outputs/teacher/${item.dataset}/${item.seed}
      - scripts/evaluate
    outs:
      - outputs/evaluate/${item.dataset}/${item.method}/${item.seed}
  report:
    cmd: sh scripts/report
    deps:
      - outputs/evaluate
      - scripts/report
    outs:
      - outputs/report
  register:
    cmd: sh scripts/register
    always_changed: true
    deps:
      - outputs/evaluate
      - scripts/register
"""
# $2 is the dataset, $4 the seed; in evaluate $4 is the method and $6 the seed.
SCRIPTS = {
    "source": "mkdir -p outputs/source; echo rows of $2 > outputs/source/$2",
    "teacher": """
        mkdir -p outputs/teacher/$2
        echo teacher of $2
        grep -A99 ^teacher: params.yaml | grep -m1 epochs: | sed 's/.*: //' > outputs/teacher/$2/$4""",
    "evaluate": """
        mkdir -p outputs/evaluate/$2/$4/$6
        echo '{"epochs": '$(cat outputs/teacher/$2/$6)'}' > outputs/evaluate/$2/$4/$6/metrics.json""",
    "report": "mkdir -p outputs/report; find outputs/evaluate -type f | sort > outputs/report/table.txt",
    # As the real one: what it has not seen before is new.
    "register": """
        mkdir -p outputs/register
        record=outputs/register/registered.json
        now=$(cat outputs/evaluate/*/*/*/metrics.json | cksum)
        grep -q "$now" $record 2>/dev/null && new=0 || new=1
        echo '{"address": "'$now'", "reachable": true, "students": [], "unfit_champions": [], "trial": null, "new": '$new', "state": null}' > $record""",
}


@dataclass(frozen=True)
class TinyPipeline:
    """The repository. `dvc` and `python` are this interpreter's."""

    root: Path

    def script(self, stage: str, text: str) -> None:
        """Make a stage do something else."""
        (self.root / "scripts" / stage).write_text(text + "\n", encoding="utf-8")

    def output(self, *parts: str) -> Path:
        """A path under outputs/."""
        return self.root.joinpath("outputs", *parts)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the repository."""
        return subprocess.run(
            command, cwd=self.root, env=tool_environment(), text=True, capture_output=True, timeout=600, check=False
        )

    def dvc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run DVC, which must succeed."""
        done = self.run("dvc", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done


def tool_environment() -> dict[str, str]:
    """This process's environment, with this interpreter's tools first and this repository's flows importable."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return dict(os.environ) | {"PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}


def make_tiny_pipeline(
    root: Path, *, datasets: tuple[str, ...] = ("left", "right"), stages: tuple[str, ...] = tuple(SCRIPTS)
) -> TinyPipeline:
    """A repository of these datasets, one seed and one method, committed, in which nothing has run."""
    (root / "scripts").mkdir(parents=True)
    (root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc" / "config")
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n", encoding="utf-8")
    (root / ".gitignore").write_text("outputs/\n__pycache__/\n", encoding="utf-8")
    described = yaml.safe_load(DVC_YAML)["stages"]
    (root / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": {name: described[name] for name in stages}}), encoding="utf-8"
    )
    write_params(
        root,
        datasets=list(datasets),
        seeds=[42],
        methods=["finetune"],
    )
    tiny = TinyPipeline(root)
    for stage, text in SCRIPTS.items():
        tiny.script(stage, text)
    for command in (
        ("git", "init", "--quiet", "--initial-branch", "main"),
        ("git", "config", "user.name", "Tester"),
        ("git", "config", "user.email", "tester@example.org"),
        ("git", "add", "--all"),
        ("git", "commit", "--quiet", "--message", "start"),
    ):
        assert tiny.run(*command).returncode == 0
    return tiny
