"""The scorer of a registered student, on students made in a moment: what it answers, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_students import (
    CHOICE,
    KINDS,
    MAX_LENGTH,
    PAIR,
    SCORE,
    SINGLE,
    WIC,
    MadeStudent,
    made_rows,
    make_student,
    pipeline_logits,
    softmax,
)
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModelContext

from registry.pyfunc_model import scoring_settings
from registry.scorer import StudentScorer


def scorer_of(made: MadeStudent) -> StudentScorer:
    """The scorer as MLflow makes it, of a student that was never logged."""
    scoring = made.tokens / "scoring.json"
    scoring.write_text(json.dumps(scoring_settings(made.tokens)), encoding="utf-8")
    scorer = StudentScorer()
    scorer.load_context(PythonModelContext({"student": str(made.student), "scoring": str(scoring)}, None))
    return scorer


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> MadeStudent:
    return make_student(tmp_path_factory.mktemp("pair"), PAIR)


@pytest.fixture(scope="module")
def scorer(pair: MadeStudent) -> StudentScorer:
    return scorer_of(pair)


def probabilities(answers: pd.DataFrame) -> np.ndarray:
    """(N, C): the columns of probabilities."""
    return answers[[name for name in answers if str(name).startswith("probability_")]].to_numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "deberta-v2", "opt"])
def test_the_answers_are_those_of_the_pipeline(kind: str, family: str, tmp_path: Path) -> None:
    made = make_student(tmp_path, KINDS[kind], family=family)
    rows = made_rows(made.spec, 23)
    logits = pipeline_logits(made, rows, tmp_path)
    answers = scorer_of(made).predict(None, pd.DataFrame(rows), {"batch_size": 5})
    assert logits.std(axis=0).min() > 1e-2, "all rows are much the same: the test could not fail"
    if kind == "regression":
        assert answers["score"].to_numpy() == pytest.approx(logits[:, 0], abs=1e-5)
        assert answers["label"].equals(answers["score"])
        return
    names = np.array(made.spec.label_names)
    assert probabilities(answers) == pytest.approx(softmax(logits), abs=1e-5)
    assert answers["label"].tolist() == names[logits.argmax(axis=1)].tolist()
    assert answers["score"].to_numpy() == pytest.approx(softmax(logits).max(axis=1), abs=1e-5)


def test_a_text_that_may_be_cut_is_cut_as_in_the_pipeline(tmp_path: Path) -> None:
    for truncate, short in (("first", "hypothesis"), ("second", "premise")):
        made = make_student(tmp_path / truncate, PAIR, truncate=truncate)
        rows = [{**row, short: "anna has a book"} for row in made_rows(made.spec, 9)]
        answers = scorer_of(made).predict(None, pd.DataFrame(rows))
        assert probabilities(answers) == pytest.approx(softmax(pipeline_logits(made, rows, tmp_path)), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_says_which_rows_were_cut(kind: str, tmp_path: Path) -> None:
    made = make_student(tmp_path, KINDS[kind])
    scorer, special = scorer_of(made), {"single": 2, "regression": 2}.get(kind, 3)
    columns = made.spec.columns
    for column in columns:
        # `column` alone grows: of a choice, one candidate.
        shared = [other for other in columns if other != column and (kind != "choice" or other == "premise")]
        partners = len(shared) if kind != "choice" or column != "premise" else 1
        room = MAX_LENGTH - special - partners
        rows = pd.DataFrame([{**dict.fromkeys(columns, "anna"), column: "anna " * n} for n in (1, room, room + 1, 90)])
        assert scorer.predict(None, rows)["truncated"].tolist() == [False, False, True, True], column
    assert scorer.predict(None, rows.iloc[:0])["truncated"].dtype == bool


def test_a_text_that_must_not_be_cut_and_is_too_long_is_refused_by_row(tmp_path: Path) -> None:
    scorer = scorer_of(make_student(tmp_path, PAIR, truncate="second"))
    rows = pd.DataFrame({"premise": ["anna", "anna " * 30], "hypothesis": ["a pony", "a pony"]})
    with pytest.raises(MlflowException, match=r"row 2 \(index 1\): the first text has 30 tokens and is never cut"):
        scorer.predict(None, rows)


def test_order_of_columns_other_columns_and_batches_do_not_matter_and_the_index_stays(
    pair: MadeStudent, scorer: StudentScorer
) -> None:
    rows = pd.DataFrame(made_rows(pair.spec, 11), index=[f"id-{n}" for n in range(11)])
    answers = scorer.predict(None, rows, {"batch_size": 4})
    turned = rows[["hypothesis", "premise"]].assign(label=3, premises="no")
    assert scorer.predict(None, turned, {"batch_size": 4}).equals(answers)
    assert answers.index.equals(rows.index)
    assert probabilities(scorer.predict(None, rows, {"batch_size": 1})) == pytest.approx(
        probabilities(answers), abs=1e-6
    )


def test_the_second_text_of_a_pair_matters(pair: MadeStudent, scorer: StudentScorer) -> None:
    rows = pd.DataFrame([{**row, "premise": "anna has a pony"} for row in made_rows(pair.spec, 8)])
    assert probabilities(scorer.predict(None, rows)).std(axis=0).max() > 1e-2


def test_an_empty_frame_gives_an_empty_frame_of_the_same_columns_and_types(
    pair: MadeStudent, scorer: StudentScorer
) -> None:
    rows = pd.DataFrame(made_rows(pair.spec, 2))
    some, none = scorer.predict(None, rows), scorer.predict(None, rows.iloc[:0])
    assert len(none) == 0
    assert none.dtypes.equals(some.dtypes)
    assert scorer.predict(None, pd.DataFrame(columns=["premise", "hypothesis"])).dtypes.equals(some.dtypes)


@pytest.mark.parametrize("description", [SINGLE, CHOICE, SCORE, WIC], ids=["single", "choice", "regression", "wic"])
def test_so_does_every_other_kind(description: dict, tmp_path: Path) -> None:
    made = make_student(tmp_path, description)
    scorer, rows = scorer_of(made), pd.DataFrame(made_rows(made.spec, 2))
    assert scorer.predict(None, rows.iloc[:0]).dtypes.equals(scorer.predict(None, rows).dtypes)


def test_a_missing_column_is_named_with_the_needed_ones(scorer: StudentScorer) -> None:
    with pytest.raises(
        MlflowException, match=r"'hypothesis' is missing; .* needs premise, hypothesis, and was given premise"
    ) as caught:
        scorer.predict(None, pd.DataFrame({"premise": ["anna"]}))
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "missing"),
        (float("nan"), "missing"),
        (pd.NA, "missing"),
        (3, "must be text, not 3"),
        (["a"], "must be text"),
        (b"a", "must be text"),
        ("", "empty"),
        (" \n", "empty"),
        ("a\ud800", "not valid Unicode"),
    ],
    ids=repr,
)
def test_what_is_no_text_is_refused_by_row_and_field(value: object, complaint: str, scorer: StudentScorer) -> None:
    rows = pd.DataFrame(
        {"premise": ["anna"] * 3, "hypothesis": ["a pony", value, "a pony"]}, dtype=object, index=[*"abc"]
    )
    with pytest.raises(MlflowException, match=rf"^row 2 \(index b\): field 'hypothesis'.*{complaint}") as caught:
        scorer.predict(None, rows)
    assert caught.value.get_http_status_code() == 400


def test_a_named_index_names_the_rows(scorer: StudentScorer) -> None:
    index = pd.Index([17, 18], name="rows.csv, row")
    rows = pd.DataFrame({"premise": ["anna", None], "hypothesis": ["a pony", "a pony"]}, index=index)
    with pytest.raises(MlflowException, match=r"^rows\.csv, row 18: field 'premise' is missing"):
        scorer.predict(None, rows)


def test_of_many_bad_rows_the_first_five_are_listed_and_the_others_counted(scorer: StudentScorer) -> None:
    with pytest.raises(MlflowException, match=r"row 5 .*; \.\.\. and 3 more$") as caught:
        scorer.predict(None, pd.DataFrame({"premise": [""] * 8, "hypothesis": ["a pony"] * 8}))
    assert caught.value.message.count("is empty") == 5


def test_one_row_of_lists_is_as_many_rows(scorer: StudentScorer) -> None:
    rows = {"premise": ["anna has a pony", "anna has a book"], "hypothesis": ["a pony", "a book"]}
    assert scorer.predict(None, pd.DataFrame([rows])).equals(scorer.predict(None, pd.DataFrame(rows)))
    with pytest.raises(MlflowException, match="one length; rows given: premise 2, hypothesis 1"):
        scorer.predict(None, pd.DataFrame([{**rows, "hypothesis": ["a pony"]}]))


def test_positions_may_be_numbers_of_any_type_or_digits(tmp_path: Path) -> None:
    made = make_student(tmp_path, WIC)
    scorer, rows = scorer_of(made), pd.DataFrame(made_rows(made.spec, 3))
    wanted = scorer.predict(None, rows)
    for kind in ("int32", "float64", "str", "object"):
        assert scorer.predict(None, rows.astype({"start1": kind, "end2": kind})).equals(wanted)
    moved = scorer.predict(None, rows.assign(start1=5, end1=8))
    assert not np.allclose(probabilities(moved), probabilities(wanted))
    with pytest.raises(MlflowException, match=r"row 1 .*'start1', 'end1' must be a span within"):
        scorer.predict(None, rows.assign(end1=4000))


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_of_no_rows_is_refused(size: int, scorer: StudentScorer) -> None:
    with pytest.raises(MlflowException, match=f"batch_size is {size}; must be 1 or more"):
        scorer.predict(None, pd.DataFrame({"premise": ["a"], "hypothesis": ["b"]}), {"batch_size": size})
