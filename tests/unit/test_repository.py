"""The repository beside its code: one version everywhere, workflows and hooks that run what is there."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def version() -> str:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def commands(workflow: dict[str, Any]) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_the_version_is_the_same_wherever_it_stands() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    headings = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert (citation["version"], headings[0]) == (version(), version())


def test_the_license_is_the_one_that_the_citation_names() -> None:
    lines = (ROOT / "LICENSE").read_text(encoding="utf-8").splitlines()

    assert lines[0].strip() == "Apache License"
    assert "   Copyright 2026 the distilflow authors" in lines
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["license"] == "Apache-2.0"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_targets_and_scripts_that_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    called = "\n".join(commands(yaml.safe_load(path.read_text(encoding="utf-8"))))

    assert set(re.findall(r"\bmake ([a-z-]+)", called)) <= targets
    assert all((ROOT / script).is_file() for script in re.findall(r"\bbash (\S+)", called))


def test_workflows_may_only_read_the_repository() -> None:
    assert WORKFLOWS
    for path in WORKFLOWS:
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["permissions"] == {"contents": "read"}, path.name


def test_hooks_are_the_programs_of_the_lock() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]

    assert local["repo"] == "local"
    assert {hook["entry"].split()[0] for hook in local["hooks"]} <= {".venv/bin/python", ".venv/bin/ty"}
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
