"""prefect.yaml: read by Prefect's own models, its steps really run, and deployed to a real server."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from docker.types import HostConfig
from local_servers import ROOT, answers, copy_of_the_flows, free_ports, quiet_environment, wait_until
from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel
from prefect.utilities.templating import apply_values

pytestmark = pytest.mark.xdist_group("local servers")
CONTENT = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS = {each.name: each for each in PrefectYamlModel.model_validate(CONTENT).deployments}
TEMPLATE = json.loads((ROOT / "docker" / "gpu-pool.json").read_text(encoding="utf-8"))
ADDRESSES = {
    "DISTILFLOW_REPOSITORY": "https://git.example.org/distilflow.git",
    "DISTILFLOW_REF": "main",
    "MLFLOW_TRACKING_URI": "http://mlflow.example.org:5000",
}


def deployment(name: str) -> DeploymentConfig:
    """A deployment of prefect.yaml, as Prefect reads it."""
    return DEPLOYMENTS[name]


def test_prefect_knows_every_key_of_the_file() -> None:
    assert set(CONTENT) <= {"name", "prefect-version", "definitions", "deployments"}
    for each in CONTENT["deployments"]:
        assert set(each) <= set(DeploymentConfig.model_fields), each["name"]
    assert list(DEPLOYMENTS) == ["desk", "gpu"]


def test_the_version_is_the_installed_one() -> None:
    lock = (ROOT / "requirements" / "requirements.lock").read_text(encoding="utf-8")
    assert f"\nprefect=={CONTENT['prefect-version']} " in lock


def test_no_secret_stands_in_the_file() -> None:
    text = (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    named = re.findall(
        r"^\s*#?\s*(\w*(?:token|password|secret|webhook|key)\w*):\s*(.+)$", text, re.IGNORECASE | re.MULTILINE
    )
    assert named, "the file shows how a secret is named"
    assert [value for _, value in named if "prefect.blocks." not in value] == []


def test_the_gpu_survives_the_template_of_the_pool() -> None:
    pool = deployment("gpu").work_pool
    assert pool
    properties = TEMPLATE["variables"]["properties"]
    assert set(pool.job_variables) <= set(properties) == set(TEMPLATE["job_configuration"])
    defaults = {name: each["default"] for name, each in properties.items() if "default" in each}
    for values in (defaults, defaults | pool.job_variables):
        made = apply_values(TEMPLATE["job_configuration"], values)
        requests = made["container_create_kwargs"]["device_requests"]
        kept = HostConfig(version="1.44", device_requests=requests)["DeviceRequests"]
        assert kept[0]["Driver"] == "nvidia"
        assert kept[0]["Capabilities"] == [["gpu"]]
        assert made["volumes"] == ["distilflow-dvc:/cache/dvc", "distilflow-huggingface:/cache/huggingface"]


def test_the_check_of_a_container_deployment_names_all_that_is_missing() -> None:
    done = step("check", ROOT, DISTILFLOW_REF="main")
    assert done.returncode == 2
    assert (
        "not set: DISTILFLOW_REPOSITORY (the address that the container clones from), MLFLOW_TRACKING_URI"
        in done.stdout
    )
    assert len(done.stdout.splitlines()) == 1
    assert step("check", ROOT, **ADDRESSES).returncode == 0


def test_without_a_default_remote_pull_and_push_say_so_and_are_content(tmp_path: Path) -> None:
    repository = pipeline(tmp_path / "repository")
    for name in ("pull", "push"):
        done = step(name, repository)
        assert done.returncode == 0
        assert f"No default DVC remote: nothing to {name}" in done.stdout


@pytest.mark.slow
def test_what_one_container_ran_the_next_takes_from_the_remote(tmp_path: Path) -> None:
    repository, store = pipeline(tmp_path / "repository"), tmp_path / "store"
    run(repository, "dvc", "remote", "add", "--default", "store", os.path.relpath(store, repository))
    run(repository, "git", "commit", "--quiet", "--all", "--message", "remote")
    first = fresh(repository, tmp_path / "first")
    assert "Running stage 'one'" in run(first, "dvc", "repro")
    assert step("push", first).returncode == 0
    second = pulled(repository, tmp_path / "second")
    assert (second / "two.txt").read_text(encoding="utf-8") == "here\n"
    assert "Running stage" not in run(second, "dvc", "repro")
    shutil.rmtree(store / "files")
    third = step("pull", fresh(repository, tmp_path / "third"))
    assert third.returncode == 0
    assert "stages that ran before: 0" in third.stdout


def test_a_remote_that_fails_is_an_error_with_what_dvc_said(tmp_path: Path) -> None:
    repository = pipeline(tmp_path / "repository")
    run(repository, "dvc", "repro")
    (tmp_path / "a file").touch()
    run(repository, "dvc", "remote", "add", "--default", "store", "../a file/store")
    done = step("push", repository)
    assert done.returncode == 2
    assert "dvc push with the remote 'store' failed:" in done.stdout
    assert "Traceback" not in done.stdout


@dataclass
class Deployed:
    """A server that `prefect deploy --all` was run against."""

    address: str
    folder: Path
    printed: str
    environment: dict[str, str] = field(repr=False)

    def ask(self, path: str) -> list[dict]:
        """The answer to a filter that lets everything through."""
        request = urllib.request.Request(self.address + path, b"{}", {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Everything in prefect.yaml on a server of its own, from a copy of the repository."""
    folder = tmp_path_factory.mktemp("deploy")
    checkout = folder / "checkout"
    copy_of_the_flows(checkout)
    for name in ("docker", "profiles"):
        shutil.copytree(ROOT / name, checkout / name)
    shutil.copy2(ROOT / "prefect.yaml", checkout)
    port = free_ports(1)[0]
    address = f"http://127.0.0.1:{port}/api"
    environment = quiet_environment(PREFECT_HOME=str(folder / "home"), PREFECT_API_URL=address, **ADDRESSES)
    command = prefect("server", "start", "--host", "127.0.0.1", "--port", str(port))
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment | {"PREFECT_API_URL": ""},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until(lambda: answers(f"{address}/health") == 200)
        printed = ""
        for arguments in (
            ("work-pool", "create", "desk", "--type", "process"),
            ("work-pool", "create", "gpu", "--type", "docker", "--base-job-template", "docker/gpu-pool.json"),
            ("deploy", "--all"),
        ):
            printed = run(checkout, *prefect(*arguments), environment=environment)
        yield Deployed(address, checkout, printed, environment)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(300)


