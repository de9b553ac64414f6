"""Runs a stage in this process, as `python -m tasks.STAGE` would: torch is imported once for all tests."""

import contextlib
import io
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import yaml

from config.methods import by_family

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ended:
    """The end of a stage: its exit status and its output."""

    status: int
    output: str
    errors: str


def module_of(name: str) -> str:
    """The module behind a stage, or behind a command that `python -m flows` passes on."""
    if (ROOT / "tasks" / f"{name}.py").is_file():
        return f"tasks.{name}"
    from flows.command_line import FORWARDED  # only here: flows clear a launcher's variables, which a stage needs

    return FORWARDED[name].module


def run_stage_here(folder: Path, stage: str, *options: str) -> Ended:
    """Run one stage in `folder`, which holds a params.yaml. An exception that the stage lets out is let out here, too."""
    output, errors = io.StringIO(), io.StringIO()
    status = 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        patch.object(sys, "argv", [module_of(stage), *options]),
    ):
        try:
            runpy.run_module(module_of(stage), run_name="__main__")
        except SystemExit as end:
            status = int(end.code or 0)
    return Ended(status, output.getvalue(), errors.getvalue())


def write_params(folder: Path, **sections: object) -> None:
    """params.yaml of this repository with other values: a section's keys are merged, other values replaced."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (folder / "params.yaml").write_text(yaml.safe_dump(merged(content, sections), sort_keys=False), encoding="utf-8")


def merged(content: dict, changes: Mapping[str, object]) -> dict:
    """The mapping with other values; mappings in it are merged, and a list of methods is put under their families."""
    for key, value in changes.items():
        if key == "methods" and not isinstance(value, dict):
            value = by_family(value)  # ty: ignore[invalid-argument-type]
        old = content.get(key)
        content[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return content


def stages_of(method: str) -> tuple[str, ...]:
    """The stages that make a method's student, but for those that come after the meta-teacher."""
    if method == "mpdistil" or method.endswith(("_meta", "_multi")):
        return ()
    return ("assistant", "assisted_student") if method in ("takd", "sftn") else ("student",)


def run_main_job(folder: Path, datasets: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> None:
    """All stages but the report, in DVC's order, for every combination; `methods` in the order of params.yaml."""

    def run(stage: str, *options: str) -> None:
        ended = run_stage_here(folder, stage, *options)
        assert ended.status == 0, ended.errors

    combinations = [("--dataset", name, "--seed", str(seed)) for name in datasets for seed in seeds]
    for name in datasets:
        for stage in ("source", "split"):
            run(stage, "--dataset", name)
    for one in combinations:
        for stage in ("teacher", "signals"):
            run(stage, *one)
        for method in methods:
            for stage in stages_of(method):
                run(stage, *one, "--method", method)
    for one in combinations:
        if "mpdistil" in methods:
            run("meta_teacher", *one)
            run("curriculum", *one, "--method", "mpdistil")
        for method in methods:
            if method.endswith("_meta"):
                run("meta_student", *one, "--method", method.removesuffix("_meta"))
            if method.endswith("_multi"):
                run("multi_task", *one, "--method", method.removesuffix("_multi"))
        for method in methods:
            run("evaluate", *one, "--method", method)
