"""Imports between our folders go one way, and what a stage needs to start stays small."""

import subprocess
import sys
from pathlib import Path

import pytest
from source_imports import ROOT, imported, modules_of

from config.methods import TRAINED

BASE = {
    *(
        "broken_pipe",
        "checksums",
        "epoch_choice",
        "errors",
        "kinds",
        "metrics",
        "outputs",
        "paths",
        "progress",
        "records",
    ),
    *("resource_errors", "seeds"),
}
"""Modules at the root that stand on no folder, and the records."""
OURS = BASE | {
    *("benchmarks", "config", "data", "environment", "experiments", "flows", "hardware", "methods", "models"),
    *("registry", "reporting", "stage_code", "strict_yaml", "tasks", "tests", "training"),
}
SERVERS = {"mlflow", "prefect", "dvc"}
STAGES = (
    *("code", "source", "split", "teacher", "signals", "student", "assistant", "assisted_student", "meta_teacher"),
    *("meta_student", "curriculum", "multi_task", "evaluate", "report"),
)
# Folder -> what it may import of ours, itself aside.
ALLOWED = {
    "config": {"broken_pipe", "errors", "strict_yaml", "tasks"},  # which of tasks: below
    "data": {"errors", "kinds", "seeds", "strict_yaml"},
    "hardware": {"environment"},
    "records": set(),
    "models": {"errors", "kinds", "seeds"},
    "methods": {"errors", "kinds", "models", "seeds"},
    "training": {"data", "epoch_choice", "errors", "kinds", "metrics", "models", "methods", "progress", "seeds"},
    "reporting": BASE | {"config", "data"},
    "registry": BASE | {"config", "data", "models", "reporting", "stage_code"},
    "tasks": BASE
    | {*("config", "data", "environment", "methods", "models", "stage_code", "strict_yaml", "training")}
    | {"registry", "reporting"},
    "flows": {
        *("config", "environment", "errors", "kinds", "outputs", "paths", "records", "reporting", "stage_code"),
        "strict_yaml",
    },
}
# The only stages that may know the registry's code and the report's.
ABOVE = {"registry": {"register.py"}, "reporting": {"register.py", "report.py"}}
# The only code that may know a server or DVC: the registry's, and the flows.
MAY_KNOW = {"registry": {"mlflow"}, "tasks/register.py": {"mlflow"}, "flows": {"prefect", "dvc"}}


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


def test_only_the_command_of_config_knows_the_checks_of_what_a_params_file_names() -> None:
    found = {name for path in (ROOT / "config").rglob("*.py") for name in imported(path) if name.startswith("tasks")}
    # Imported when the command runs: tests/unit/tasks/test_preflight.py runs it, without torch.
    assert found <= {"tasks.preflight", "tasks.preflight.named_files"}


@pytest.mark.parametrize("folder", ["config", "reporting", "flows"])
def test_a_folder_without_networks_imports_none_of_their_libraries(folder: str) -> None:
    libraries = {"torch", "transformers", "accelerate"}
    assert [str(path) for path in (ROOT / folder).rglob("*.py") if first_names(path) & libraries] == []


@pytest.mark.parametrize("folder", ABOVE)
def test_only_stages_that_register_or_report_import_the_registry_or_the_report(folder: str) -> None:
    found = {path.name for path in (ROOT / "tasks").rglob("*.py") if folder in first_names(path)}
    assert found == ABOVE[folder]


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


METHODS = TRAINED


@pytest.mark.parametrize("name", METHODS)
def test_a_method_imports_no_other_method(name: str) -> None:
    others = {f"methods.{other}" for other in METHODS if other != name}
    assert not others & set(imported(ROOT / "methods" / f"{name}.py"))
