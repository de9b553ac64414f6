"""One run over several hosts, with a real Prefect server: the same results, and what is lost is done again.

Hosts are clones with caches and homes of their own on this machine; each has a worker. The remote is a folder.
"""

import os
import signal
from collections.abc import Iterator

import psutil
import pytest
from fleet_hosts import Hosts, all_children, ended, entries, make_hosts, wait_for_note
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowFilter
from prefect.client.schemas.objects import FlowRun
from tiny_pipeline import make_tiny_pipeline

pytestmark = pytest.mark.xdist_group("prefect")


@pytest.fixture(scope="module")
def hosts(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """A parent, and a host with a worker."""
    made = make_tiny_pipeline(tmp_path_factory.mktemp("fleet") / "parent", stages=("source", "teacher"))
    hosts = make_hosts(made, server, "one")
    try:
        yield hosts
    finally:
        hosts.stop()


@pytest.fixture
def both(hosts: Hosts) -> Hosts:
    """The same, and a second host with a worker."""
    if "two" not in hosts.workers:
        hosts.start_worker("two")
    return hosts


def source(hosts: Hosts, name: str, *before: str) -> None:
    """Make `source` write another value, and note that it ran."""
    lines = ("mkdir -p outputs/source", hosts.note(f"{name}-$2"), *before, f"echo {name} of $2 > outputs/source/$2")
    hosts.parent.pipeline.script("source", "\n".join(lines))


def children(api: SyncPrefectClient) -> list[FlowRun]:
    return api.read_flow_runs(flow_filter=FlowFilter.model_validate({"name": {"any_": ["stage"]}}), limit=200)


def test_a_stage_runs_on_a_worker_and_its_result_is_in_dvc_lock_without_its_files(hosts: Hosts) -> None:
    source(hosts, "single")
    done = hosts.run("--datasets", "left")
    assert done.returncode == 0, done.stdout
    assert "2 stages: 2 ran" in done.stdout and done.stdout.count("never run; on one") >= 2
    assert "teacher of left" in done.stdout  # a line of a stage, in the parent's log
    assert {"source@left", "teacher@left-42"} == entries(hosts.parent.pipeline.root).keys()
    assert not [path for path in hosts.parent.pipeline.output().rglob("*") if path.is_file()]


@pytest.mark.slow
def test_hosts_share_a_run_the_next_sends_nothing_and_a_host_with_an_empty_cache_trains_nothing(
    api: SyncPrefectClient, both: Hosts
) -> None:
    source(both, "first")
    done = both.run()
    assert done.returncode == 0, done.stdout
    assert "4 stages: 4 ran" in done.stdout
    assert "on one" in done.stdout and "on two" in done.stdout
    assert "teacher of left" in done.stdout  # a line of a stage, in the parent's log
    assert not [path for path in both.parent.pipeline.output().rglob("*") if path.is_file()]
    assert {len(host.children()) for host in both.workers.values()} == {0}

    sent = len(children(api))
    again = both.run()
    assert "4 stages: 4 cached" in again.stdout, again.stdout
    assert len(children(api)) == sent

    alone = both.host("alone")
    alone.pipeline.script("source", (both.parent.pipeline.root / "scripts" / "source").read_text().rstrip("\n"))
    empty = both.run(host=alone)
    assert "4 stages: 4 cached" in empty.stdout, empty.stdout
    assert both.times("first-left") == both.times("first-right") == 1

    # One machine, without any of this, writes the same dvc.lock and outputs.
    single = both.host("single").pipeline
    single.script("source", (both.parent.pipeline.root / "scripts" / "source").read_text().rstrip("\n"))
    single.dvc("repro")
    assert entries(single.root) == entries(both.parent.pipeline.root) == entries(alone.pipeline.root)
    both.parent.pipeline.dvc("pull", "outputs/teacher/left/42")
    assert (
        both.parent.pipeline.output("teacher", "left", "42").read_text()
        == single.output("teacher", "left", "42").read_text()
    )


@pytest.mark.slow
def test_a_child_that_is_killed_is_sent_again_and_its_own_error_is_not(api: SyncPrefectClient, both: Hosts) -> None:
    source(both, "killed", f"test $2 = right || test $(grep -c killed-left {both.folder / 'notes'}) -gt 1 || sleep 600")
    with both.running("--datasets", "left") as process:
        wait_for_note(both, "killed-left")
        family = list(all_children(both))
        for one in family[:1]:
            one.kill()
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert "lost: " in output and both.times("killed-left") == 2
    assert ended(family, 30) is not None

    source(both, "wrong", "echo no such value; exit 3")
    failed = both.run("--datasets", "left")
    assert failed.returncode == 1 and "1 failed (source@left)" in failed.stdout
    assert "no such value" in failed.stdout and both.times("wrong-left") == 1


@pytest.mark.slow
def test_ctrl_c_leaves_no_child_alive(both: Hosts) -> None:
    source(both, "stopped", "sleep 600")
    with both.running() as process:
        for name in ("stopped-left", "stopped-right"):
            wait_for_note(both, name)
        family = list(all_children(both))
        os.killpg(process.pid, signal.SIGINT)
        seconds = ended(family, 30)
        output, _ = process.communicate(timeout=60)
    assert seconds is not None and len(family) > 4, family
    assert process.returncode == 130 and "Traceback" not in output


@pytest.mark.slow
def test_a_run_after_a_parent_that_was_killed_waits_for_the_stages_at_work(both: Hosts) -> None:
    source(both, "attached", f"while [ ! -e {both.folder / 'go'} ]; do sleep 0.2; done")
    with both.running() as process:
        for name in ("attached-left", "attached-right"):
            wait_for_note(both, name)
        process.kill()
        process.wait()
    with both.running() as again:
        lines = iter(again.stdout or ())
        assert any("sent to pool cpu" in line for line in lines)
        (both.folder / "go").touch()
        output = "".join(lines)
        assert again.wait(timeout=600) == 0, output
    assert both.times("attached-left") == both.times("attached-right") == 1


@pytest.mark.slow
def test_two_parents_at_once_run_each_stage_once(both: Hosts) -> None:
    source(both, "both", "sleep 8")
    other = both.host("other")
    other.pipeline.script("source", (both.parent.pipeline.root / "scripts" / "source").read_text().rstrip("\n"))
    with both.running() as one, both.running(host=other) as two:
        outputs = [process.communicate(timeout=600)[0] for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0], outputs
    assert both.times("both-left") == both.times("both-right") == 1
    assert entries(other.pipeline.root) == entries(both.parent.pipeline.root)


@pytest.mark.slow
def test_a_host_that_dies_with_its_stage_is_noticed_and_another_takes_it(both: Hosts) -> None:
    source(both, "host", f"test $(grep -c host-left {both.folder / 'notes'}) -gt 1 || sleep 600")
    both.parent.environment["DISTILFLOW_LOST_AFTER"] = "45"
    try:
        with both.running("--datasets", "left") as process:
            wait_for_note(both, "host-left")
            (dying,) = [host for host in both.workers.values() if host.children()]
            assert dying.worker is not None
            family = psutil.Process(dying.worker.pid).children(recursive=True)
            for one in (psutil.Process(dying.worker.pid), *family):
                one.kill()
            dying.worker.wait()
            output, _ = process.communicate(timeout=600)
    finally:
        del both.parent.environment["DISTILFLOW_LOST_AFTER"]
        both.start_worker(dying.name)
    assert process.returncode == 0, output
    assert "no sign of life" in output and both.times("host-left") == 2
