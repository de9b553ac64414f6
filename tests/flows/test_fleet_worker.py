"""The checks of `python -m flows worker`: one line for each thing that is missing, and nothing is started."""

import importlib.metadata
import os
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from tiny_pipeline import TinyPipeline, make_tiny_pipeline

from flows.__main__ import main
from flows.fleet.worker import problems

pytestmark = pytest.mark.xdist_group("prefect")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyPipeline:
    """A clone with a remote and a lock file that fits what is installed."""
    made = make_tiny_pipeline(tmp_path / "clone", datasets=("left",), stages=("source",))
    made.dvc("remote", "add", "--default", "store", "../store")
    (made.root / "requirements").mkdir()
    lock(made, prefect=importlib.metadata.version("prefect"))
    monkeypatch.chdir(made.root)
    return made


def lock(clone: TinyPipeline, **versions: str) -> None:
    lines = (f"{name}=={version} \\\n    --hash=sha256:00\n" for name, version in versions.items())
    (clone.root / "requirements" / "requirements.lock").write_text("".join(lines), encoding="utf-8")


def test_a_machine_with_all_that_is_needed_has_no_problem_and_the_remote_is_left_as_it_was(
    clone: TinyPipeline, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with temporary_settings(updates={PREFECT_API_URL: server}):
        assert list(problems(clone.root, "cpu")) == []
        assert main(["worker", "--pool", "cpu", "--name", "here", "--check"]) == 0
    assert "Worker here-" in (said := capsys.readouterr().out) and "pool cpu, queue cpu-" in said
    assert [path for path in (clone.root.parent / "store").rglob("*") if path.is_file()] == []


def test_everything_that_is_missing_is_said_at_once_a_line_each(
    clone: TinyPipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(clone.root / "nothing"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    lock(clone, prefect="1.0", numpy="0.1", pandas="0.1", scipy="0.1", notthere="2.0")
    (clone.root.parent / "store").write_text("no folder", encoding="utf-8")
    with temporary_settings(updates={PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert main(["worker", "--pool", "gpu"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5 and all(line.startswith("python -m flows worker: ") for line in lines)
    for line, words in zip(
        lines,
        (
            "git is not installed",
            "prefect 1.0, numpy 0.1, pandas 0.1 and 2 more, and that is not what is installed",
            "can't be written and read",
            "nothing answers there",
            "no GPU here",
        ),
        strict=True,
    ):
        assert words in line


def test_a_remote_that_is_not_set_and_an_api_that_is_not_set_are_said(clone: TinyPipeline) -> None:
    clone.dvc("remote", "default", "--unset")
    found = list(problems(clone.root, "cpu"))
    assert len(found) == 2
    assert "no default DVC remote" in found[0] and "PREFECT_API_URL is not set" in found[1]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_remote_that_may_only_be_read_is_said(clone: TinyPipeline, server: str) -> None:
    (clone.root.parent / "store").mkdir(mode=0o500)
    with temporary_settings(updates={PREFECT_API_URL: server}):
        (found,) = problems(clone.root, "cpu")
    assert "can't be written and read" in found
