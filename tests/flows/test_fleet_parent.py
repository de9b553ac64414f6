"""The parent's side without a server: where a stage goes, what is out of date, and results merged into dvc.lock."""

import shutil
import threading
from pathlib import Path

import pytest
from tiny_pipeline import TinyPipeline, make_tiny_pipeline

from flows import run_cache
from flows.dvc_adapter.recorded_runs import RecordedRuns
from flows.dvc_adapter.remote_files import remote_files
from flows.dvc_adapter.repository import open_repository, open_unheld
from flows.fleet.durations import note_seconds, read_seconds
from flows.fleet.fleet_graph import of_remote
from flows.fleet.merging import Merging
from flows.fleet.placement import Placement, placement
from flows.graph import read_graph

TEACHER = "teacher@left-42"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> TinyPipeline:
    """A pipeline in which everything ran and was pushed."""
    made = make_tiny_pipeline(tmp_path_factory.mktemp("parent") / "ran")
    made.dvc("remote", "add", "--default", "store", "../store")
    made.dvc("repro")
    with open_repository(made.root) as repo:
        run_cache.push(repo)
    return made


@pytest.fixture
def tiny(ran: TinyPipeline, tmp_path: Path) -> TinyPipeline:
    """The same without outputs and cache."""
    shutil.copytree(ran.root.parent / "store", tmp_path / "store")
    ignored = shutil.ignore_patterns("cache", "outputs")
    return TinyPipeline(Path(shutil.copytree(ran.root, tmp_path / "tiny", symlinks=True, ignore=ignored)))


def out_of_date(tiny: TinyPipeline) -> set[str]:
    return {name for name, node in read_graph(tiny.root, statuses=of_remote).nodes.items() if node.reasons}


def test_outputs_on_the_remote_are_up_to_date_and_a_changed_script_is_a_reason(tiny: TinyPipeline) -> None:
    assert out_of_date(tiny) == {"register"}
    assert len([node for node in read_graph(tiny.root).nodes.values() if node.reasons]) == 8
    tiny.script("teacher", "changed")
    nodes = read_graph(tiny.root, statuses=of_remote).nodes
    assert {name for name, node in nodes.items() if node.reasons} == {"register", TEACHER, "teacher@right-42"}
    assert nodes[TEACHER].reasons == ("changed: scripts/teacher",)


def test_an_output_that_is_neither_here_nor_on_the_remote_is_a_reason(tiny: TinyPipeline) -> None:
    with open_repository(tiny.root) as repo:
        (name,) = RecordedRuns(repo).outputs([TEACHER]).values()
    (tiny.root.parent / "store" / "files" / "md5" / name[:2] / name[2:]).unlink()
    assert out_of_date(tiny) == {"register", TEACHER, "teacher@right-42"}  # both teachers write the same


def test_a_stage_before_with_another_result_is_a_reason(tiny: TinyPipeline) -> None:
    with open_unheld(tiny.root) as repo:
        recorded = RecordedRuns(repo)
        entry, other = recorded.entry("source@left"), recorded.entry("source@right")
        assert entry and other
        changed = entry | {"outs": [other["outs"][0] | {"path": "outputs/source/left"}]}
        Merging(tiny.root, recorded, repo, remote_files(repo)).merge("source@left", changed)
    assert read_graph(tiny.root, statuses=of_remote).nodes[TEACHER].reasons == ("changed: outputs/source/left",)


def rules(tiny: TinyPipeline, *pools: str, short: float = 0.0, seconds: dict[str, float] | None = None) -> Placement:
    with open_unheld(tiny.root) as repo:
        return placement(tiny.root, pools, RecordedRuns(repo), short, seconds or {})


def places(tiny: TinyPipeline, found: Placement) -> dict[str, str | None]:
    return {name: found.pool_of(node) for name, node in read_graph(tiny.root).nodes.items()}