def test_both_deployments_are_on_the_server_with_their_limit_and_their_sleeping_schedule(deployed: Deployed) -> None:
    found = {each["name"]: each for each in deployed.ask("/deployments/filter")}
    assert set(found) == {"desk", "gpu"}
    for each in found.values():
        assert each["global_concurrency_limit"]["limit"] == 1
        assert each["concurrency_options"]["collision_strategy"] == "ENQUEUE"
        assert [(one["schedule"]["cron"], one["active"]) for one in each["schedules"]] == [("0 2 * * *", False)]
        assert each["enforce_parameter_schema"]
        assert {"datasets", "seeds", "methods", "profile", "overrides"} <= set(
            each["parameter_openapi_schema"]["properties"]
        )


def test_the_process_works_in_the_checkout_and_the_container_in_a_clone(deployed: Deployed) -> None:
    found = {each["name"]: each for each in deployed.ask("/deployments/filter")}
    assert found["desk"]["pull_steps"] == [
        {"prefect.deployments.steps.set_working_directory": {"directory": str(deployed.folder)}}
    ]
    clone = found["gpu"]["pull_steps"][0]["prefect.deployments.steps.git_clone"]
    assert (clone["repository"], clone["branch"]) == (ADDRESSES["DISTILFLOW_REPOSITORY"], "main")
    variables = found["gpu"]["job_variables"]
    assert variables["env"]["MLFLOW_TRACKING_URI"] == ADDRESSES["MLFLOW_TRACKING_URI"]
    assert variables["container_create_kwargs"]["device_requests"][0]["capabilities"] == [["gpu"]]


def test_a_container_deployment_without_its_addresses_is_refused(deployed: Deployed) -> None:
    environment = {key: value for key, value in deployed.environment.items() if key not in ADDRESSES}
    done = subprocess.run(
        prefect("deploy", "--name", "gpu"),
        cwd=deployed.folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert done.returncode != 0
    assert "not set: DISTILFLOW_REPOSITORY" in done.stdout


def prefect(*arguments: str) -> tuple[str, ...]:
    """Prefect's command line, which asks nothing."""
    return (sys.executable, "-m", "prefect", "--no-prompt", *arguments)


def run(folder: Path, *command: str, environment: dict[str, str] | None = None) -> str:
    """Run a command, and return what it printed."""
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=(environment or quiet_environment()) | {"PATH": tools},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def step(name: str, folder: Path, **own: str) -> subprocess.CompletedProcess[str]:
    """One of flows.deploy_steps, run in a folder that may be another repository."""
    return subprocess.run(
        (sys.executable, "-m", "flows.deploy_steps", name),
        cwd=folder,
        env=quiet_environment(PYTHONPATH=str(ROOT), **own),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )


def pipeline(folder: Path) -> Path:
    """A git repository with a pipeline of two stages, committed without having run."""
    folder.mkdir()
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")
    run(folder, "git", "config", "user.name", "Tester")
    run(folder, "git", "config", "user.email", "tester@example.org")
    run(folder, "dvc", "init", "--quiet")
    (folder / "in.txt").write_text("here\n", encoding="utf-8")
    copied = ("in.txt", "one.txt", "two.txt")
    stages = {
        after.removesuffix(".txt"): {"cmd": f"cp {before} {after}", "deps": [before], "outs": [after]}
        for before, after in pairwise(copied)
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    (folder / ".gitignore").write_text("/one.txt\n/two.txt\n", encoding="utf-8")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "start")
    return folder


def fresh(repository: Path, folder: Path) -> Path:
    """A plain clone."""
    run(folder.parent, "git", "clone", "--quiet", str(repository), str(folder))
    return folder


def pulled(repository: Path, folder: Path) -> Path:
    """A clone as the container gets it: by the pull steps of the deployment, with no cache of its own yet."""
    folder.mkdir()
    steps = deployment("gpu").pull
    assert isinstance(steps, list)
    code = f"import asyncio; from prefect.deployments.steps.core import run_steps; asyncio.run(run_steps({steps!r}))"
    environment = quiet_environment(
        PYTHONPATH=str(ROOT),
        DISTILFLOW_REPOSITORY=str(repository),
        DISTILFLOW_REF="main",
        PREFECT_HOME=str(folder / "home"),
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="100",  # the steps start one; a busy machine takes long
    )
    run(folder, sys.executable, "-c", code, environment=environment)
    return folder / "distilflow"
