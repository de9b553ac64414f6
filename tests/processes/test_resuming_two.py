"""Two processes that were ended in their midst go on, and leave bit for bit what two undisturbed ones do; dropout is on."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from launching import launched
from resuming_plan import prepare

from tests.chaos.comparison import differences

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.slow]
GONE = "another of its 2 processes is gone"


@dataclass
class Launches:
    """Launches of `resuming.py` in one folder, each after the one before."""

    folder: Path
    said: list[list[str]] = field(default_factory=list)

    def launch(self, *words: str, status: int) -> None:
        process = launched("python", "-m", "hardware", "cpu_2", "resuming", *words, folder=self.folder)
        _, errors = process.communicate(timeout=200)
        assert process.returncode == status, errors
        self.said.append([line for line in errors.splitlines() if line])

    def differ(self, name: str) -> list[str]:
        """The files in which the run that was broken off is not like the other."""
        return differences(*(self.folder / f"ended/{name}-{number}" for number in (0, 1)))


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Launches:
    """A student of which the second process was killed, a curriculum of which the launcher got SIGTERM; both went on."""
    found = Launches(tmp_path_factory.mktemp("resuming"))
    prepare(found.folder)
    found.launch("student=sigkill-1", status=137)
    found.launch("student=none", "student=none", "gain=none", "gain=sigterm", status=143)
    found.launch("gain=none", status=0)
    return found


def test_a_student_of_which_one_process_was_killed_ends_with_the_bits_of_an_undisturbed_one(after: Launches) -> None:
    assert "student payment kd 1: goes on from its checkpoint, after 6 steps" in after.said[1]
    assert after.differ("student") == []


def test_a_curriculum_whose_launcher_got_sigterm_ends_with_the_bits_of_an_undisturbed_one(after: Launches) -> None:
    assert len(after.said[2]) == 1 and "goes on from its checkpoint, after" in after.said[2][0]
    assert after.differ("gain") == []


def test_the_process_that_lost_its_partner_says_so_in_one_line(after: Launches) -> None:
    """Its launcher ends it at the same moment: it may come to speak of that instead."""
    assert len(after.said[0]) == 1
    assert GONE in after.said[0][0] or "SIGTERM, stopped" in after.said[0][0]


def test_other_ends_of_other_runs_go_on_bit_for_bit(tmp_path: Path) -> None:
    again = Launches(tmp_path)
    prepare(again.folder)
    again.launch("student=none", "student=one-sigterm", "student=none", "gain=sigkill-0", status=137)
    again.launch("gain=none", "gain=none", "alignment=sigkill-1", status=137)
    again.launch("alignment=none", "alignment=none", "alignment=sigterm", status=143)
    again.launch("alignment=none", status=0)
    assert [again.differ(name) for name in ("student", "gain", "alignment")] == [[], [], []]
    ended = again.folder / "ended"
    assert differences(ended / "alignment-1", ended / "alignment-2") == []
