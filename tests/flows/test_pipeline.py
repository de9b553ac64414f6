"""The flow over DVC's graph: what each task ends as, what runs side by side, and what remains after a failure."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import State
from prefect.utilities.callables import parameter_schema
from prefect_server import FirstRun, flows_process, open_runs, page_of, run, states, still_alive, task_runs, wait_until
from stages import ROOT
from tiny_pipeline import TinyPipeline

from flows import auth_string, gpu, pipeline
from flows.gpu import launches_on_gpu, stages_on_gpu
from flows.pipeline import distilflow

pytestmark = pytest.mark.xdist_group("prefect")
EVALUATED = {"evaluate@left-finetune-42", "evaluate@right-finetune-42"}
STAGES = {"source@left", "source@right", "teacher@left-42", "teacher@right-42", *EVALUATED, "report", "register"}


def test_the_first_run_runs_every_stage_and_its_page_says_so(api: SyncPrefectClient, first: FirstRun) -> None:
    assert states(first.outcome) == {"Ran": STAGES}
    assert first.run.state_name == "Completed"
    assert "| teacher@left-42 | Ran |" in page_of(api, first.run)


def test_the_second_run_ends_with_all_cached(api: SyncPrefectClient, tiny: TinyPipeline) -> None:
    outcome, flow_run = run(api)
    assert states(outcome) == {"Cached": STAGES}
    shown = {name: one.state_name for name, one in task_runs(api, flow_run, len(STAGES)).items()}
    assert shown == dict.fromkeys(STAGES, "Cached")
    assert flow_run.state is not None and flow_run.state.message == "8 stages: 8 cached"


def test_what_dvc_restores_from_its_cache_is_cached_and_what_it_feeds_is_looked_at(
    api: SyncPrefectClient, tiny: TinyPipeline
) -> None:
    tiny.output("teacher", "left", "42").unlink()
    again, _ = run(api)
    assert states(again) == {"Cached": STAGES}
    notes = {stage.name: stage.note for stage in again.stages}
    assert notes["teacher@left-42"] == "restored from DVC's cache"
    assert notes["evaluate@left-finetune-42"] == "unchanged"
    assert notes["evaluate@right-finetune-42"] == notes["report"] == "up to date"


def test_after_a_failure_what_needs_it_is_skipped_the_rest_finishes_and_the_next_run_does_what_is_missing(
    api: SyncPrefectClient, tiny: TinyPipeline
) -> None:
    tiny.script(
        "teacher",
        "for i in $(seq 50); do echo line $i; done; test $2 = left || test -e mended || exit 1\n"
        "mkdir -p outputs/teacher/$2; echo 99 > outputs/teacher/$2/$4",
    )
    outcome, flow_run = run(api, parallel=2)
    skipped = {"evaluate@right-finetune-42", "report", "register"}
    assert states(outcome) == {
        "Cached": {"source@left", "source@right"},
        "Ran": {"teacher@left-42", "evaluate@left-finetune-42"},
        "Failed": {"teacher@right-42"},
        "Skipped": skipped,
    }
    assert flow_run.state_name == "Failed"
    shown = task_runs(api, flow_run, len(STAGES))
    assert {name for name, one in shown.items() if one.state_name == "Skipped"} == skipped
    state = shown["teacher@right-42"].state
    assert state is not None and state.message is not None
    assert "line 22\n" in state.message and "line 50\n" in state.message  # with DVC's own line they are thirty
    assert "line 21\n" not in state.message
    (tiny.root / "mended").touch()
    assert states(run(api)[0])["Ran"] == {"teacher@right-42", *skipped}


def test_a_failure_that_may_pass_is_tried_again_and_a_wrong_value_is_not(
    api: SyncPrefectClient, tiny: TinyPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILFLOW_RETRY_DELAY", "1")
    tiny.script(
        "teacher",
        "test $2 = right && echo >> tries && exit 2\n"
        "test ! -e passed && touch passed && echo Connection reset by peer && exit 1\n"
        "mkdir -p outputs/teacher/$2; echo 99 > outputs/teacher/$2/$4",
    )
    outcome, flow_run = run(api, parallel=2)
    found = states(outcome)
    assert found["Failed"] == {"teacher@right-42"}
    assert found["Ran"] == {"teacher@left-42", "evaluate@left-finetune-42"}  # which waited for the second try
    assert len((tiny.root / "tries").read_text().splitlines()) == 1
    assert task_runs(api, flow_run, len(STAGES))["teacher@left-42"].run_count == 2


def notes_when_it_runs(sources: TinyPipeline, together: int) -> None:
    """Each source waits until so many have begun, or for a minute."""
    sources.script(
        "source",
        "echo +1 >> times; i=0\n"
        f"while [ $i -lt 600 ] && [ $(grep -c + times) -lt {together} ]; do sleep 0.1; i=$((i+1)); done\n"
        "echo -1 >> times; mkdir -p outputs/source; echo > outputs/source/$2",
    )


def most_at_once(sources: TinyPipeline) -> int:
    counts = [0]
    for line in (sources.root / "times").read_text().split():
        counts.append(counts[-1] + int(line))
    return max(counts)


@pytest.mark.parametrize("parallel", [4, 1])
def test_stages_run_side_by_side_as_far_as_they_may(
    api: SyncPrefectClient, sources: TinyPipeline, parallel: int
) -> None:
    notes_when_it_runs(sources, together=parallel)
    assert set(states(run(api, parallel=parallel)[0])) == {"Ran"}
    assert most_at_once(sources) == parallel


def test_the_gpu_limit_of_the_server_holds_for_the_stages_that_take_a_gpu(
    api: SyncPrefectClient, sources: TinyPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes_when_it_runs(sources, together=1)
    monkeypatch.setattr(pipeline, "stages_on_gpu", lambda root: frozenset({"source"}))
    api.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="gpu", limit=1))
    try:
        outcome, _ = run(api, datasets=["north", "east"], parallel=4)
    finally:
        api.delete_global_concurrency_limit_by_name("gpu")
    assert states(outcome) == {"Ran": {"source@north", "source@east"}}
    assert most_at_once(sources) == 1


def test_a_stage_that_waits_for_the_gpu_limit_says_so_once_and_once_that_it_has_it(
    api: SyncPrefectClient,
    sources: TinyPipeline,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pipeline, "stages_on_gpu", lambda root: frozenset({"source"}))
    monkeypatch.setattr(gpu, "POLL", 0.2)
    api.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="gpu", limit=1, active_slots=1))
    freed = threading.Timer(
        2.0,
        api.update_global_concurrency_limit,
        ("gpu", GlobalConcurrencyLimitUpdate(active_slots=0)),
    )
    freed.start()
    try:
        outcome, _ = run(api, datasets=["north"])
    finally:
        freed.join()
        api.delete_global_concurrency_limit_by_name("gpu")
    assert states(outcome) == {"Ran": {"source@north"}}
    said = [record.message for record in caplog.records if "limit 'gpu'" in record.message]
    assert [line.split(" of ")[0] for line in said] == ["waits for a slot", "has a slot"]
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
    assert "ConcurrencySlotAcquisition" not in capfd.readouterr().err


def test_a_stage_takes_a_gpu_if_its_hardware_file_says_so() -> None:
    assert launches_on_gpu("accelerate launch --config_file hardware/gpu.yaml -m", ROOT)
    assert not launches_on_gpu("accelerate launch --config_file hardware/cpu.yaml -m", ROOT)
    assert launches_on_gpu("python -m hardware multi_gpu", ROOT)
    assert not launches_on_gpu("python -m hardware cpu_2", ROOT)


def test_the_stages_that_are_launched_onto_hardware_are_those_that_take_a_gpu(tmp_path: Path) -> None:
    for name in ("dvc.yaml", "params.yaml", "hardware/gpu.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    text = (tmp_path / "params.yaml").read_text()
    launch = "launch: accelerate launch --config_file hardware/gpu.yaml -m #"
    (tmp_path / "params.yaml").write_text(text.replace("launch:", launch, 1))
    without = {"code", "source", "split", "report", "register"}
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {"teacher", "student", "curriculum"} <= stages_on_gpu(tmp_path) == set(stages) - without


def test_ctrl_c_leaves_no_process_and_no_lock_and_the_next_run_goes_on(
    api: SyncPrefectClient, server: str, tiny: TinyPipeline
) -> None:
    good = (tiny.root / "scripts" / "teacher").read_text()
    tiny.script("teacher", "touch started-$2; sleep 654")
    with flows_process(tiny, "run", "--parallel", "2", environment={"PREFECT_API_URL": server}) as process:
        wait_until(lambda: len(list(tiny.root.glob("started-*"))) == 2, "two teachers that run")
        family = psutil.Process(process.pid).children(recursive=True)
        (mine,) = open_runs(api)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Traceback" not in output and "Stopped. The next run does what is missing." in output
    assert api.read_flow_run(mine.id).state_name == "Cancelled"
    assert len(family) >= 4  # DVC and a shell for each
    assert still_alive(family) == []
    locks = json.loads((tiny.root / ".dvc/tmp/rwlock").read_text())
    assert not locks.get("write") and not locks.get("read")
    tiny.script("teacher", good + "\n")
    assert states(run(api, parallel=2)[0]).keys() == {"Ran", "Cached"}


def test_a_note_of_dvc_that_a_kill_cut_stops_no_flow(api: SyncPrefectClient, tiny: TinyPipeline) -> None:
    tiny.script("source", "mkdir -p outputs/source; echo new > outputs/source/$2")
    (tiny.root / ".dvc/tmp/rwlock").write_text("")
    assert "source@left" in states(run(api, datasets=["left"])[0])["Ran"]


def test_two_flows_with_other_values_at_once_are_both_right_and_nobody_edits_params_yaml(
    server: str, tiny: TinyPipeline
) -> None:
    before = (tiny.root / "params.yaml").read_bytes()
    at = {"PREFECT_API_URL": server}
    command = ("run", "--datasets", "left", "--set")
    with (
        flows_process(tiny, *command, "teacher.epochs=3", environment=at) as one,
        flows_process(tiny, *command, "teacher.epochs=4", environment=at) as two,
    ):
        outputs = [process.communicate(timeout=300)[0] for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0], outputs
    found = {}
    for folder in tiny.output("runs").iterdir():
        epochs = yaml.safe_load((folder / "params.yaml").read_text())["teacher"]["epochs"]
        left = folder / "evaluate" / "left" / "finetune" / "42" / "metrics.json"
        found[epochs] = json.loads(left.read_text())["epochs"]
    assert found == {3: 3, 4: 4}
    assert (tiny.root / "params.yaml").read_bytes() == before


@pytest.mark.slow
def test_without_a_server_two_runs_at_once_start_their_own_on_one_fresh_database(
    tiny: TinyPipeline, tmp_path: Path
) -> None:
    none = dict.fromkeys(("PREFECT_API_URL", auth_string.CLIENT, auth_string.SERVER), "")
    fresh = {**none, "PREFECT_HOME": str(tmp_path / "prefect")}
    with (
        flows_process(tiny, "run", "--datasets", "left", environment=fresh) as one,
        flows_process(tiny, "run", "--datasets", "right", environment=fresh) as two,
    ):
        outputs = [process.communicate(timeout=300)[0] for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0], outputs
    assert all("starting a temporary Prefect server" in output for output in outputs)
    assert all("4 stages: 4 cached" in output for output in outputs)
    assert [path.name for path in (tmp_path / "prefect").glob(f"{auth_string.FILE}*")] == [auth_string.FILE]
    assert (tmp_path / "prefect" / auth_string.FILE).stat().st_mode & 0o777 == 0o600


class Heard(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        heard.append(json.loads(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


heard: list[dict] = []


@pytest.fixture
def listener() -> Iterator[str]:
    heard.clear()
    listening = HTTPServer(("127.0.0.1", 0), Heard)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}/secret-part"
    listening.shutdown()


def test_a_webhook_hears_which_stages_failed_and_why(
    api: SyncPrefectClient, sources: TinyPipeline, listener: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILFLOW_WEBHOOK", listener)
    sources.script("source", "echo no rows here; exit 2")
    _, flow_run = run(api, datasets=["north"])
    assert [one["failed_stages"] for one in heard] == [["source@north"]]
    assert "no rows here" in heard[0]["last_lines"]["source@north"]
    assert str(flow_run.id) in heard[0]["link"]
    assert "source@north" in heard[0]["text"]


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/secret-part", "no address, secret-part"], ids=["nobody there", "no address"]
)
def test_a_webhook_that_fails_changes_nothing_and_its_address_is_never_shown(
    api: SyncPrefectClient,
    sources: TinyPipeline,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("DISTILFLOW_WEBHOOK", address)
    sources.script("source", "env; exit 2")
    _, flow_run = run(api, datasets=["north"])
    assert flow_run.state_name == "Failed"
    assert "The webhook could not be told" in caplog.text
    assert "secret-part" not in caplog.text


def test_wrong_values_end_a_run_with_one_error_that_is_its_message(
    api: SyncPrefectClient, sources: TinyPipeline
) -> None:
    state = distilflow(overrides=["teacher.epoch=3"], return_state=True)  # ty: ignore[no-matching-overload]
    assert isinstance(state, State) and state.is_failed()
    assert state.message is not None and "did you mean 'epochs'?" in state.message


@pytest.mark.parametrize(
    "override",
    [
        "launch=accelerate launch x; touch by-a-run; true -m",
        "launch=torchrun --no-python touch -m",
        "datasets=['north; touch by-a-run']",
        "mpdistil.base=$(touch by-a-run)",
        "methods.student=['`touch by-a-run`']",
    ],
)
def test_a_shell_command_among_the_values_of_a_run_is_an_error_and_runs_nothing(
    api: SyncPrefectClient, sources: TinyPipeline, override: str
) -> None:
    sources.script("source", "touch by-a-run")
    key, _, value = override.partition("=")
    params = yaml.safe_load((sources.root / "params.yaml").read_text(encoding="utf-8"))
    *section, last = key.split(".")
    (params[section[0]] if section else params)[last] = yaml.safe_load(value)
    for overrides in ([override], []):  # in the form of a run, then in the file itself
        state = distilflow(overrides=overrides, return_state=True)  # ty: ignore[no-matching-overload]
        assert isinstance(state, State) and state.is_failed()
        assert state.message is not None and f"{key}" in state.message and "is not allowed" in state.message
        (sources.root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    assert [*sources.root.rglob("by-a-run")] == []


def test_the_form_has_a_description_of_every_field_and_the_methods_to_choose_from() -> None:
    schema = parameter_schema(distilflow.fn)
    assert {name: bool(field.get("description")) for name, field in schema.properties.items()} == dict.fromkeys(
        ("datasets", "seeds", "methods", "profile", "overrides", "parallel", "pools"), True
    )
    assert {"finetune", "mse_kd", "mpdistil"} <= set(schema.properties["methods"]["items"]["enum"])
    assert schema.properties["parallel"]["minimum"] == 1


def test_a_flow_starts_without_torch() -> None:
    code = "import sys, flows.run, flows.serving, flows.status; print(sorted({'torch', 'transformers', 'mlflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_pushes_what_its_own_stages_wrote_also_with_other_values(
    sources: TinyPipeline, api: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources.dvc("repro", "source@east")
    store = sources.root / "store"
    sources.dvc("remote", "add", "--default", "store", os.path.relpath(store, sources.root))
    monkeypatch.setenv("DISTILFLOW_PUSH", "true")
    outcome, _ = run(api, datasets=["north"], overrides=["teacher.epochs=5"])
    assert states(outcome) == {"Ran": {"source@north"}}
    pushed = [path.read_text(encoding="utf-8") for path in store.rglob("*") if path.is_file()]
    assert len(pushed) == 2
    assert "rows of north\n" in pushed
    assert any("path: outputs/source/north" in text for text in pushed)
