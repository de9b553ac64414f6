"""config/parameters.py: which stage makes which method's student, and methods that need other sizes than are given."""

from pathlib import Path

import pytest
import yaml

from config.method_parameters import MethodSections, ProKd
from config.methods import LISTED, METHODS, ROWS, by_family, full_names, row_of
from config.parameters import load
from config.sections import Section
from config.stages import Student, Teacher
from errors import UserError
from methods.phases import taught_epochs

ROOT = Path(__file__).parents[3]
SIZES = {"model_type": "bert", "hidden_size": 16, "num_attention_heads": 2}


@pytest.fixture
def params() -> dict:
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content["methods"] = by_family(["kd", "takd", "mpdistil", "kd_meta", "tinybert"])
    content["student"]["config"] = {**SIZES, "num_hidden_layers": 2}
    content["teacher"]["config"] = {**SIZES, "num_hidden_layers": 6}
    content["takd"]["layers"] = 4
    content["mpdistil"]["base"] = "takd"
    return content


def written(folder: Path, content: dict) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_every_method_that_reads_signals_can_be_taught_by_the_meta_teacher() -> None:
    signals = {row.name for row in ROWS if row.family == "student" and row.teacher == "signals"}
    assert set(LISTED["meta_taught"]) == signals
    assert {f"{name}_meta" for name in signals} == {name for name in METHODS if name.endswith("_meta")}


def test_a_method_has_one_row_and_a_section_of_its_name() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    others = {"meta_teacher", "curriculum"}
    assert {row.name for row in ROWS} == set(MethodSections.model_fields) - others
    for row in ROWS:
        section = MethodSections.model_fields[row.name].annotation
        assert isinstance(section, type) and issubclass(section, Section)
        assert row.main_weight is None or row.main_weight in section.model_fields, row.name


def test_full_names_and_families_are_each_others_reverse() -> None:
    assert full_names(by_family(METHODS)) == METHODS
    assert by_family(["kd_meta", "kd"])["meta_taught"] == ["kd"] and row_of("kd_multi").name == "kd"
    with pytest.raises(KeyError):
        row_of("takd_meta")


def test_a_student_may_go_on_without_a_curriculum_whether_or_not_there_is_one(tmp_path: Path, params: dict) -> None:
    params["methods"]["multi_task"] = ["kd"]
    assert load(written(tmp_path, params)).methods.multi_task == ("kd",)
    params["methods"] |= {"curriculum": [], "meta_taught": []}
    assert "kd_multi" in load(written(tmp_path, params)).methods


def test_the_quiz_is_kept_from_the_students_of_no_method_but_a_curriculums_base(tmp_path: Path, params: dict) -> None:
    params["split"] |= {"quiz_joins_train": True, "quiz_kept_from": "takd"}
    assert load(written(tmp_path, params)).split.quiz_kept_from == "takd"
    params["methods"] |= {"curriculum": [], "meta_taught": []}
    params["split"] |= {"quiz_kept_from": None}
    assert load(written(tmp_path, params)).split.quiz_joins_train


@pytest.mark.parametrize(
    ("start", "mse_kd", "pkd", "words"),
    [
        ({"init": "config", "layers": None}, 1.0, 1.0, 0.1),
        ({"init": "checkpoint", "checkpoint": "small", "config": None}, 1.0, 1.0, 0.1),
        ({"init": "teacher_layers", "layers": 3, "config": None}, 90.0, 100.0, 10.0),
        ({"init": "pretrained_teacher_layers", "layers": 3, "config": None}, 90.0, 100.0, 10.0),
    ],
)
def test_a_null_weight_of_a_hidden_term_goes_with_the_students_start(
    tmp_path: Path, params: dict, start: dict, mse_kd: float, pkd: float, words: float
) -> None:
    params["student"] |= start
    if start["init"] == "pretrained_teacher_layers":
        params["teacher"] |= {"checkpoint": "large", "config": None}
    params["mse_kd"] |= {"beta": None}
    del params["pkd"]["beta"]
    given = load(written(tmp_path, params))
    assert (given.mse_kd.beta, given.pkd.beta, given.ckd.word_angles) == (mse_kd, pkd, words)
    params["mse_kd"] |= {"beta": 5.0}
    assert load(written(tmp_path, params)).mse_kd.beta == 5.0


