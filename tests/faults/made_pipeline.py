"""A place in which every stage has run once on 80 rows of one dataset, with networks of 16 units, and can run again."""

import copy
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from made_students import empty_registry
from stages import ROOT, Ended, merged, module_of, run_stage_here, write_params

DATASET, SEED = "reviews", "1"
DESCRIPTION = {"kind": "single", "text": "text", "label": "label", "labels": ["bad", "good"], "id": "id"}
NETWORK: dict[str, object] = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
METHODS = ["mse_kd", "prokd", "metadistil", "takd", "mpdistil", "mse_kd_meta"]
SMALL: dict[str, object] = {
    "benchmark": "own",
    "datasets": [DATASET],
    "seeds": [int(SEED)],
    "methods": METHODS,
    "threads": 1,
    "source": {"folder": "data"},
    "split": {"selection_minimum": 8},
    "teacher": {"epochs": 1, "config": NETWORK, "trajectory": True},
    "student": {
        "epochs": 1,
        "config": {**NETWORK, "num_hidden_layers": 1},
    },
    "meta_teacher": {"epochs": 1},
    "curriculum": {"episodes": 1, "max_steps_per_episode": 2, "batch_size": 8, "reward": "gain", "probe_rows": 8},
    "evaluate": {"latency_repeats": 3},
}
_OF_DATASET = ("--dataset", DATASET)
_SEEDED = (*_OF_DATASET, "--seed", SEED)
OUTPUTS = {
    "source": f"source/{DATASET}",
    "split": f"split/{DATASET}",
    "teacher": f"teacher/{DATASET}/{SEED}",
    "signals": f"signals/{DATASET}/{SEED}",
    "student": f"student/{DATASET}/mse_kd/{SEED}",
    "assistant": f"assistant/{DATASET}/takd/{SEED}",
    "assisted_student": f"student/{DATASET}/takd/{SEED}",
    "meta_teacher": f"meta_teacher/{DATASET}/{SEED}",
    "meta_student": f"student/{DATASET}/mse_kd_meta/{SEED}",
    "curriculum": f"student/{DATASET}/mpdistil/{SEED}",
    "evaluate": f"evaluate/{DATASET}/mpdistil/{SEED}",
    "report": "report",
    "compare": "compare",
    "register": "register",
}
"""Every stage of dvc.yaml, and `compare` -> the folder under outputs/ that one of its commands writes."""
OPTIONS = {
    "source": _OF_DATASET,
    "split": _OF_DATASET,
    "student": (*_SEEDED, "--method", "mse_kd"),
    "assistant": (*_SEEDED, "--method", "takd"),
    "assisted_student": (*_SEEDED, "--method", "takd"),
    "meta_student": (*_SEEDED, "--method", "mse_kd"),
    "curriculum": (*_SEEDED, "--method", "mpdistil"),
    "evaluate": (*_SEEDED, "--method", "mpdistil"),
    "report": (),
    "compare": (),
    "register": (),
}


def options_of(stage: str) -> tuple[str, ...]:
    """The command line of a stage for the first dataset."""
    return OPTIONS.get(stage, _SEEDED)


@dataclass(frozen=True)
class Made:
    """The place: params.yaml, data/, outputs/ and an empty registry beside them."""

    root: Path

    def params(self, **sections: object) -> None:
        """params.yaml with other values for some sections."""
        write_params(self.root, **merged(copy.deepcopy(SMALL), sections))

    def run(self, stage: str, *options: str) -> Ended:
        """Run a stage in this process, for the first dataset unless options say otherwise."""
        return run_stage_here(self.root, stage, *(options or options_of(stage)))

    def run_apart(self, stage: str, *before: str, limit: str = "", **environment: str) -> Ended:
        """Run it in a process of its own, `limit` (shell) said first; `before` are words before the command."""
        command = [*before, sys.executable, "-m", module_of(stage), *options_of(stage)]
        if limit:
            command = ["sh", "-c", f'{limit}; exec "$@"', "sh", *command]
        done = subprocess.run(
            command,
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
            text=True,
            capture_output=True,
            timeout=300,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def output(self, *parts: str) -> Path:
        """A path under outputs/."""
        return self.root.joinpath("outputs", *parts)

    def json(self, *parts: str) -> dict[str, object]:
        """A JSON file under outputs/."""
        return json.loads(self.output(*parts).read_text(encoding="utf-8"))

    def everything(self) -> dict[str, bytes]:
        """Every file under outputs/ with its content; checkpoints, which outlive a run that failed, are no outputs."""
        files = [path for path in sorted(self.output().rglob("*")) if path.is_file()]
        return {str(path): path.read_bytes() for path in files if self.output("checkpoints") not in path.parents}

    def bytes_of(self, stage: str) -> dict[str, bytes]:
        """Every file of one stage's output with its content, by its name in there."""
        folder = self.output(OUTPUTS[stage])
        return {
            str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
        }

    def left_aside(self) -> list[Path]:
        """List the half-written files anywhere under outputs/."""
        found = [path for path in self.output().rglob("*") if "partial" in path.name or path.name.endswith(".part")]
        return [path for path in found if path.is_file() or any(path.iterdir())]


def make(root: Path) -> Made:
    """Write the rows and run every stage but `register`, in order."""
    made = Made(root)
    _write_rows(root / "data" / DATASET)
    made.params()
    for stage, options in _commands():
        ended = made.run(stage, *options)
        assert ended.status == 0, ended.errors
    return made


def copied(made: Made, root: Path) -> Made:
    """The same in another folder, which a test may spoil, beside an empty registry."""
    shutil.copytree(made.root, root)
    return Made(root)


def registry_of(made: Made) -> str:
    """The address of an empty registry in the place."""
    return empty_registry(made.root / "registry")


def refused(made: Made, ended: Ended, *parts: str) -> None:
    """Status 2, one line with these parts, nothing half-written."""
    assert ended.status == 2, ended
    assert ended.output == ""
    assert "Traceback" not in ended.errors, ended.errors
    for part in parts:
        assert part in ended.errors, ended.errors
    assert made.left_aside() == []


def _commands() -> list[tuple[str, tuple[str, ...]]]:
    alone = ("source", "split", "teacher", "signals")
    later = ("assistant", "assisted_student", "meta_teacher", "curriculum", "meta_student")
    students = [("student", (*_SEEDED, "--method", name)) for name in ("mse_kd", "prokd", "metadistil")]
    evaluated = [("evaluate", (*_SEEDED, "--method", name)) for name in METHODS]
    named = [[(stage, options_of(stage)) for stage in stages] for stages in (alone, later)]
    return [*named[0], *students, *named[1], *evaluated]


def _write_rows(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text(yaml.safe_dump(DESCRIPTION))
    words = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay")
    rows = [
        {"id": f"r{n}", "text": f"{'yes' if n % 2 else 'no'} {words[n % 10]} {n}", "label": n % 2} for n in range(80)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
