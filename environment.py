"""Environment variables that must not decide a result, and the treatment of each: one table.

params.yaml decides, and run.json records it; a variable that a notebook, another project or a login left behind does
neither. `python -m tasks.STAGE`, `python -m hardware` and `python -m flows` begin with `begin()`: a process that was
given such a variable starts again without it, before Python, torch or accelerate could act on it, and what it starts in
turn never sees it. What somebody may have meant is refused instead, by one line with the way to say it.

Kept is everything else: places (HF_HOME, TMPDIR, DVC_*_DIR), addresses and their secrets, HF_HUB_OFFLINE, what chooses
the hardware (CUDA_VISIBLE_DEVICES, ACCELERATE_USE_CPU), OMP_NUM_THREADS and the like (a stage sets its own number of
threads), PYTHONHASHSEED (no result depends on an order of hashes), PYTHONPATH.
"""

import importlib.util
import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from errors import UserError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True)
class VariableRule:
    """The treatment of variables whose names fit one of the patterns."""

    names: tuple[str, ...]
    why: str
    instead: str = ""
    """The setting to use instead. A variable with one is refused; a variable without is cleared."""
    harmless: tuple[str, ...] = ()
    """Harmless values, in lower case: accelerate's launcher always sets some."""
    kept: tuple[str, ...] = ()
    """Matching names that are kept."""

    def fits(self, name: str) -> bool:
        """Return whether the rule matches this variable."""
        return name not in self.kept and any(fnmatchcase(name, pattern) for pattern in self.names)


