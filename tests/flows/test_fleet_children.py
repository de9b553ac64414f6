"""Child runs on a real Prefect server, without a worker: one for each key and attempt, given up when lost, cancelled by tag."""

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.flows import flow
from prefect.states import Completed, Pending, Running
from prefect_server import open_runs

from flows.fleet import poller
from flows.fleet.poller import Poller
from flows.fleet.submission import WITH_ITS_RUN, Submission, deploy, is_served

pytestmark = pytest.mark.xdist_group("prefect")
QUEUE = "cpu-0000test"


@flow(name="parent of children", persist_result=False)
def parents() -> None: ...


@pytest.fixture(autouse=True)
def nothing_left_open(api: SyncPrefectClient) -> Iterator[None]:
    """End what a test leaves at work: other tests look at the runs of the same server."""
    yield
    for run in open_runs(api):
        api.set_flow_run_state(run.id, Completed(), force=True)


@pytest.fixture
def submission(api: SyncPrefectClient) -> Submission:
    """Of a parent that is at work."""
    return Submission(
        str(api.create_flow_run(parents, state=Running()).id), {"cpu": QUEUE}, {"cpu": deploy(api, "cpu")}
    )


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch, api: SyncPrefectClient) -> Iterator[Poller]:
    monkeypatch.setattr(poller, "PERIOD", 0.2)
    made = Poller(lost_s=2.0, stuck_s=2.0)
    made.start()
    yield made
    made.stop()


def send(submission: Submission, key: str, attempt: int = 1) -> FlowRun:
    return submission.send("cpu", "source@left", "0" * 40, key, attempt)


def test_the_same_key_and_attempt_are_one_child_also_for_another_parent(
    api: SyncPrefectClient, submission: Submission
) -> None:
    key = uuid4().hex
    first = send(submission, key)
    other = Submission(str(api.create_flow_run(parents, state=Running()).id), submission.queues, submission.deployments)
    assert send(submission, key).id == first.id == send(other, key).id != send(submission, key, 2).id
    tags = api.read_flow_run(first.id).tags
    assert {f"parent:{submission.parent}", f"parent:{other.parent}", "stage:source@left"} <= set(tags)
    assert first.work_queue_name == QUEUE


def test_a_queue_that_nobody_asks_for_is_known(api: SyncPrefectClient, submission: Submission) -> None:
    assert not is_served(api, "cpu", "cpu-never")
    send(submission, uuid4().hex)
    assert not is_served(api, "cpu", QUEUE)


def test_children_are_cancelled_with_their_parent_but_not_those_that_another_waits_for(
    api: SyncPrefectClient, submission: Submission
) -> None:
    mine, shared = send(submission, uuid4().hex), uuid4().hex
    theirs = send(submission, shared)
    run = api.create_flow_run(parents, state=Running())
    send(Submission(str(run.id), submission.queues, submission.deployments), shared)
    said: list[str] = []
    assert submission.cancel(said.append) == {mine.id}
    submission.wait_for_end({mine.id}, said.append)
    ended = api.read_flow_run(mine.id)
    assert ended.state_type == StateType.CANCELLED and ended.state and ended.state.message == WITH_ITS_RUN
    assert api.read_flow_run(theirs.id).state_type == StateType.SCHEDULED
    api.set_flow_run_state(run.id, Completed(), force=True)
    assert submission.cancel(said.append) == {theirs.id}
    assert said == []


def test_a_child_that_ends_is_reported_with_its_state(
    api: SyncPrefectClient, submission: Submission, watching: Poller
) -> None:
    child = send(submission, uuid4().hex)
    watched = watching.watch(child, lambda line: None)
    api.set_flow_run_state(child.id, Completed(message="well"), force=True)
    assert watched.ended.wait(60)
    assert watched.lost == "" and watched.run.state and watched.run.state.message == "well"


@pytest.mark.parametrize(
    ("state", "why"), [(Running(), "no sign of life"), (Pending(), "did not start it")], ids=["running", "pending"]
)
def test_a_child_without_a_sign_of_life_is_given_up(
    api: SyncPrefectClient, submission: Submission, watching: Poller, state: object, why: str
) -> None:
    child = send(submission, uuid4().hex)
    api.set_flow_run_state(child.id, state, force=True)  # ty: ignore[invalid-argument-type]
    watched = watching.watch(child, lambda line: None)
    assert watched.ended.wait(60)
    assert why in watched.lost
    assert api.read_flow_run(child.id).state_type == StateType.CRASHED


def test_a_child_that_waits_for_a_worker_or_says_that_it_lives_is_not_given_up(
    api: SyncPrefectClient, submission: Submission, watching: Poller
) -> None:
    waiting, living = send(submission, uuid4().hex), send(submission, uuid4().hex)
    api.set_flow_run_state(living.id, Running(), force=True)
    watched = [watching.watch(child, lambda line: None) for child in (waiting, living)]
    end = time.monotonic() + 6.0
    while time.monotonic() < end:
        api.update_flow_run(living.id, tags=living.tags)
        time.sleep(0.3)
    assert not any(one.ended.is_set() for one in watched)


def test_who_waits_when_nobody_watches_any_more_is_told(submission: Submission, watching: Poller) -> None:
    watched = watching.watch(send(submission, uuid4().hex), lambda line: None)
    watching.stop()
    assert watched.ended.is_set()
    assert watching.watch(watched.run, lambda line: None).ended.is_set()
