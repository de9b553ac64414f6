"""Dockerfile, .dockerignore and compose.yaml: what is promised of them and can be told without an engine."""

import fnmatch
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from local_servers import ROOT
from source_imports import imported

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict] = COMPOSE["services"]
# Of what git tracks: for people, for developing, for hosts that build the image.
LEFT_OUT = {
    *(
        ".ci",
        ".dockerignore",
        ".gitignore",
        "CHANGELOG.md",
        "Dockerfile",
        "LICENSE",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "SECURITY.md",
        ".github",
        ".pre-commit-config.yaml",
        "Makefile",
        "README.md",
    ),
    *("benchmarks", "compose.yaml", "docker", "docs", "experiments", "tests"),
}


def context(names: list[str]) -> set[str]:
    """The paths that reach the builder: the last line of .dockerignore that fits a path decides."""
    rules = [line for line in IGNORED if line and not line.startswith("#")]
    kept = set()
    for name in names:
        parts = Path(name).parts
        inside = True
        for rule in rules:
            pattern = rule.removeprefix("!")
            paths = {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}
            loose = pattern.removeprefix("**/")
            if any(_fits(path, pattern) for path in paths) or (
                loose != pattern and any(fnmatch.fnmatchcase(part, loose) for part in parts)
            ):
                inside = rule.startswith("!")
        if inside:
            kept.add(name)
    return kept


def _fits(path: str, pattern: str) -> bool:
    """Return whether a path fits a pattern, in which `*` stands for no slash."""
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)


def tracked() -> list[str]:
    """Files that git knows or would add."""
    listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, text=True, capture_output=True, check=True).stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def test_the_context_is_what_git_tracks_less_what_is_for_people() -> None:
    names = tracked()
    inside = context(names)
    assert {name.split("/")[0] for name in set(names) - inside} <= LEFT_OUT
    assert {name.split("/")[0] for name in inside} & LEFT_OUT == set()


def test_nothing_that_lies_around_reaches_the_image() -> None:
    junk = [
        *(".git/config", ".venv/bin/python", "outputs/student/x/model.safetensors", ".dvc/cache/files/md5/00/1"),
        *(
            ".dvc/config.local",
            ".dvc/tmp/lock",
            ".secrets/prefect_auth",
            ".env",
            "flows/.env",
            "data/.env.local",
            "mlflow.db",
            "notes.txt",
        ),
        *("tasks/__pycache__/stage.cpython-311.pyc", "id_rsa", ".pytest_cache/README.md"),
    ]
    assert context(junk) == set()


def test_all_code_that_the_image_starts_is_inside() -> None:
    inside = context(tracked())
    ours = {path.stem if path.is_file() else path.name for path in ROOT.iterdir() if path.suffix in ("", ".py")}
    needed = {
        name.split(".")[0]
        for path in (*ROOT.glob("flows/**/*.py"), *ROOT.glob("tasks/**/*.py"))
        for name in imported(path)
    } & ours
    assert {f"{name}.py" if (ROOT / f"{name}.py").is_file() else name for name in needed} <= {
        name.split("/")[0] for name in inside
    }


def test_packages_come_before_code_and_code_comes_last() -> None:
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith((" ", "#"))]
    order = [next(i for i, line in enumerate(lines) if line.startswith(start)) for start in (
        "ARG BASE=", "FROM ${BASE}", "COPY requirements/requirements.lock", "ARG TORCH=", "COPY --chown", "USER", "CMD"
    )]  # fmt: skip
    assert order == sorted(order)
    assert [line for line in lines[order[4] + 1 :] if line.startswith(("COPY", "ADD"))] == []


def test_packages_are_those_of_make_setup() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    torch = re.search(r"^TORCH \?= (\S+)$", makefile, re.MULTILINE)
    assert torch
    assert f"ARG TORCH={torch[1]}\n" in DOCKERFILE
    for option in ("--no-deps", "--require-hashes"):
        assert option in makefile
        assert option in DOCKERFILE


def test_the_image_names_no_host_and_holds_no_secret() -> None:
    assert re.findall(r"https?://|index-url|find-links", DOCKERFILE) == []
    names = re.findall(
        r"^(?:ARG|ENV|    )\s*(\w*(?:TOKEN|PASSWORD|SECRET|KEY)\w*)=", DOCKERFILE, re.MULTILINE | re.IGNORECASE
    )
    assert names == []
    assert DOCKERFILE.rindex("\nUSER ") < DOCKERFILE.rindex("\nCMD ")
    assert DOCKERFILE[DOCKERFILE.rindex("\nUSER ") :].split()[1] == "distilflow"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_the_image_without_root_and_comes_back_by_itself(name: str) -> None:
    service = SERVICES[name]
    assert service["image"] == "${DISTILFLOW_IMAGE:-distilflow:latest}"
    assert service["user"] == "distilflow"
    assert service["restart"] == "unless-stopped"
    assert service["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_a_worker_waits_for_servers_that_say_they_are_well_and_named_volumes_exist() -> None:
    for name in ("prefect", "mlflow"):
        assert SERVICES[name]["healthcheck"]["test"][:3] == ["CMD", "python", "-c"]
    for name in ("worker", "worker-gpu"):
        assert {need: each["condition"] for need, each in SERVICES[name]["depends_on"].items()} == {
            "prefect": "service_healthy",
            "mlflow": "service_healthy",
        }
    used = {volume.split(":")[0] for each in SERVICES.values() for volume in each.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])
    made = re.search(r"install --directory.*?\n\nENV", DOCKERFILE, re.DOTALL)
    assert made
    for each in SERVICES.values():
        for volume in each.get("volumes", []):
            assert f" {volume.split(':')[1]}" in made[0], "a volume takes its owner from the folder in the image"


def test_the_line_that_makes_the_secret_makes_it_once_in_a_folder_of_this_users(tmp_path: Path) -> None:
    lines = {
        line.removeprefix("#").strip()
        for name in ("compose.yaml", "docs/containers.md")
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        if "mkdir .secrets" in line
    }
    assert len(lines) == 1
    assert COMPOSE["secrets"] == {"prefect_auth": {"file": "${DISTILFLOW_AUTH_FILE:-./.secrets/prefect_auth}"}}
    folder, file = tmp_path / ".secrets", tmp_path / ".secrets" / "prefect_auth"
    line = lines.pop()
    assert subprocess.run(("sh", "-c", line), cwd=tmp_path).returncode == 0
    made = file.read_text(encoding="utf-8")
    assert re.fullmatch(r"distilflow:[0-9a-f]{48}\n", made)
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o644)
    assert subprocess.run(("sh", "-c", line), cwd=tmp_path, stderr=subprocess.DEVNULL).returncode != 0
    assert file.read_text(encoding="utf-8") == made


def test_only_the_gpu_worker_asks_for_a_gpu_and_only_in_its_profile() -> None:
    asking = [name for name, each in SERVICES.items() if "deploy" in each]
    assert asking == [name for name, each in SERVICES.items() if "profiles" in each] == ["worker-gpu"]
    device = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"][0]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