OF_A_LAUNCHER = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables that a launcher sets to give each of its processes its rank."""
TABLE = (
    VariableRule(
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS",),
        "divides the loss",
        "the batch is that of params.yaml (`batch_size`)",
        harmless=("1",),
    ),
    VariableRule(
        ("ACCELERATE_DYNAMO_BACKEND",),
        "compiles the network",
        "params.yaml has `compile: true` for that",
        harmless=("no",),
    ),
    VariableRule(
        ("ACCELERATE_MIXED_PRECISION",),
        "sets the precision",
        'params.yaml has `precision: bf16` for that, and a hardware file `mixed_precision: "no"`',
        harmless=("no",),
    ),
    VariableRule(
        ("ACCELERATE_USE_PARALLELISM_CONFIG", "ACCELERATE_USE_SAGEMAKER"),
        "splits the work over processes in a way that no stage knows",
        "hardware/multi_gpu.yaml and hardware/fsdp.yaml are known",
        harmless=("false",),
    ),
    VariableRule(
        ("ACCELERATE_TORCH_DEVICE",),
        "chooses a device",
        "a file of hardware/ does, or CUDA_VISIBLE_DEVICES",
    ),
    VariableRule(
        ("ACCELERATE_*", "PARALLELISM_CONFIG_*", "FP8_*"),
        "options of accelerate that params.yaml does not know",
        kept=(
            *("ACCELERATE_USE_CPU", "ACCELERATE_USE_FSDP", "ACCELERATE_CPU_AFFINITY", "ACCELERATE_LOG_LEVEL"),
            *("ACCELERATE_DEBUG_MODE", "ACCELERATE_DYNAMO_MODE", "ACCELERATE_DYNAMO_USE_FULLGRAPH"),
            *("ACCELERATE_DYNAMO_USE_DYNAMIC", "ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION"),
            # Refused by the stages that train, which say what to use in their place.
            *("ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM"),
        ),
    ),
    VariableRule(
        ("PMI_*", "OMPI_COMM_WORLD_*", "MV2_COMM_WORLD_*", "MPI_LOCAL*"),
        "of an MPI job around this one: accelerate would wait for its other processes",
    ),
    VariableRule(
        ("PET_*",),
        "defaults of torchrun, such as a number of machines; a file of hardware/ has them",
    ),
    VariableRule(
        ("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
        "round what a GPU multiplies; a stage has TF32 off",
    ),
    VariableRule(
        ("ATEN_CPU_CAPABILITY", "ONEDNN_*", "DNNL_*", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "NPY_*_CPU_FEATURES"),
        "choose among kernels whose results differ in the last bits",
    ),
    VariableRule(
        ("OMP_DYNAMIC", "OMP_THREAD_LIMIT"),
        "give fewer threads than `threads` in params.yaml says, which changes the last bits",
    ),
    VariableRule(
        ("TORCHDYNAMO_*", "TORCH_COMPILE_*", "TORCHINDUCTOR_*", "PYTORCH_JIT"),
        "whether and how a network is compiled; params.yaml's `compile` says so",
        kept=("TORCHINDUCTOR_CACHE_DIR",),
    ),
    VariableRule(
        ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TRUST_REMOTE_CODE"),
        "let files bring code along",
    ),
    VariableRule(
        ("MPLBACKEND", "MATPLOTLIBRC"),
        "of a notebook: a backend that is not installed, another look of the report's pictures",
    ),
    VariableRule(
        ("PREFECT_FLOW*_DEFAULT_*", "PREFECT_TASK*_DEFAULT_*"),
        "repeat a flow or a task; DISTILFLOW_RETRIES says how often a stage is tried again",
    ),
    VariableRule(
        (
            *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"),
            *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_NAMESPACE"),
        ),
        "of a git hook: git would look at its repository, whatever the folder",
    ),
    VariableRule(
        ("PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONDEVMODE", "PYTHONVERBOSE", "PYTHONSAFEPATH"),
        "make libraries fail on a warning or a missing docstring, or a stage wait at a prompt when it is done",
    ),
    VariableRule(
        ("PYTHONIOENCODING", "PYTHONUTF8", "PYTHONCOERCECLOCALE", "PYTHONLEGACYWINDOWSSTDIO"),
        "an encoding that can't hold what is printed, or that those who read it don't expect",
    ),
)


def begin(*, launched: bool = False) -> None:
    """Restart this `python -m ...` without the variables to clear, if any is set.

    To be called by a package before it imports anything.

    Args:
        launched: this may be one of several processes of a launcher, and what the launcher says of them stays.
    """
    kept = cleaned(os.environ, launched=launched)
    if sys.argv[:1] == ["-m"]:  # Python puts the module's path there once it has found it
        if kept != dict(os.environ):
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)  # noqa: S606 (itself)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # of a locale that has no ± or →
                stream.reconfigure(errors="backslashreplace")


def clear() -> None:
    """Clear the table's variables in this process, for a Prefect worker that imports a flow.

    Python and what it has imported have read theirs; what this process starts is spared.
    """
    kept = cleaned(os.environ)
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    os.environ.update(kept)


def cleaned(environment: Mapping[str, str], *, launched: bool = False) -> dict[str, str]:
    """The environment without cleared variables; servers on this machine bypass the proxy."""
    gone = {name for name, value in environment.items() if _is_cleared(name, value) or _is_unusable_proxy(name, value)}
    if not launched or environment.get("WORLD_SIZE", "").strip() in ("", "1"):
        gone.update((*OF_A_LAUNCHER, "LOCAL_WORLD_SIZE"))
    kept = {name: value for name, value in environment.items() if name not in gone}
    return kept | _no_proxy(kept)


def rule_of(name: str) -> VariableRule | None:
    """The first matching rule of the table; None if the variable is kept."""
    return next((rule for rule in TABLE if rule.fits(name)), None)


def _is_cleared(name: str, value: str) -> bool:
    rule = rule_of(name)
    # Set but empty says nothing, and accelerate takes it for a number.
    return rule is not None and (not rule.instead or not value.strip())


def check(environment: Mapping[str, str]) -> None:
    """Raise UserError for the first variable that is refused."""
    for name, value in sorted(environment.items()):
        rule = rule_of(name)
        if rule and rule.instead and value.strip().lower() not in ("", *rule.harmless):
            raise UserError(
                f"{name}={value}, in the environment or by a hardware file, {rule.why} behind params.yaml; "
                f"`unset {name}`: {rule.instead}"
            )


def check_launcher(environment: Mapping[str, str]) -> None:
    """Raise UserError for several processes without the variables to reach each other."""
    given = {name: environment[name] for name in OF_A_LAUNCHER if environment.get(name, "").strip()}
    if not given:
        return
    missing = [name for name in OF_A_LAUNCHER if name not in given]
    wrong = [f"{name}={given[name]}" for name in given if name != "MASTER_ADDR" and not given[name].isdecimal()]
    if missing or wrong:
        problem = f"{missing[0]} is not set" if missing else f"{wrong[0]} is no number"
        raise UserError(
            f"WORLD_SIZE={given.get('WORLD_SIZE', '')} in the environment says that a launcher started several processes, "
            f"but {problem}; if these are left over from another job, `unset {' '.join(given)}`; to start several processes, "
            "set `launch: python -m hardware cpu_2` in params.yaml"
        )


def _is_unusable_proxy(name: str, value: str) -> bool:
    """Return whether this is a SOCKS proxy and `socksio` is missing: httpx then always raises."""
    return (
        name.lower() in PROXIES
        and value.lower().startswith("socks")
        and importlib.util.find_spec("socksio") is None  # httpx's
    )


def _no_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """NO_PROXY extended by this machine's names, if there is a proxy."""
    if not any(environment.get(name) or environment.get(name.upper()) for name in PROXIES):
        return {}
    given = [environment.get("no_proxy", ""), environment.get("NO_PROXY", "")]
    hosts = dict.fromkeys(host.strip() for text in given for host in text.split(",") if host.strip())
    if "*" in hosts:
        return {}
    text = ",".join((*hosts, *(host for host in LOOPBACK if host not in hosts)))
    return {"NO_PROXY": text, "no_proxy": text}
