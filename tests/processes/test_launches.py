"""`python -m hardware cpu_2 tasks.STAGE`: two launches share a machine, an error is one line, SIGTERM keeps a checkpoint."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from launching import launched
from plan import PAIR

pytestmark = pytest.mark.xdist_group("processes")
LAUNCH = ("python", "-m", "hardware", "cpu_2")


def own_lines(errors: str) -> list[str]:
    """Return the stage's stderr, without the warning that so small a teacher earns."""
    return [line for line in errors.splitlines() if line and not line.startswith("WARNING: teacher")]


@dataclass(frozen=True)
class Ended:
    """The end of a launch."""

    status: int
    output: str
    errors: list[str]


@pytest.fixture(scope="module")
def at_once(ran: Path) -> tuple[Ended, Ended]:
    """Two launches on one machine at the same time; one of the second one's processes fails."""
    both = [
        launched(*LAUNCH, "tasks.teacher", "--dataset", PAIR, "--seed", "1", folder=ran),
        launched(*LAUNCH, "one_sided", "--dataset", PAIR, "--seed", "1", folder=ran),
    ]
    said = [process.communicate(timeout=200) for process in both]
    first, second = (
        Ended(process.returncode, output, own_lines(errors))
        for process, (output, errors) in zip(both, said, strict=True)
    )
    return first, second


def test_two_launches_at_once_find_ports_of_their_own(at_once: tuple[Ended, Ended]) -> None:
    ended = at_once[0]
    assert (ended.status, ended.errors) == (0, [])
    assert ended.output.startswith(f"teacher {PAIR} 1: ") and len(ended.output.splitlines()) == 1


def test_an_error_in_one_process_ends_all_with_one_line_and_status_two(at_once: tuple[Ended, Ended]) -> None:
    ended = at_once[1]
    assert (ended.status, ended.output, ended.errors) == (2, "", ["signals: the second process fails"])


@pytest.mark.parametrize(("name", "wanted"), [("fsdp", "finds no GPU"), ("multi_gpu", "finds no GPU")])
@pytest.mark.slow
def test_hardware_that_is_not_there_or_not_supported_is_one_line(name: str, wanted: str, ran: Path) -> None:
    command = ("tasks.teacher", "--dataset", PAIR, "--seed", "1")
    process = launched("python", "-m", "hardware", name, *command, folder=ran)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 2
    assert len(own_lines(errors)) == 1 and wanted in errors


@pytest.mark.slow
def test_sigterm_to_the_launcher_keeps_one_checkpoint_and_the_next_launch_goes_on(ran: Path) -> None:
    text = (ran / "params.yaml").read_text(encoding="utf-8")
    (ran / "long.yaml").write_text(text.replace("epochs: 2", "epochs: 40"), encoding="utf-8")
    command = (*LAUNCH, "tasks.teacher", "--dataset", PAIR, "--seed", "1", "--params", "long.yaml")
    first = launched(*command, folder=ran)
    end = time.monotonic() + 100
    while not list(ran.glob(f"outputs/checkpoints/teacher-{PAIR}-1/*/identity.json")) and time.monotonic() < end:
        time.sleep(0.2)
    time.sleep(1)
    first.send_signal(signal.SIGTERM)
    output, errors = first.communicate(timeout=60)
    assert (first.returncode, output) == (143, ""), errors
    assert len(own_lines(errors)) == 1
    again = launched(*command, folder=ran)
    _, errors = again.communicate(timeout=200)
    assert again.returncode == 0
    assert [line for line in own_lines(errors) if "goes on from its checkpoint" in line]