def test_what_always_runs_was_short_or_reads_what_git_ignores_stays_in_the_parent(tiny: TinyPipeline) -> None:
    found = places(tiny, rules(tiny, "cpu", short=20, seconds={TEACHER: 19.9, "teacher@right-42": 20.1}))
    assert {name for name, pool in found.items() if pool is None} == {TEACHER, "register"}
    (tiny.root / ".gitignore").write_text("outputs/\nscripts/evaluate\n", encoding="utf-8")
    tiny.run("git", "rm", "--quiet", "--cached", "scripts/evaluate")
    assert {name for name, pool in places(tiny, rules(tiny, "cpu")).items() if pool is None} == {
        "evaluate@left-finetune-42",
        "evaluate@right-finetune-42",
        "register",
    }


@pytest.mark.parametrize(
    ("launch", "pools", "place"),
    [
        ("python -m", ("cpu", "gpu"), "gpu"),
        ("python -m", ("cpu",), "cpu"),
        ("python -m hardware cpu", ("cpu", "gpu"), "cpu"),
        ("python -m hardware gpu", ("cpu", "gpu"), "gpu"),
        ("python -m hardware gpu", ("cpu",), None),
    ],
)
def test_a_stage_that_is_launched_goes_to_the_hardware_of_its_launch_line(
    tiny: TinyPipeline, launch: str, pools: tuple[str, ...], place: str | None
) -> None:
    (tiny.root / "hardware").mkdir()
    for name, content in (("cpu", "use_cpu: true"), ("gpu", "use_cpu: false")):
        (tiny.root / "hardware" / f"{name}.yaml").write_text(content, encoding="utf-8")
    text = (tiny.root / "params.yaml").read_text(encoding="utf-8")
    assert "launch: python -m\n" in text
    (tiny.root / "params.yaml").write_text(text.replace("launch: python -m\n", f"launch: {launch}\n"), encoding="utf-8")
    found = Placement(
        pools, rules(tiny, "cpu").recorded, rules(tiny, "cpu").snapshot, {"teacher"}, rules(tiny).on_gpu, 0, {}
    )
    assert places(tiny, found)[TEACHER] == place
    assert places(tiny, found)["source@left"] == ("cpu" if "cpu" in pools else None)


def test_results_of_many_threads_are_all_in_dvc_lock(tiny: TinyPipeline) -> None:
    with open_unheld(tiny.root) as repo:
        recorded = RecordedRuns(repo)
        before = recorded.read()
        merging = Merging(tiny.root, recorded, repo, remote_files(repo))
        (tiny.root / "dvc.lock").unlink()
        threads = [threading.Thread(target=merging.merge, args=pair) for pair in before.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert recorded.read() == before
    tiny.dvc("pull", "outputs/teacher/left/42")
    assert tiny.output("teacher", "left", "42").is_file()


def test_a_merge_that_fails_fails_for_all_who_wait_for_it(tiny: TinyPipeline) -> None:
    with open_unheld(tiny.root) as repo:
        recorded = RecordedRuns(repo)
        merging = Merging(tiny.root, recorded, repo, remote_files(repo))
        entry = recorded.read()[TEACHER]
        path = tiny.root / "dvc.lock"
        path.rename(path.with_suffix(".away"))
        path.mkdir()
        for _ in range(2):
            with pytest.raises(OSError):
                merging.merge(TEACHER, entry)
        path.rmdir()
        merging.merge("source@left", (path.with_suffix(".away").rename(path), recorded.read())[1]["source@left"])
        assert TEACHER in recorded.read()


def test_durations_are_remembered_and_a_damaged_file_is_no_error(tmp_path: Path) -> None:
    assert read_seconds(tmp_path) == {}
    note_seconds(tmp_path, TEACHER, 12.34)
    note_seconds(tmp_path, "other", None)
    assert read_seconds(tmp_path) == {TEACHER: 12.3}
    next((tmp_path / ".dvc").rglob("seconds.json")).write_text("[1", encoding="utf-8")
    assert read_seconds(tmp_path) == {}
