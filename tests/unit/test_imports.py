"""Imports between our folders go one way, and what a stage needs to start stays small."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from source_imports import ROOT, imported, modules_of

from config.method_parameters import AssistedMethod, StudentMethod

OURS = {
    "config",
    "environment",
    "method_sections",
    "stage_sections",
    "params_file",
    "surroundings",
    "named_networks",
    "kinds",
    "places",
    "seeds",
    "stage_code",
    "strict_yaml",
    "data",
    "models",
    "methods",
    "training",
    "tasks",
    "benchmarks",
    "flows",
    "hardware",
    "tests",
}
SERVERS = {"mlflow", "prefect", "dvc"}
STAGES = (
    "code",
    "source",
    "split",
    "teacher",
    "signals",
    "student",
    "assistant",
    "assisted",
    "meta_teacher",
    "meta_taught",
    "curriculum",
    "multi_task",
    "evaluate",
    "report",
)
# Folder -> what it may import of ours, itself aside.
ALLOWED = {
    "data": {"kinds", "seeds", "strict_yaml"},
    "hardware": {"environment"},
    "models": {"kinds", "seeds"},
    "methods": {"kinds", "models", "seeds"},
    "training": {"data", "kinds", "models", "methods", "seeds"},
    "tasks": {
        "config",
        "environment",
        "method_sections",
        "stage_sections",
        "params_file",
        "kinds",
        "places",
        "seeds",
        "stage_code",
        "data",
        "models",
        "methods",
        "training",
    },
    "flows": {
        "config",
        "environment",
        "method_sections",
        "stage_sections",
        "params_file",
        "places",
        "stage_code",
        "strict_yaml",
    },
}
# The only code that may know a server or DVC: the registry's, and the flows.
MAY_KNOW = {
    "registry": {"mlflow"},
    "tasks/register.py": {"mlflow"},
    "registry/promote.py": {"mlflow"},
    "registry/registered_locks.py": {"mlflow"},
    "flows": {"prefect", "dvc"},
}


def first_names(path: Path) -> set[str]:
    """First parts of the imported names: `data` of `data.problems`."""
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_folder_imports_only_what_stands_below_it(folder: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in (ROOT / folder).rglob("*.py")
        if (found := (first_names(path) & OURS) - ALLOWED[folder] - {folder})
    }
    assert wrong == {}


@pytest.mark.parametrize("folder", ALLOWED)
def test_only_the_registrys_code_knows_mlflow_and_only_flows_know_prefect_and_dvc(folder: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in (ROOT / folder).rglob("*.py")
        if (found := (first_names(path) & SERVERS) - _may_know(path))
    }
    assert wrong == {}


def _may_know(path: Path) -> set[str]:
    return set().union(*(names for folder, names in MAY_KNOW.items() if path.is_relative_to(ROOT / folder)))


def test_no_flow_names_torch_or_transformers() -> None:
    wrong = [str(path) for path in (ROOT / "flows").rglob("*.py") if first_names(path) & {"torch", "transformers"}]
    assert wrong == []


def test_the_config_imports_no_torch_and_nothing_of_ours_but_its_reader() -> None:
    names = ("config/parameters.py", "config/method_parameters.py", "config/stages.py", "config/reading.py")
    found = set().union(*(first_names(ROOT / name) for name in names))
    # `surroundings` is imported by the command alone: tests/unit/tasks/test_preflight.py runs it, without torch.
    assert found & OURS == {"method_sections", "stage_sections", "params_file", "strict_yaml", "surroundings"}
    assert not found & {"torch", "transformers", "accelerate"}


def test_only_batches_in_data_import_torch_and_nothing_there_imports_transformers() -> None:
    named = {path.name: first_names(path) for path in modules_of("data")}
    assert [name for name, found in named.items() if "torch" in found] == ["batches.py"]
    assert [name for name, found in named.items() if "transformers" in found] == []


@pytest.mark.parametrize(
    ("stages", "unwanted"),
    [(("code", "source", "split", "report"), SERVERS | {"torch", "transformers"}), (STAGES, SERVERS)],
    ids=["light", "all"],
)
def test_stages_start_without_servers_and_those_that_need_no_network_without_torch(
    stages: tuple[str, ...], unwanted: set[str]
) -> None:
    imports = ", ".join(f"tasks.{stage}" for stage in stages)
    code = f"import sys, {imports}; print(sorted(set({sorted(unwanted)}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


METHODS = get_args(StudentMethod) + get_args(AssistedMethod)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_imports_no_other_method(name: str) -> None:
    others = {f"methods.{other}" for other in METHODS if other != name}
    assert not others & set(imported(ROOT / "methods" / f"{name}.py"))
