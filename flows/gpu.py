"""The stages that use a GPU, and the Prefect server's concurrency limit `gpu` on them."""

import os
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event

import httpx
import yaml
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound, PrefectException

from config import parameters

LIMIT = "gpu"
LAUNCHED = "${launch}"  # how dvc.yaml begins the command of a stage that goes onto the hardware
DEVICES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd")
POLL = 5.0  # seconds from one look for a free slot to the next
AGAIN = 300.0  # seconds after which a stage that still waits says so again


def stages_on_gpu(root: Path) -> frozenset[str]:
    """Names of the stages that use a GPU of this machine, by `launch` of params.yaml."""
    if not launches_on_gpu(parameters.load(root / "params.yaml").launch, root):
        return frozenset()
    return launched_stages(root)


def launched_stages(root: Path) -> frozenset[str]:
    """Names of the stages that go onto the hardware, whatever it is."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return frozenset(name for name, stage in stages.items() if str(stage.get("cmd")).startswith(LAUNCHED))


def launches_on_gpu(launch: str, root: Path) -> bool:
    """Return whether a launch line puts a stage onto a GPU: by its hardware file, else by whether there is a GPU."""
    named = names_a_gpu(launch, root)
    return has_gpu() if named is None else named


def names_a_gpu(launch: str, root: Path) -> bool | None:
    """Return whether the hardware file of a launch line is one for GPUs; None for a line without such a file."""
    file = _hardware_file(launch.split(), root)
    if file is None or not file.is_file():
        return None
    hardware = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return not (hardware.get("use_cpu") or hardware.get("distributed_type") == "MULTI_CPU")


def has_gpu() -> bool:
    """Return whether this machine has a GPU that the environment does not hide."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
    return not hidden and any(Path(device).exists() for device in DEVICES)


def _hardware_file(words: list[str], root: Path) -> Path | None:
    """The hardware file of a launch line: `python -m hardware NAME`, or `accelerate launch --config_file FILE -m`."""
    if words[:-1] == ["python", "-m", "hardware"]:
        return root / "hardware" / f"{words[-1]}.yaml"
    return root / words[words.index("--config_file") + 1] if "--config_file" in words[:-1] else None


def limit_exists() -> bool:
    """Return whether the Prefect server has the limit `gpu`; without one, only `parallel` bounds the stages."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(LIMIT).active
        except ObjectNotFound:
            return False


@contextmanager
def gpu_slot(needed: bool, stopping: Event, log: Callable[[str], None]) -> Generator[None]:
    """Hold one slot of the limit if needed; waits until there is one or the run is stopped, logging now and then."""
    slot, begun = None, time.monotonic()
    reported = begun - AGAIN
    while needed and slot is None and not stopping.is_set():
        # Prefect logs an error for each attempt that ends without a slot, so none is made before there is one.
        if free_slots() > 0:
            slot = _take_slot()
            continue
        if time.monotonic() - reported >= AGAIN:
            waited = f", {(time.monotonic() - begun) / 60:.0f} min so far" if reported > begun - AGAIN else ""
            log(
                f"waits for a slot of the limit '{LIMIT}' of Prefect{waited} (who has one: `prefect gcl inspect {LIMIT}`)"
            )
            reported = time.monotonic()
        stopping.wait(POLL)
    if slot is not None and reported >= begun:
        log(f"has a slot of the limit '{LIMIT}' after {time.monotonic() - begun:.0f} s")
    try:
        yield
    finally:
        if slot is not None:
            slot.__exit__(None, None, None)


def free_slots() -> int:
    """Number of free slots of the limit; 0 while the server does not answer."""
    with get_client(sync_client=True) as client:
        try:
            limit = client.read_global_concurrency_limit_by_name(LIMIT)
        except ObjectNotFound:
            return 1  # it was removed since: `concurrency` goes on without
        except (PrefectException, httpx.HTTPError):
            return 0
        return limit.limit - limit.active_slots


def _take_slot() -> AbstractContextManager[None] | None:
    """Acquire a slot; None if none is free any more."""
    candidate = concurrency(LIMIT, occupy=1, timeout_seconds=POLL)
    try:
        candidate.__enter__()
    except TimeoutError:
        return None
    return candidate
