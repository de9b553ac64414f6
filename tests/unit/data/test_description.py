"""dataset.yaml -> DatasetSpec, with every error at once."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rows import CHOICE, PAIR, SCORE, SINGLE, spec_of

from data.description import CATALOG, load_spec
from data.records import DatasetSpec
from errors import UserError

BUILT_IN = sorted(path.parent.relative_to(CATALOG).parts for path in CATALOG.glob("*/*/dataset.yaml"))
GLUE = {"cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "qnli", "rte", "wnli"}
SUPERGLUE = {"boolq", "cb", "copa", "rte", "wic", "wsc"}


def described(folder: Path, text: str) -> DatasetSpec:
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine" / "dataset.yaml").write_text(text, encoding="utf-8")
    return load_spec(folder, "own", "mine")


@pytest.mark.parametrize(("benchmark", "dataset"), BUILT_IN)
def test_every_built_in_description_is_right_and_survives_json(benchmark: str, dataset: str) -> None:
    spec = load_spec(None, benchmark, dataset)
    assert DatasetSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_glue_and_superglue_are_built_in() -> None:
    assert {(b, d) for b, d in BUILT_IN if b == "glue"} == {("glue", d) for d in GLUE}
    assert {(b, d) for b, d in BUILT_IN if b == "superglue"} == {("superglue", d) for d in SUPERGLUE}


@pytest.mark.parametrize(
    ("benchmark", "dataset", "metrics"),
    [
        ("glue", "cola", ("matthews", "accuracy")),
        ("glue", "mrpc", ("f1", "accuracy")),
        ("glue", "qqp", ("f1", "accuracy")),
        ("glue", "stsb", ("pearson", "spearman")),
        ("superglue", "cb", ("accuracy", "macro_f1")),
    ],
)
def test_built_in_datasets_have_their_own_metrics(benchmark: str, dataset: str, metrics: tuple[str, ...]) -> None:
    assert load_spec(None, benchmark, dataset).metrics == metrics


def test_the_labels_no_and_yes_are_words_and_no_booleans() -> None:
    assert load_spec(None, "superglue", "boolq").label_names == ("no", "yes")


def test_boolq_cuts_only_the_passage_and_mnli_has_two_dev_sets() -> None:
    assert load_spec(None, "superglue", "boolq").render["truncate"] == "second"
    assert load_spec(None, "glue", "mnli").dev_sets == ("dev", "dev_mismatched")


def test_six_lines_describe_a_users_own_data(tmp_path: Path) -> None:
    spec = described(tmp_path, "kind: single\ntext: review\nlabel: stars\nlabels: [1, 2, 3]\nid: number\n")
    assert (spec.columns, spec.label_names, spec.metrics) == (("review",), ("1", "2", "3"), ("accuracy",))
    assert (spec.dev_sets, spec.hub, spec.files) == (("dev",), None, {})


def test_outputs_and_classes_follow_the_kind() -> None:
    sizes = [(s.choices, s.num_outputs, s.num_classes) for s in map(spec_of, (SINGLE, PAIR, CHOICE, SCORE))]
    assert sizes == [(1, 2, 2), (1, 3, 3), (2, 1, 2), (1, 1, 1)]


def test_the_folders_own_description_comes_before_the_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "cb").mkdir()
    (tmp_path / "cb" / "dataset.yaml").write_text("kind: single\ntext: [t]\nlabels: [a, b]\n", encoding="utf-8")
    assert load_spec(tmp_path, "superglue", "cb").kind == "single"


def test_all_errors_come_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        described(tmp_path, "kind: pairs\ntxt: [a, b]\nlabel: 3\nmetrics: [acc]\nhub: {pth: x/y, path: x/y}\n")
    message = str(caught.value)
    for part in ("'kind' is 'pairs'", "'txt'; did you mean 'text'?", "'text' is missing", "'label' is 3"):
        assert part in message
    assert "'metrics.0' is 'acc'" in message and "'hub.pth'; did you mean 'path'?" in message
    assert "dataset.yaml" in message


@pytest.mark.parametrize(
    ("description", "more", "message"),
    [
        (SINGLE, {"text": ["a", "b"]}, "kind 'single' has 1"),
        (SINGLE, {"labels": ["same", "same"]}, "two or more different names"),
        (SINGLE, {"range": [0, 1]}, "only kind 'regression'"),
        (SINGLE, {"metrics": ["pearson"]}, "kind 'single' has accuracy"),
        (SINGLE, {"mark": "wic"}, "needs two texts"),
        (SINGLE, {"truncate": "second"}, "only one text"),
        (SINGLE, {"files": {"train": "rows.xlsx"}}, "must end with one of .jsonl"),
        (SINGLE, {"files": {"dev": "rows.csv"}}, "must name 'train'"),
        (SINGLE, {"hub": {"path": "a/b", "revision": "main"}}, "40 hex digits"),
        (SINGLE, {"label": "text"}, "named twice"),
        (PAIR, {"metrics": ["f1"]}, "macro_f1"),
        (PAIR, {"connective": "question"}, "only kind 'choice'"),
        (CHOICE, {"choices": ["one"]}, "two or more columns"),
        (CHOICE, {"labels": ["x", "y", "z"]}, "one different name for each"),
        (SCORE, {"range": [5, 0]}, "needs \\[lowest, highest\\]"),
        (SCORE, {"range": [0, float("inf")]}, "needs \\[lowest, highest\\]"),
        (SCORE, {"range": [0, 1e30]}, "give labels in a unit in which they stay below 1e\\+15"),
        (SCORE, {"labels": ["x", "y"]}, "is for classes"),
    ],
)
def test_keys_that_disagree_are_an_error(description: dict, more: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        spec_of(description, **more)


def test_a_folder_without_a_description_is_told_so_and_one_of_another_name_is_named(tmp_path: Path) -> None:
    (tmp_path / "tickets").mkdir()
    with pytest.raises(UserError, match=r"tickets holds no dataset\.yaml, which says what its columns are"):
        load_spec(tmp_path, "mine", "tickets")
    (tmp_path / "tickets" / "dataset.yml").write_text("kind: single\n")
    with pytest.raises(UserError, match=r"dataset\.yml is not read; if it is the description, call it dataset\.yaml"):
        load_spec(tmp_path, "mine", "tickets")


def test_an_unknown_dataset_names_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'boolqq' of benchmark 'superglue' is unknown; did you mean 'boolq'"):
        load_spec(tmp_path, "superglue", "boolqq")
    with pytest.raises(UserError) as caught:
        load_spec(Path("data/catalog/superglue"), "superglue", "boolqq")
    assert str(caught.value).count("data/catalog/superglue/boolqq/dataset.yaml") == 1


@pytest.mark.parametrize("text", ["kind: single\nkind: pair\n", "kind: [unclosed", "- a\n- b\n", "", "{[1]: 2}\n"])
def test_broken_yaml_names_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"dataset\.yaml"):
        described(tmp_path, text)


def test_a_description_that_is_no_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "dataset.yaml").write_bytes(b"kind: \xff\n")
    with pytest.raises(UserError, match="not UTF-8"):
        load_spec(tmp_path, "own", "mine")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["kind", "text", "labels", "range", "choices", "metrics", "files", "hub", "mark", "id", "other"])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([SINGLE, PAIR, CHOICE, SCORE]), st.dictionaries(KEYS, VALUES, max_size=4))
def test_a_wild_description_is_right_or_a_data_error(base: dict, changes: dict) -> None:
    try:
        spec = spec_of({**base, **changes})
    except UserError:
        return
    assert DatasetSpec.from_json(spec.to_json()) == spec


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("ab:[]{}-,&*!|>'\"#%@`?\n 01.~<=\\\t"), max_size=40))
def test_wild_yaml_is_a_data_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with pytest.raises(UserError):
        described(tmp_path_factory.mktemp("wild"), text)


@pytest.mark.parametrize(
    "names",
    [["0110", "0111"], ["01", "02"], ["+1", "-1"], ["1:30", "1_0"], ["0x1F", "0o17"], ["True", "yes"], ["1", "2"]],
)
def test_labels_are_named_as_they_are_written(names: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "dataset.yaml").write_text(f"kind: single\ntext: text\nlabels: [{', '.join(names)}]\n")
    assert load_spec(tmp_path, "own", "made").label_names == tuple(names)


@pytest.mark.parametrize("written", ["[true, false]", "[1.0, 2.0]", "[null, some]"])
def test_labels_that_yaml_takes_for_no_words_say_to_quote_them(written: str, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "dataset.yaml").write_text(f"kind: single\ntext: text\nlabels: {written}\n")
    with pytest.raises(UserError, match=r"labels\.0.*quote it"):
        load_spec(tmp_path, "own", "made")