def test_the_papers_profiles_say_their_weights_themselves() -> None:
    for name in ("superglue-bert", "glue-bert"):
        content = yaml.safe_load((ROOT / f"profiles/{name}.yaml").read_text(encoding="utf-8"))
        assert (content["mse_kd"]["beta"], content["mse_kd"]["temperature"]) == (90.0, 5.0)


def test_methods_may_be_of_every_stage_and_in_any_order(tmp_path: Path, params: dict) -> None:
    assert load(written(tmp_path, params)).mpdistil.base == "takd"
    params["methods"] = dict(reversed(params["methods"].items()))
    assert load(written(tmp_path, params)).methods.names == ("kd", "tinybert", "takd", "kd_meta", "mpdistil")


def test_no_method_of_the_student_stage_is_needed(tmp_path: Path, params: dict) -> None:
    params["methods"] |= {"student": [], "meta_taught": []}
    assert load(written(tmp_path, params)).methods.names == ("takd", "mpdistil")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p["mpdistil"].update(base="sftn"), "mpdistil.base: sftn must be among `methods`"),
        (lambda p: p["mpdistil"].update(base="kd_meta"), "mpdistil.base: 'kd_meta' is not allowed"),
        (
            lambda p: p["methods"].update(meta_taught=["lgtm"]),
            "lgtm reads no stored signals, so no meta-teacher can teach it",
        ),
        (lambda p: p["methods"].update(meta_taught=["nosuch"]), "methods.meta_taught.1: 'nosuch' is not allowed"),
        (
            lambda p: p["methods"].update(multi_task=["finetune"]),
            "methods.multi_task: finetune_multi goes on from finetune, which must be in methods.student",
        ),
        (
            lambda p: p["methods"].update(multi_task=["pkd"]),
            "pkd has no variant pkd_multi; allowed here: finetune, kd",
        ),
        (lambda p: p.update(signals=None), "signals: the section is empty; write `signals: {}` for its defaults"),
        (lambda p: p.update(student=None), "student: the section is empty; name its keys: epochs, patience"),
        (lambda p: p["methods"].update(meta_taught=["kd_meta"]), "kd_meta: write kd, without _meta"),
        (lambda p: p["methods"].update(multi_task=["kd_meta"]), "write kd into methods.meta_taught"),
        (
            lambda p: p["methods"].update(assisted=None),
            "None is not allowed: input should be a list; write `assisted: []`",
        ),
        (lambda p: p.update(mistery=1), "mistery: unknown key; known here: "),
        (lambda p: p["split"].update(quiz_joins_train=True), "split.quiz_kept_from must be takd: mpdistil.base where"),
        (lambda p: p["split"].update(quiz_kept_from="takd"), "split.quiz_kept_from must be null"),
        (
            lambda p: p["takd"].update(layers=2),
            "takd.layers: 2 is not between the student's 2 layers and the teacher's 6",
        ),
        (lambda p: p["takd"].update(layers=6), "takd.layers: 6 is not between"),
        (lambda p: p["takd"].update(config=SIZES), "give exactly one of takd.layers and takd.config"),
        (lambda p: p["student"].update(epochs=1), "tinybert has two phases; student.epochs must be 2 or more"),
        (lambda p: p["student"]["config"].update(num_attention_heads=4), "student.config has 4 and teacher.config 2"),
        (lambda p: p["ckd"].update(window=4), "4 is even, and a window stands around its middle word; use 5"),
        (lambda p: p["tinybert"].update(alpha=0.5), "tinybert.alpha: unknown key"),
        (lambda p: p.pop("takd"), "takd: the section is missing"),
    ],
)
def test_values_that_disagree_are_an_error(tmp_path: Path, params: dict, change, expected: str) -> None:
    change(params)
    with pytest.raises(UserError) as caught:
        load(written(tmp_path, params))
    assert expected in str(caught.value)


