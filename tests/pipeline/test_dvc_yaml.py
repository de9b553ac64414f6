"""dvc.yaml says of every stage which code it runs and which parameters it reads; no pipeline is run here."""

import re
from collections.abc import Mapping
from typing import get_args

import pytest
import yaml
from source_imports import ROOT

from config.method_parameters import AssistedMethod, StudentMethod
from config.stages import Split, Student
from stage_code import BY_METHOD, CODE, code_file

DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: Mapping[str, dict] = DVC["stages"]
ALWAYS_RUN = "register"
# Stages whose matrix runs over methods and that train a student, or what teaches it.
STUDENTS = ("student", "assistant", "assisted", "meta_taught")
# What a stage reads of the folders of code that is no module: descriptions of the built-in benchmarks, the page's form.
FILES = {"source": ["data/catalog/glue", "data/catalog/superglue"], "report": ["reporting/templates"]}
# Whose rows, or what is stored of the teacher, change with split.quiz_joins_train.
JOINING = {"teacher", "signals", "student", "assisted", "multi_task"}
VERSIONS = "outputs/register/versions.json"
METHOD = "methods/${item.method}.py"


@pytest.mark.parametrize("stage", [name for name in STAGES if name not in ("code", ALWAYS_RUN)])
def test_code_is_one_dependency_of_a_stage_and_its_method_another(stage: str) -> None:
    code = [path for path in STAGES[stage]["deps"] if _is_code(path)]
    own = [METHOD] if stage in BY_METHOD else []
    assert sorted(code) == sorted([*FILES.get(stage, []), *own, str(code_file(stage))])


def test_the_stage_code_depends_on_everything_that_a_stage_may_import() -> None:
    files = [name if (ROOT / name).is_dir() else f"{name}.py" for name in CODE]
    assert sorted(STAGES["code"]["deps"]) == sorted(files) and "params" not in STAGES["code"]


def _is_code(path: str) -> bool:
    return path.split("/")[0].removesuffix(".py") in CODE or path.startswith("outputs/code")


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
def test_a_student_depends_on_every_key_of_its_section_but_the_list_of_methods(stage: str) -> None:
    listed = {key for key in STAGES[stage]["params"] if isinstance(key, str)}
    assert {f"student.{name}" for name in Student.model_fields if name != "methods"} <= listed
    assert not {"student", "student.methods"} & listed


def test_the_split_depends_on_every_key_of_its_section_but_those_that_change_no_row() -> None:
    listed = {key for key in STAGES["split"]["params"] if key.startswith("split")}
    assert listed == {
        f"split.{name}" for name in Split.model_fields if name not in ("quiz_joins_train", "quiz_kept_from")
    }
    assert _listing("split.quiz_joins_train") == JOINING
    assert _listing("split.quiz_kept_from") == {"student", "assisted", "multi_task"}


def _listing(key: str) -> set[str]:
    """The stages that list a parameter."""
    return {stage for stage, content in STAGES.items() if key in content.get("params", [])}


@pytest.mark.parametrize(
    "stage", [name for name in STAGES if name not in ("code", "source", "split", "report", ALWAYS_RUN)]
)
def test_every_training_stage_depends_on_the_threads(stage: str) -> None:
    assert "threads" in STAGES[stage]["params"]


@pytest.mark.parametrize("stage", STAGES)
def test_what_chooses_epochs_and_episodes_is_tracked_by_the_stages_that_choose_any(stage: str) -> None:
    # The meta-teacher's epochs are chosen by its own loss; the report says by what the others were; `candidate` is a seed.
    choosing = {*STUDENTS, "teacher", "curriculum", "multi_task", "register", "report"}
    assert ("selected_by" in STAGES[stage].get("params", [])) is (stage in choosing)


def test_a_stage_that_reads_a_weight_which_goes_with_the_students_start_depends_on_that() -> None:
    reading = {"signals", "curriculum", *STUDENTS}
    assert all(
        {"student.init"} <= {key for key in STAGES[stage]["params"] if isinstance(key, str)} for stage in reading
    )
    named = {stage for stage, content in STAGES.items() if {"mse_kd", "mse_kd.beta", "${item.method}"} & {key for key in content.get("params", []) if isinstance(key, str)}}  # fmt: skip
    assert named - {"multi_task"} == reading  # finetune and kd have no such weight


@pytest.mark.parametrize("stage", STAGES)
def test_a_search_is_tracked_by_the_stages_that_make_one_and_by_the_report(stage: str) -> None:
    searching = ("teacher", "student", "assisted", "meta_taught", "report")
    assert ("search" in STAGES[stage].get("params", [])) is (stage in searching)


@pytest.mark.parametrize("method", get_args(StudentMethod) + get_args(AssistedMethod))
def test_every_method_has_a_section_of_its_own_for_its_stage_to_depend_on(method: str) -> None:
    assert all("${item.method}" in STAGES[stage]["params"] for stage in STUDENTS)
    assert method in yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
