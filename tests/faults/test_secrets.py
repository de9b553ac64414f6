"""Secrets (tokens in the environment and in .env, passwords in addresses) stand in nothing that is written."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_pipeline import Made, registry_of

from errors import UserError
from paths import without_password
from registry import pull
from registry.connection import connect

pytestmark = pytest.mark.xdist_group("faults")
SECRET = "s3cr3t-0f-n0b0dy"
NAMES = ("SECRET_TOKEN", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "PREFECT_API_KEY")


def holding(folder: Path, secret: str) -> Iterator[Path]:
    """Files with the secret in their content or name; databases and pictures are searched as bytes."""
    for path in folder.rglob("*"):
        if secret in path.name or (path.is_file() and path.name != ".env" and secret.encode() in path.read_bytes()):
            yield path


def test_no_secret_of_the_environment_or_of_dot_env_is_in_anything_that_the_stages_write(
    made: Made, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, SECRET)
    (made.root / ".env").write_text("".join(f"{name}={SECRET}\n" for name in NAMES))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_of(made))
    said = ""
    for stage in (
        "source",
        "split",
        "teacher",
        "signals",
        "student",
        "meta_teacher",
        "curriculum",
        "report",
        "register",
    ):
        ended = made.run(stage)
        assert ended.status == 0, ended.errors
        said += ended.output + ended.errors
    assert list(holding(made.root, SECRET)) == []
    assert SECRET not in said + "".join(capfd.readouterr())
    assert (made.root / "registry" / "mlflow.db").stat().st_size > 0, "the registry is among what was searched"


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\x00" + SECRET.encode())
    assert [path.name for path in holding(tmp_path, SECRET)] == ["a.bin"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://user:pa%40ss@host:5000/x", "http://***@host:5000/x"),
        ("postgresql://user:p@ss@host/db", "postgresql://***@host/db"),
        ("no answer from https://token@host (refused)", "no answer from https://***@host (refused)"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert without_password(address) == shown


@pytest.mark.parametrize(
    "address",
    [
        f"http://user:{SECRET}@127.0.0.1:9",
        f"http://user:{SECRET}@",
        f"http://user:{SECRET}@host:99999999",
        f"ftp://user:{SECRET}@host",
        f"postgresql://user:{SECRET}@127.0.0.1:9/db",
    ],
)
def test_no_error_about_a_registry_holds_the_password_of_its_address(
    made: Made, address: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(UserError) as raised:
        connect()
    assert SECRET not in str(raised.value)
    assert pull.main(["own-reviews-mse_kd/1"]) == 2
    ended = made.run("register")
    assert ended.status in (0, 2), ended.errors
    assert SECRET not in ended.output + ended.errors + "".join(capfd.readouterr())
    assert list(holding(made.output(), SECRET)) == []
    if ended.status == 0:  # the files stay the record where nobody answers
        assert "://***@" in json.loads(made.output("register", "registered.json").read_text())["address"]
