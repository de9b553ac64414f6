"""dvc.yaml says of every stage which code it runs and which parameters it reads; no pipeline is run here."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from source_imports import ROOT

from config.methods import FAMILIES, SUFFIXES, TRAINED, family_of
from config.parameters import load
from config.stages import Split, Student
from errors import UserError
from stage_code import BY_METHOD, CODE, code_file

DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: Mapping[str, dict] = DVC["stages"]
ALWAYS_RUN = "register"
# Stages whose matrix runs over methods and that train a student, or what teaches it.
STUDENTS = ("student", "assistant", "assisted_student", "meta_student")
# What a stage reads of the folders of code that is no module: descriptions of the built-in benchmarks, the page's form.
FILES = {"source": ["data/catalog/glue", "data/catalog/superglue"], "report": ["reporting/templates"]}
# Whose rows, or what is stored of the teacher, change with split.quiz_joins_train.
JOINING = {"teacher", "signals", "student", "assisted_student", "multi_task"}
VERSIONS = "outputs/register/versions.json"
METHOD = "methods/${item.method}.py"
BASE = "methods/${mpdistil.base}.py"


@pytest.mark.parametrize("stage", [name for name in STAGES if name not in ("code", ALWAYS_RUN)])
def test_code_is_one_dependency_of_a_stage_and_its_method_another(stage: str) -> None:
    code = [path for path in STAGES[stage]["deps"] if _is_code(path)]
    own = [BASE if stage == "curriculum" else METHOD] if stage in BY_METHOD else []
    assert sorted(code) == sorted([*FILES.get(stage, []), *own, str(code_file(_module(stage)))])


def test_the_stage_code_depends_on_everything_that_a_stage_may_import() -> None:
    files = [name if (ROOT / name).is_dir() else f"{name}.py" for name in CODE]
    assert sorted(STAGES["code"]["deps"]) == sorted(files) and "params" not in STAGES["code"]


def _is_code(path: str) -> bool:
    if path.startswith("outputs/"):  # a module, outputs.py, has the folder's name
        return path.startswith("outputs/code")
    return path.split("/")[0].removesuffix(".py") in CODE


def _module(stage: str) -> str:
    """The module of tasks/ that a stage runs."""
    return STAGES[stage]["cmd"].split("tasks.")[1].split()[0]


def _params(stage: str) -> set[str]:
    """The keys of params.yaml that a stage tracks."""
    listed = STAGES[stage].get("params", [])
    shared = [key for one in listed if isinstance(one, dict) for key in one.get("params.yaml", [])]
    return {*shared, *(one for one in listed if isinstance(one, str))}


def test_evaluate_is_the_same_for_every_family_but_for_the_ending_of_its_methods_names() -> None:
    families = {stage: content["matrix"]["method"] for stage, content in STAGES.items() if _module(stage) == "evaluate"}
    assert sorted(families.values()) == sorted(f"${{methods.{family}}}" for family in FAMILIES)
    endings = {stage: {} for stage in families} | {
        stage: STAGES[stage]["vars"][0] for stage in families if "vars" in STAGES[stage]
    }
    for stage, family in families.items():
        assert endings[stage].get("ending", "") == SUFFIXES.get(family[len("${methods.") : -1], "")
    bodies = [json.dumps({key: STAGES[stage][key] for key in ("cmd", "deps", "params", "outs")}) for stage in families]
    assert {body.replace("${ending}", "") for body in bodies} == {bodies[0]}


def test_register_always_runs_and_so_depends_on_no_code() -> None:
    assert STAGES[ALWAYS_RUN]["always_changed"] is True
    assert {path.split("/")[0] for path in STAGES[ALWAYS_RUN]["deps"]} == {"outputs"}


def test_the_report_follows_the_one_file_of_register_that_stays_while_nothing_new_is_registered() -> None:
    assert STAGES[ALWAYS_RUN]["outs"] == [{VERSIONS: {"cache": False, "persist": True}}]
    assert [path for path in STAGES["report"]["deps"] if "register" in path] == [VERSIONS]


def test_no_stage_but_those_of_all_datasets_depends_on_a_whole_output() -> None:
    whole = {
        stage
        for stage, content in STAGES.items()
        for path in content["deps"]
        if path.startswith("outputs/")
        and not _is_code(path)
        and not re.search(r"/(rows|tokens|model|seen|trajectory|signals|head)$", path)
    }
    assert whole == {"report", "curriculum", "multi_task", ALWAYS_RUN}


@pytest.mark.parametrize("stage", STUDENTS)
def test_a_student_depends_on_every_key_of_its_section(stage: str) -> None:
    assert {f"student.{name}" for name in Student.model_fields} <= _params(stage)


def test_the_split_depends_on_every_key_of_its_section_but_those_that_change_no_row() -> None:
    listed = {key for key in _params("split") if key.startswith("split")}
    assert listed == {
        f"split.{name}" for name in Split.model_fields if name not in ("quiz_joins_train", "quiz_kept_from")
    }
    assert _listing("split.quiz_joins_train") == JOINING
    assert _listing("split.quiz_kept_from") == {"student", "assisted_student", "multi_task"}


def _listing(key: str) -> set[str]:
    """The stages that list a parameter."""
    return {stage for stage in STAGES if key in _params(stage)}


@pytest.mark.parametrize(
    "stage", [name for name in STAGES if name not in ("code", "source", "split", "report", ALWAYS_RUN)]
)
def test_every_training_stage_depends_on_the_threads(stage: str) -> None:
    assert "threads" in _params(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_what_chooses_epochs_and_episodes_is_tracked_by_the_stages_that_choose_any(stage: str) -> None:
    # The meta-teacher's epochs are chosen by its own loss; the report says by what the others were; `candidate` is a seed.
    choosing = {*STUDENTS, "teacher", "curriculum", "multi_task", "register", "report"}
    assert ("selected_by" in _params(stage)) is (stage in choosing)


def test_a_stage_that_reads_a_weight_which_goes_with_the_students_start_depends_on_that() -> None:
    reading = {"curriculum", *STUDENTS}
    assert all("student.init" in _params(stage) for stage in reading)
    named = {stage for stage in STAGES if {"mse_kd", "mse_kd.beta", "${item.method}"} & _params(stage)}
    assert named - {"multi_task"} == reading  # finetune and kd have no such weight


@pytest.mark.parametrize("stage", STAGES)
def test_a_search_is_tracked_by_the_stages_that_make_one_and_by_the_report(stage: str) -> None:
    tracked = {name for name in _params(stage) if name.partition(".")[0] == "search"}
    rates = {"teacher": "teacher_rates"} | dict.fromkeys(
        ("student", "assisted_student", "meta_student"), "student_rates"
    )
    of_a_search = {"search.points", f"search.{rates[stage]}"} if stage in rates else set()
    assert tracked == ({"search"} if stage == "report" else of_a_search)


@pytest.mark.parametrize("method", TRAINED)
def test_every_method_has_a_section_of_its_own_for_its_stage_to_depend_on(tmp_path: Path, method: str) -> None:
    assert all("${item.method}" in _params(stage) for stage in STUDENTS)
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    family = family_of(method)[0]
    named = tmp_path / "params.yaml"
    content["methods"][family] = [method]
    content.pop(method, None)
    named.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UserError, match=f"{method}: the section is missing"):
        load(named)
