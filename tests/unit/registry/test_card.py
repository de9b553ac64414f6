"""The model card and what a version's key is made of, from the files of one small student."""

from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace

import pytest
import yaml
from small_outputs import DATASET, METHOD, NAME, Place, read, write

from config.methods import METHODS, training_of
from config.parameters import Registry, load
from registry.card import render_card
from registry.evidence import EvaluatedStudent, find_students
from registry.lineage import Checkout, checkout, records, run_parameters, versions
from reporting.verdict.own_checks import own_checks

pytestmark = pytest.mark.xdist_group("registry")
CLEAN = Checkout("abc123", "false", "def")


@pytest.fixture
def here(place: Place) -> Iterator[Place]:
    place.params()
    with chdir(place.root):
        yield place


def student_of(place: Place) -> EvaluatedStudent:
    (student,), missing = find_students(load(place.root / "params.yaml"))
    assert missing == []
    return student


def card_of(student: EvaluatedStudent, checkout: Checkout = CLEAN, settings: Registry | None = None) -> str:
    checks = own_checks(student.dev_rows, settings or Registry(margin=-200.0))
    return render_card(student, checkout, versions(records(student)), student.margin_interval(0.95), checks)


def test_the_header_is_what_the_hub_reads(here: Place) -> None:
    student = student_of(here)
    _, header, body = card_of(student).split("---\n", 2)
    content = yaml.safe_load(header)
    assert content["tags"] == ["distillation", "distilflow", METHOD]
    (result,) = content["model-index"][0]["results"]
    scores = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert scores["accuracy"] == round(student.score("dev", "accuracy"), 4)
    assert body.startswith(f"\n# {NAME}, seed 42\n")


