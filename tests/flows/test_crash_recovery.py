"""Recovery from killed runs by the next one, `serve` and `status`; nothing of anybody else is touched."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Pending, Running, Scheduled
from prefect_server import flows_process, open_runs, still_alive, wait_until
from tiny_pipeline import TinyPipeline, tool_environment

from flows import crash_recovery, status
from flows.crash_recovery import end_servers, recover
from flows.prefect_filters import FLOW
from flows.process_notes import FOLDER, orphans, process_id, write_note
from flows.serving import ONE_AT_A_TIME

pytestmark = pytest.mark.xdist_group("prefect")


made: list[UUID] = []


@pytest.fixture(autouse=True)
def no_run_of_this_test_stays(server: str) -> Iterator[None]:
    """Other tests ask the same server what is at work."""
    yield
    with temporary_settings(updates={PREFECT_API_URL: server}), get_client(sync_client=True) as client:
        for run in made:
            client.delete_flow_run(run)
    made.clear()


def by_another_process(root: Path, *note: object) -> None:
    """Leave a note by a process that has ended since."""
    code = f"from pathlib import Path; from flows.process_notes import write_note; write_note(Path({str(root)!r}), *{note!r})"
    subprocess.run([sys.executable, "-c", code], env=tool_environment(), check=True)


def made_run(api: SyncPrefectClient, deployment: UUID | None = None) -> FlowRun:
    """A run of the flow that nobody starts."""
    if deployment:
        run = api.create_flow_run_from_deployment(deployment, state=Scheduled())
    else:
        answer = api._client.post("/flow_runs/", json={"flow_id": str(flow_id(api)), "state": {"type": "RUNNING"}})
        run = api.read_flow_run(UUID(answer.json()["id"]))
    made.append(run.id)
    return run


def flow_id(api: SyncPrefectClient) -> UUID:
    """The flow's id, as the server has it."""
    return UUID(api._client.post("/flows/", json={"name": FLOW}).json()["id"])


def state(api: SyncPrefectClient, run: FlowRun) -> str | None:
    """The name of a run's state, as the server has it."""
    return api.read_flow_run(run.id).state_name


