"""A run with other values makes no versions unless it is asked to, and says how it can be."""

import pytest
from mlflow import MlflowClient
from small_outputs import NAME, Place

pytestmark = pytest.mark.xdist_group("registry")


def versions(place: Place) -> int:
    return len(MlflowClient(place.address, place.address).search_model_versions(f"name='{NAME}'"))


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DVC_EXP_NAME", "hot-kd", "trial (dvc exp run, hot-kd): nothing registered; `dvc repro` registers it"),
        (
            "DISTILFLOW_TRIAL",
            "mse_kd.temperature=4",
            "trial (flows run --set mse_kd.temperature=4): nothing registered; `--set registry.trials=true` beside the others",
        ),
    ],
)
def test_a_trial_registers_nothing_and_says_what_the_gate_would_ask(
    place: Place, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    place.params()
    monkeypatch.setenv(variable, value)
    ended = place.register()
    assert ended.status == 0 and words in ended.output
    assert versions(place) == 0
    assert place.registered()["trial"] and place.entry()["version"] is None
    table = place.output("register", "table.txt").read_text(encoding="utf-8")
    assert "nothing registered" in table and "passed     enough rows: 500 dev rows" in table
    place.params(registry={"trials": True})
    assert "1 new of 1 students" in place.register().output
    assert versions(place) == 1


def test_the_run_after_a_trial_registers_what_it_left(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.params()
    monkeypatch.setenv("DVC_EXP_NAME", "hot-kd")
    place.register()
    monkeypatch.delenv("DVC_EXP_NAME")
    assert "1 new of 1 students" in place.register().output


def test_the_key_alone_asks_for_no_other_verdict(begun: Place) -> None:
    gate = begun.entry()["gate"]
    begun.params(registry={"trials": True})
    begun.register()
    assert begun.entry()["gate"] == gate and versions(begun) == 1


def test_aside_the_way_out_is_to_apply_the_experiment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = Place(place.root / ".dvc" / "tmp" / "exps" / "tmp1", place.address)
    aside.root.parent.mkdir(parents=True)
    place.output().rename(place.root / "kept")
    aside.root.mkdir()
    (place.root / "kept").rename(aside.output())
    aside.params()
    monkeypatch.setenv("DVC_EXP_NAME", "hot-kd")
    assert "`dvc exp apply hot-kd`, then `dvc repro`, registers it" in aside.register().output