def test_the_meta_teacher_teaches_only_where_there_is_one(tmp_path: Path, params: dict) -> None:
    params["methods"]["curriculum"] = []
    with pytest.raises(UserError, match="made for mpdistil, which is not among"):
        load(written(tmp_path, params))


@pytest.mark.parametrize("method", ["ckd", "sftn"])
def test_a_student_of_one_layer_is_too_small_for_relations_and_branches(
    tmp_path: Path, params: dict, method: str
) -> None:
    params["methods"]["assisted" if method == "sftn" else "student"].append(method)
    params["student"]["config"]["num_hidden_layers"] = 1
    with pytest.raises(UserError, match=f"{method} needs a student of 2 layers or more"):
        load(written(tmp_path, params))


def learning_from_epochs(params: dict, method: str, **values: object) -> dict:
    """The same for one method that learns from a teacher of 10 epochs."""
    params["methods"] = by_family([method])
    params["teacher"] |= {"trajectory": True, "epochs": 10}
    return params | {method: values}


@pytest.mark.parametrize(
    ("method", "values", "epochs", "expected"),
    [
        ("prokd", {"label_share": 0.3}, 14, None),
        ("prokd", {"label_share": 0.3}, 13, "teacher.epochs is 10 and student.epochs: 13 leaves 9 of them before"),
        ("prokd", {"label_share": 0.0}, 10, None),
        ("prokd", {"label_share": 0.0}, 9, "raise student.epochs or lower teacher.epochs"),
        ("rco", {"anchors": 4}, 4, None),
        ("rco", {"anchors": 4}, 3, "student.epochs is 3, and an anchor teaches for one of them or more"),
        ("rco", {"anchors": 11}, 20, "rco.anchors: 11, but teacher.epochs is 10"),
    ],
)
def test_no_epoch_of_the_teacher_is_left_out_in_silence(
    tmp_path: Path, params: dict, method: str, values: dict, epochs: int, expected: str | None
) -> None:
    params = learning_from_epochs(params, method, **values)
    params["student"]["epochs"] = epochs
    if expected is None:
        assert load(written(tmp_path, params)).student.epochs == epochs
        return
    with pytest.raises(UserError) as caught:
        load(written(tmp_path, params))
    assert expected in str(caught.value) and len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("share", [0.0, 0.13, 0.3, 0.5, 0.9])
def test_what_the_config_takes_for_prokds_first_phase_is_what_it_lasts(share: float) -> None:
    """The config has no torch, and so a formula of its own: it refuses one teacher epoch more than there is room for."""
    method = ProKd(label_share=share)
    for epochs in range(1, 40):
        room, student = taught_epochs(epochs, share), Student.model_construct(epochs=epochs)
        method.check(student, Teacher.model_construct(epochs=room))
        with pytest.raises(ValueError, match=f"leaves {room} of them"):
            method.check(student, Teacher.model_construct(epochs=room + 1))


@pytest.mark.parametrize("method", ["metadistil", "lgtm"])
def test_methods_that_repeat_masks_in_float32_refuse_bf16(tmp_path: Path, params: dict, method: str) -> None:
    params = learning_from_epochs(params, method) | {"precision": "bf16"}
    with pytest.raises(UserError, match=f"precision: bf16, but {method} repeats the dropout masks"):
        load(written(tmp_path, params))


@pytest.mark.parametrize("method", ["dml", "prokt"])
def test_repeated_masks_refuse_compiled_code(tmp_path: Path, params: dict, method: str) -> None:
    params = learning_from_epochs(params, method, same_masks=True)
    assert getattr(load(written(tmp_path, params)), method).same_masks
    with pytest.raises(UserError, match=f"compile: true, but {method}.same_masks repeats dropout masks"):
        load(written(tmp_path, params | {"compile": True}))