def test_a_killed_run_is_set_to_crashed_with_its_stages_by_status(
    api: SyncPrefectClient, server: str, sources: TinyPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.script("source", "touch started; sleep 765")
    command = ("run", "--datasets", "north")
    with flows_process(sources, *command, environment={"PREFECT_API_URL": server}) as process:
        wait_until((sources.root / "started").exists, "a stage that runs")
        stages = psutil.Process(process.pid).children(recursive=True)
        (run,) = open_runs(api)
        recover(sources.root, print)
        assert (state(api, run), capsys.readouterr().out) == ("Running", "")  # it lives
        process.kill()
        process.wait()
    assert psutil.wait_procs(stages, timeout=20)[1] == []
    assert status.main(limit=1) == 0
    printed = capsys.readouterr().out
    assert f"Run {run.name} is set to Crashed: its process ({process.pid} on " in printed
    crashed = api.read_flow_run(run.id)
    assert crashed.state is not None and crashed.state_name == "Crashed"
    assert (
        crashed.state.message is not None
        and "is gone, and no end was reported: killed, out of memory" in crashed.state.message
    )
    assert open_runs(api) == []
    assert {task.state_name for task in api.read_task_runs()} & {"Running", "Pending"} == set()
    assert list(orphans(sources.root, "run")) == []


def test_a_run_of_another_host_or_of_a_process_that_lives_is_left_alone(api: SyncPrefectClient, tmp_path: Path) -> None:
    lives, elsewhere, locked = (made_run(api) for _ in range(3))
    write_note(tmp_path, "run", str(lives.id))
    by_another_process(tmp_path, "run", str(elsewhere.id))
    (note,) = (tmp_path / FOLDER).glob(f"run-{elsewhere.id}-*.json")
    note.write_text(note.read_text().replace('"host": "', '"host": "not-'))
    held = write_note(
        tmp_path, "run", str(locked.id)
    )  # as by a process in another container: a number that is not in use here
    content = json.loads(held.read_text())
    held.write_text(json.dumps(content | {"owner": content["owner"] | {"pid": 2**22 + 1}}))
    said: list[str] = []
    recover(tmp_path, said.append)
    assert said == []
    assert [state(api, run) for run in (lives, elsewhere, locked)] == ["Running"] * 3


def test_a_number_that_another_process_has_by_now_is_not_the_process_of_the_note(
    api: SyncPrefectClient, tmp_path: Path
) -> None:
    run = made_run(api)
    by_another_process(tmp_path, "run", str(run.id))
    (note,) = (tmp_path / FOLDER).glob(f"run-{run.id}-*.json")
    content = json.loads(note.read_text())
    note.write_text(json.dumps(content | {"owner": content["owner"] | {"pid": os.getpid()}}))
    recover(tmp_path, print)
    assert state(api, run) == "Crashed"


def test_a_killed_run_that_was_being_cancelled_is_cancelled(api: SyncPrefectClient, tmp_path: Path) -> None:
    run = made_run(api)
    api.set_flow_run_state(run.id, Cancelling(), force=True)
    by_another_process(tmp_path, "run", str(run.id))
    recover(tmp_path, print)
    assert state(api, run) == "Cancelled"


def test_a_note_of_a_run_on_another_server_is_kept_for_that_server(api: SyncPrefectClient, tmp_path: Path) -> None:
    by_another_process(tmp_path, "run", str(uuid4()))
    said: list[str] = []
    recover(tmp_path, said.append)
    assert said == [] and len(list(orphans(tmp_path, "run"))) == 1


def test_a_server_that_is_away_stops_nobody(tmp_path: Path) -> None:
    by_another_process(tmp_path, "run", str(uuid4()))
    said: list[str] = []
    with temporary_settings(updates={PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        recover(tmp_path, said.append)
    assert len(said) == 1 and said[0].startswith("What killed runs left stays for now")


def deployment(api: SyncPrefectClient, name: str) -> UUID:
    """A deployment that runs one at a time and keeps the others waiting."""
    asked = {
        "name": name,
        "flow_id": str(flow_id(api)),
        "concurrency_limit": ONE_AT_A_TIME.limit,
        "concurrency_options": {"collision_strategy": ONE_AT_A_TIME.collision_strategy},
    }
    return UUID(api._client.post("/deployments/", json=asked).json()["id"])


def starts(api: SyncPrefectClient, run: FlowRun) -> bool:
    """Return whether the server lets a run start now."""
    answer = api.set_flow_run_state(run.id, Pending())
    return answer.state is not None and answer.state.name == "Pending"


def test_a_deployment_does_not_wait_for_a_run_that_a_killed_serve_took_and_never_started(
    api: SyncPrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = deployment(api, "killed")
    stuck, waiting = made_run(api, served), made_run(api, served)
    assert starts(api, stuck) and not starts(api, waiting)
    by_another_process(tmp_path, "serve", str(served))
    write_note(tmp_path, "serve", str(served))  # it was started again since
    recover(tmp_path, print)
    assert state(api, stuck) == "Pending"  # it may still begin
    monkeypatch.setattr(crash_recovery, "STARTS_S", 0.0)
    recover(tmp_path, print)
    assert state(api, stuck) == "Crashed"
    assert starts(api, waiting)


def test_a_slot_that_nobody_holds_is_given_back_and_one_that_a_run_holds_is_not(
    api: SyncPrefectClient, tmp_path: Path
) -> None:
    served = deployment(api, "forgotten")
    limit = api.read_deployment(served).global_concurrency_limit
    assert limit is not None
    # As after a restart of the server, which forgets who holds it.
    api.update_global_concurrency_limit(limit.name, GlobalConcurrencyLimitUpdate(active_slots=1))
    runs = made_run(api, served)
    assert not starts(api, runs)
    recover(tmp_path, print)
    assert starts(api, runs)
    api.set_flow_run_state(runs.id, Running(), force=True)
    # As after a dead run was closed, whose slot the server had already taken back and given to this one.
    api.update_global_concurrency_limit(limit.name, GlobalConcurrencyLimitUpdate(active_slots=0))
    recover(tmp_path, print)
    assert not starts(api, made_run(api, served))


def test_a_temporary_server_of_a_killed_run_is_ended_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    code = f"""
import subprocess
from pathlib import Path
from flows.process_notes import write_note
left = subprocess.Popen(["sleep", "876"], stdout=subprocess.DEVNULL, start_new_session=True)
write_note(Path({str(tmp_path)!r}), "server", str(left.pid), left.pid)
print(left.pid)
"""
    owner = subprocess.run([sys.executable, "-c", code], env=tool_environment(), stdout=subprocess.PIPE, check=True)
    left = psutil.Process(int(owner.stdout))
    with subprocess.Popen(["sleep", "876"], start_new_session=True) as used:
        write_note(tmp_path, "server", str(used.pid), used.pid)
        said = list(end_servers(tmp_path))
        assert said == [f"StageOutcome the temporary Prefect server (process {left.pid}) of a run that was killed."]
        assert still_alive([left]) == []
        assert process_id(used.pid) is not None
        used.kill()


def test_a_server_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    code = """
import sys, time, threading
from pathlib import Path
from flows.servers import Server, running
command = (sys.executable, "-c", "import time; time.sleep(876)")
with running(Server("small", command, 0, "", "", Path(sys.argv[1]), {"PATH": "/bin"})) as process:
    print(process.pid, flush=True)
    time.sleep(876)
"""
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], env=tool_environment(), stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout
    server = psutil.Process(int(owner.stdout.readline()))
    family = [server, *psutil.Process(owner.pid).children(recursive=True)]
    wait_until(lambda: len(psutil.Process(owner.pid).children()) == 2, "the server and its guard")
    time.sleep(0.5)
    owner.kill()
    owner.wait()
    assert psutil.wait_procs(family, timeout=20)[1] == []
    assert still_alive(family) == []
