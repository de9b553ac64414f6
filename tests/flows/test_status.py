"""Output of `python -m flows status`: of the server's runs, or of the workspace where there is no server."""

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.context import use_profile
from prefect.settings import PREFECT_API_URL, Profile, temporary_settings
from prefect_server import FirstRun, run, task_runs
from tiny_pipeline import TinyPipeline

from errors import UserError
from flows import status
from flows.prefect_api import check

pytestmark = pytest.mark.xdist_group("prefect")


def test_the_last_runs_are_listed_with_what_failed_in_them(
    api: SyncPrefectClient, first: FirstRun, sources: TinyPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    sources.script("source", "echo the rows are gone; exit 2")
    _, flow_run = run(api, datasets=["north"])
    task_runs(api, flow_run, 1)
    assert status.main(limit=1) == 0
    printed = capsys.readouterr().out
    assert flow_run.name in printed and first.run.name not in printed
    line = next(line for line in printed.splitlines() if flow_run.name in line)
    assert line.startswith("Failed") and "1 failed (source@north)" in line
    assert "    source@north:" in printed and "      the rows are gone" in printed


def test_without_a_server_the_state_of_the_workspace_is_shown(
    sources: TinyPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status.main() == 0
    printed = capsys.readouterr().out
    assert "make ui" in printed
    assert "4 of 4 stages are out of date" in printed


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://127.0.0.1:9/api", "nothing answers there"),
        ("nonsense", "no Prefect API answers there"),
    ],
)
def test_a_dead_or_wrong_address_is_one_error_with_the_way_out(address: str, problem: str) -> None:
    with temporary_settings(updates={PREFECT_API_URL: address}), pytest.raises(UserError, match=problem) as error:
        status.main()
    assert address in str(error.value) and "make ui" in str(error.value)


def test_the_way_to_do_without_an_address_is_named_by_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = "http://127.0.0.1:9/api"
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with use_profile(Profile(name="work", settings={PREFECT_API_URL: dead})):
        with pytest.raises(UserError, match=r"leave Prefect's profile 'work', .*`prefect profile use ephemeral`"):
            status.main()
        monkeypatch.setenv("PREFECT_API_URL", dead)
        with pytest.raises(UserError, match="or unset it"):
            check(dead)


def test_a_server_that_is_no_prefect_is_one_error(server: str) -> None:
    with pytest.raises(UserError, match=r"no Prefect API.*ends with /api"):
        check(server.removesuffix("/api"))
    check(server)
