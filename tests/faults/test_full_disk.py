"""A disk that is full or read-only: every stage says so in one line, keeps what was there, and later completes."""

import resource
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from made_pipeline import METHODS, OUTPUTS, Made, refused, registry_of
from stages import Ended

pytestmark = pytest.mark.xdist_group("faults")
NEVER_THE_SAME = ("run.json", "metrics.json", "registered.json")
"""Files that hold times, or what is new in the registry."""


@contextmanager
def files_of_at_most(size: int) -> Generator[None]:
    """No file of this process may grow beyond so many bytes; Arrow's and safetensors' own code is told so, too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def largest(made: Made, stage: str) -> int:
    """Bytes of the largest file of a stage's output."""
    return max(len(content) for content in made.bytes_of(stage).values())


@pytest.fixture
def registry(made: Made, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty registry of its own, for `register`."""
    address = registry_of(made)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return address


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("share", [0.0, 0.5], ids=["the first byte", "half of the largest file"])
@pytest.mark.parametrize("stage", OUTPUTS)
def test_a_stage_that_finds_no_room_keeps_what_was_there_and_completes_later(
    made: Made, stage: str, share: float
) -> None:
    if stage in ("report", "compare", "register"):
        assert made.run(stage).status == 0
    before = made.bytes_of(stage)
    limit = int(largest(made, stage) * share)
    with files_of_at_most(limit):
        ended = made.run(stage)
    refused(made, ended, f"{stage}: ", "make room and run it again")
    assert len([line for line in ended.errors.splitlines() if line.startswith(f"{stage}: ")]) == 1, ended.errors
    assert made.bytes_of(stage) == before
    again = made.run(stage)
    assert again.status == 0, again.errors
    after = made.bytes_of(stage)
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name] and not name.endswith(NEVER_THE_SAME)] == []


@pytest.mark.parametrize("more", [None, 0, 40_960], ids=["no byte", "no growth", "40 KiB more"])
def test_a_registration_that_finds_no_room_is_taken_up_again_with_no_version_twice(
    made: Made, registry: str, more: int | None
) -> None:
    database = Path(registry.removeprefix("sqlite:///"))
    with files_of_at_most(0 if more is None else database.stat().st_size + more):
        ended = made.run("register")
    refused(made, ended, "register: ", "make room")
    again = made.run("register")
    assert again.status == 0, again.errors
    students = made.json("register", "registered.json")["students"]
    assert isinstance(students, list) and [one["version"] for one in students] == [1] * len(METHODS)


# outputs/ as a file system of its own that only this shell and its children see: full up to so many KiB, or read-only.
# (`bind`: the mount alone. To change the tmpfs, mount would give its owner again, whom another user's shell does not know.)
MOUNTED = """
mv outputs before && mkdir outputs && mount -t tmpfs -o size=16m none outputs && cp -r before/. outputs
spare=$1; shift
if [ "$spare" = read-only ]; then mount -o remount,bind,ro outputs
else
  dd if=/dev/zero of=outputs/filler bs=1k 2>/dev/null
  truncate -s "-${spare}K" outputs/filler
fi
"$@"; status=$?
rm -f outputs/filler 2>/dev/null
mkdir after && cp -r outputs/. after; umount outputs; rmdir outputs; mv after outputs; rm -rf before
exit $status
"""


def run_mounted(made: Made, stage: str, spare: str) -> Ended:
    """Run a stage with outputs/ on a small file system; what it left lies in outputs/ afterwards."""
    if subprocess.run(["unshare", "--map-root-user", "--mount", "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system of their own (unshare --map-root-user --mount)")
    return made.run_apart(stage, "unshare", "--map-root-user", "--mount", "sh", "-c", MOUNTED, "sh", spare)


@pytest.mark.slow
@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("spare", ["0", "4", "read-only"], ids=["no room", "4 KiB left", "read-only"])
@pytest.mark.parametrize("stage", OUTPUTS)
def test_on_a_real_file_system_too(made: Made, stage: str, spare: str) -> None:
    before = made.everything()
    ended = run_mounted(made, stage, spare)
    words = ("Read-only file system", "make it writable") if spare == "read-only" else ("No space left", "make room")
    refused(made, ended, f"{stage}: ", *words)
    assert made.everything() == before
    again = made.run(stage)
    assert again.status == 0, again.errors


@pytest.mark.parametrize(("stage", "spare"), [("split", "4"), ("source", "read-only")])
def test_a_stage_on_a_real_full_or_read_only_file_system_leaves_all_as_it_was(
    made: Made, stage: str, spare: str
) -> None:
    before = made.everything()
    refused(made, run_mounted(made, stage, spare), f"{stage}: ")
    assert made.everything() == before