def test_scores_and_rows_are_those_of_the_files(here: Place) -> None:
    student, manifest = student_of(here), read(here.output("split", DATASET, "tokens", "manifest.json"))
    card = card_of(student)
    own, teacher = (100 * student.score(rows, "accuracy") for rows in ("dev", "teacher_dev"))
    difference = f"{own - teacher:+.1f}".replace("-", "−")
    assert f"| dev, 500 rows | accuracy | {own:.1f} | {teacher:.1f} | {difference} |" in card
    for name in ("train", "quiz", "selection", "dev"):
        assert f"| {name} | {manifest['splits'][name]['rows']:,} |" in card
    assert "a 95 % interval over rows" in card
    updates = read(here.student() / "metrics.json")["updates"]
    kept, rows = updates["student_kept"], manifest["splits"]["train"]["rows"]
    assert kept in [updates["student"] * epoch // 6 for epoch in range(1, 7)]  # of six epochs
    assert f"trained on {rows:,} labelled rows of payment in {updates['student']:,} updates" in card
    assert f"its weights are those after {kept:,} of them." in card
    assert "One seed, no spread" in card


def test_it_says_whether_it_may_be_shipped_by_the_gates_own_tests(here: Place) -> None:
    student = student_of(here)
    card = card_of(student)
    assert "## May it be shipped?\n\nYes, by the tests of its dev rows at registration. The thresholds" in card
    assert "| passed | enough rows: 500 dev rows, at least registry.minimum_rows 100 |" in card
    assert card.index("## May it be shipped?") < card.index("## Scores")
    strict = card_of(student, settings=Registry(margin=50.0))
    assert "**No**, by the tests of its dev rows at registration: margin to its teacher failed." in strict
    assert "| **failed** | margin to its teacher: accuracy" in strict
    labelled = card_of(replace(student, metrics=student.metrics.model_copy(update={"selected_on": "dev"})))
    assert "at registration (selected on dev)." in labelled


def test_what_chose_the_student_is_said(here: Place) -> None:
    assert "Epochs and episodes were chosen by the mean task loss on selection" in card_of(student_of(here))
    run, metrics = here.student() / "run.json", here.student() / "metrics.json"
    kept = read(run), read(metrics)
    write(run, kept[0] | {"params": kept[0]["params"] | {"selected_by": "metric"}})
    write(metrics, kept[1] | {"search": {"points": 4, "chosen": 2, "tried": []}, "epochs": {"run": 3, "asked": 5}})
    card = card_of(student_of(here))
    write(run, kept[0])
    write(metrics, kept[1])
    assert "chosen by the primary metric (ties: the earliest) on selection" in card
    assert "the best of 4 tried, on selection too" in card
    assert "Training ended after 3 of 5 epochs" in card


def test_the_limits_are_said(here: Place) -> None:
    card = card_of(student_of(here))
    assert "Tested on 500 dev rows of payment and on nothing else" in card
    assert "(a share of 10 %); dev has none" in card
    assert "selected on dev" not in card.lower()


@pytest.mark.parametrize("selected_on", ["selection", "dev"])
def test_it_says_that_the_gate_reads_dev_and_what_that_does_to_a_champion(here: Place, selected_on: str) -> None:
    student = student_of(here)
    card = card_of(replace(student, metrics=student.metrics.model_copy(update={"selected_on": selected_on})))
    assert "| dev | 500 | reported on; the gate of `champion` reads it |" in card
    assert "a gate that reads **dev** rows: those tests above, and a comparison of task losses" in card
    assert "chosen on dev many times: its dev scores, and the interval above" in card
    assert "are **optimistic**" in card.split("many times")[1]


def test_label_noise_that_nobody_knows_is_said_to_be_unknown(here: Place) -> None:
    path = here.output("split", DATASET, "tokens", "spec.json")
    write(path, {**read(path), "generate": None})
    assert "How many labels are wrong is not known." in card_of(student_of(here))


def test_a_student_selected_on_dev_is_labelled(here: Place) -> None:
    student = student_of(here)
    card = card_of(replace(student, metrics=student.metrics.model_copy(update={"selected_on": "dev"})))
    assert "**Selected on dev**" in card
    assert "| on (selected on dev) |" in card
    assert "dev rows chose none of them" not in card


def test_three_ways_to_load_it_name_the_model_and_its_columns(here: Place) -> None:
    card = card_of(student_of(here))
    assert f'mlflow.pyfunc.load_model("models:/{NAME}@champion")' in card
    assert "[{'premise': '...', 'hypothesis': '...'}]" in card
    assert "AutoModelForSequenceClassification.from_pretrained" in card
    assert f"mlflow models serve -m models:/{NAME}@champion" in card


@pytest.mark.parametrize(
    ("dirty", "words"), [("true", "not committed"), ("unknown", "not known"), ("false", "`; seed")]
)
def test_the_card_says_whether_the_tree_was_dirty(here: Place, dirty: str, words: str) -> None:
    assert words in card_of(student_of(here), replace(CLEAN, dirty=dirty)).partition("commit `abc123")[2]


def test_every_method_has_its_sentence() -> None:
    assert len({training_of(method) for method in METHODS}) == len(METHODS)


def test_parameters_are_those_that_the_stages_recorded(here: Place) -> None:
    student = student_of(here)
    here.params(student={"epochs": 99})
    found = run_parameters(student, records(student))
    assert found["student.epochs"] == "6"
    assert found["method"] == METHOD
    assert not [key for key in found if key.startswith("mse_kd")]


def test_the_key_is_of_the_name_the_seed_the_weights_and_what_evaluate_found(here: Place) -> None:
    student = student_of(here)
    others = [
        replace(student, benchmark="other"),
        replace(student, seed=43),
        replace(student, student_hash="0"),
        replace(student, evaluate_hash="0"),
    ]
    assert len({one.key for one in (student, *others)}) == 5
    assert replace(student, metrics={}).key == student.key


def test_without_git_the_commit_is_unknown_and_the_code_hash_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    known = checkout()
    monkeypatch.setenv("PATH", "")
    unknown = checkout()
    assert (unknown.commit, unknown.dirty) == ("unknown", "unknown")
    assert unknown.code_hash == known.code_hash
