"""The table of variables: what is cleared, what is refused, and what passes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from accelerate.commands.launch import launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env, prepare_simple_launcher_cmd_env

from environment import LOOPBACK, OF_A_LAUNCHER, TABLE, check, check_launcher, cleaned
from errors import UserError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
COMPLETE = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    "name",
    [
        *("MPLBACKEND", "ATEN_CPU_CAPABILITY", "OMP_THREAD_LIMIT", "NVIDIA_TF32_OVERRIDE", "TORCHDYNAMO_DISABLE"),
        *("PYTHONWARNINGS", "PYTHONSAFEPATH", "PYTHONIOENCODING", "GIT_DIR", "PMI_SIZE", "PET_NNODES"),
        *("ACCELERATE_DOWNCAST_BF16", "PARALLELISM_CONFIG_TP_SIZE", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"),
        "PREFECT_FLOWS_DEFAULT_RETRIES",
    ],
)
def test_what_nobody_means_is_cleared(name: str) -> None:
    assert cleaned({name: "1", "HOME": "/root"}) == {"HOME": "/root"}


def test_what_is_refused_is_cleared_where_it_is_set_and_empty() -> None:
    assert cleaned({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "", "HOME": "/root"}) == {"HOME": "/root"}


@pytest.mark.parametrize(
    "name",
    [
        *("HF_HOME", "HF_HUB_OFFLINE", "HF_TOKEN", "DVC_GLOBAL_CONFIG_DIR", "TMPDIR", "PYTHONPATH", "PYTHONHASHSEED"),
        *("CUDA_VISIBLE_DEVICES", "ACCELERATE_USE_CPU", "OMP_NUM_THREADS", "MLFLOW_TRACKING_URI", "PREFECT_API_URL"),
        *("GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR"),
    ],
)
def test_places_addresses_and_hardware_are_kept(name: str) -> None:
    assert cleaned({name: "1"}) == {name: "1"}
    check({name: "1"})


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "8", "`batch_size`"),
        ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR", "`compile: true`"),
        ("ACCELERATE_MIXED_PRECISION", "bf16", "`precision: bf16`"),
        ("ACCELERATE_USE_PARALLELISM_CONFIG", "true", "hardware/multi_gpu.yaml"),
        ("ACCELERATE_TORCH_DEVICE", "meta", "hardware/"),
    ],
)
def test_what_somebody_may_have_meant_is_refused_with_the_way_to_say_it(name: str, value: str, instead: str) -> None:
    with pytest.raises(UserError, match=f"^{name}={value}, in the environment.*`unset {name}`") as refused:
        check(cleaned({name: value}))
    assert instead in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("file", sorted((ROOT / "hardware").glob("*.yaml")), ids=lambda file: file.stem)
def test_what_accelerates_launcher_says_for_a_hardware_file_passes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("ACCELERATE_", "FSDP_"))]:
        monkeypatch.delenv(name)
    given = yaml.safe_load(file.read_text(encoding="utf-8"))
    options = launch_command_parser().parse_args(["--num_cpu_threads_per_process", "1", "tasks.teacher"])
    for key, value in {"dynamo_backend": "no", **given, **given.get("fsdp_config", {})}.items():
        setattr(options, key, value)
    options.use_fsdp = given["distributed_type"] == "FSDP"
    options.main_process_port = 29577
    if given["num_processes"] == 1:
        said = prepare_simple_launcher_cmd_env(options)[1]
    else:
        said = prepare_multi_gpu_env(options) | COMPLETE
    assert {name for name in said if name.startswith("ACCELERATE_")} >= {"ACCELERATE_DYNAMO_BACKEND"}
    passed = cleaned(said, launched=True)
    check(passed)
    check_launcher(passed)
    assert {name for name in said if name not in passed} <= set(os.environ) - set(cleaned(os.environ))


def test_a_single_process_of_a_launcher_is_a_process_like_any() -> None:
    assert cleaned(COMPLETE | {"WORLD_SIZE": "1", "RANK": "0"}, launched=True) == {}
    assert cleaned({"LOCAL_RANK": "3"}, launched=True) == {}
    assert cleaned(COMPLETE, launched=True) == COMPLETE
    assert cleaned(COMPLETE) == {}


@pytest.mark.parametrize("name", OF_A_LAUNCHER)
def test_half_of_what_a_launcher_says_is_refused(name: str) -> None:
    check_launcher(COMPLETE)
    half = (
        {key: value for key, value in COMPLETE.items() if key != name}
        | {"WORLD_SIZE": "2"}
        | ({"WORLD_SIZE": "many"} if name == "WORLD_SIZE" else {})
    )
    with pytest.raises(UserError, match=f"{name}.*`unset .*RANK"):
        check_launcher(half)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_this_machine_is_asked_without_a_proxy(name: str) -> None:
    kept = cleaned({name: "http://proxy.example.org:3128", "no_proxy": ".example.org, localhost"})
    assert kept[name] == "http://proxy.example.org:3128"
    assert kept["no_proxy"] == kept["NO_PROXY"] == ".example.org,localhost,127.0.0.1,::1"
    assert cleaned(kept) == kept
    assert cleaned({name: "http://p", "NO_PROXY": "*"}) == {name: "http://p", "NO_PROXY": "*"}
    assert set(LOOPBACK) <= set(kept["NO_PROXY"].split(","))


def test_a_socks_proxy_goes_where_no_client_can_use_it() -> None:
    assert cleaned({"ALL_PROXY": "socks5://127.0.0.1:1080"}) == {}


def started(*arguments: str, **own: str) -> subprocess.CompletedProcess[str]:
    """Python in the root of the repository with these variables."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=os.environ | own, text=True, capture_output=True, timeout=120
    )


def test_a_process_that_was_given_one_starts_again_without_it() -> None:
    harm = {"PYTHONOPTIMIZE": "2", "PYTHONIOENCODING": "utf-16", "PYTHONINSPECT": "1", "LOCAL_RANK": "x"}
    done = started("-m", "tasks.source", "--help", **harm)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m tasks.source")
    assert "Read, check and store" in done.stdout, "-OO would have taken the docstring away"


@pytest.mark.parametrize("command", ["tasks.source", "hardware", "flows"])
def test_every_way_in_begins_with_it(command: str) -> None:
    code = "import os, sys; print('MPLBACKEND' in os.environ)"
    assert started("-c", code, MPLBACKEND="x").stdout == "True\n"
    folder = ROOT / command.split(".")[0] / "__init__.py"
    first = [line for line in folder.read_text(encoding="utf-8").splitlines() if "import" in line.split(" ")]
    assert first[0] == "import environment"


def test_half_of_a_launchers_words_is_one_line_of_a_stage() -> None:
    done = started("-m", "tasks.source", "--dataset", "payment", WORLD_SIZE="2", RANK="1")
    assert done.returncode == 2
    assert done.stderr.startswith("source: WORLD_SIZE=2 in the environment says")
    assert len(done.stderr.splitlines()) == 1


def test_every_rule_is_in_the_reference() -> None:
    missing = [name for rule in TABLE for name in rule.names if f"`{name}`" not in PAGE]
    assert missing == []
