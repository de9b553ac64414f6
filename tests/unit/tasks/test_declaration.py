"""Parameters recorded in run.json are those that DVC tracks, stage by stage; dvc.yaml is the one place that says it."""

import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from source_imports import ROOT
from stages import merged

from benchmarks.repository_copy import copy_repository
from config.methods import LISTED
from config.parameters import load
from tasks.runtime.declaration import PARAMS, declaration

# One method of each family, so that every stage is there.
ALL = {
    "methods": ["finetune", "kd", "mse_kd", "takd", "mpdistil", "kd_meta", "kd_multi"],
}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], set[str]]:
    """(Stage, method) -> the dotted keys that DVC itself tracks, files other than params.yaml first in them."""
    root = tmp_path_factory.mktemp("declared") / "copy"
    copy_repository(root)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)  # DVC needs one
    path = root / PARAMS
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text(encoding="utf-8")), ALL), sort_keys=False))
    found: dict[tuple[str, str], set[str]] = {}
    with Repo(str(root)) as repo:
        for stage in repo.index.stages:
            name, options = stage.name.partition("@")[0], stage.cmd.split()
            method = options[options.index("--method") + 1] if "--method" in options else ""
            keys = set()
            for dep in stage.params:
                file = Path(dep.fs_path).relative_to(root)
                keys |= {key if str(file) == PARAMS else f"{file}:{key}" for key in dep.params}
            found[name, method] = keys
    return found


def test_every_stage_records_the_keys_that_dvc_tracks_and_no_other(tracked: dict[tuple[str, str], set[str]]) -> None:
    given = load(ROOT / PARAMS)
    assert {stage for stage, _ in tracked} == set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    for (stage, method), keys in tracked.items():
        recorded = declaration(ROOT, stage).parameters(given, method, ROOT)
        values = given.model_dump(mode="json", by_alias=True)
        assert leaves(recorded) == {leaf for key in keys for leaf in leaves_at(key, values)}, stage


def leaves(content: object, path: str = "") -> set[str]:
    """Dotted keys of all single values; a list is one value."""
    if not isinstance(content, dict) or (path and not content):
        return {path}
    return {leaf for key, part in content.items() for leaf in leaves(part, f"{path}.{key}" if path else str(key))}


def leaves_at(key: str, values: dict[str, object]) -> set[str]:
    """The single values below a tracked key, by the names that a record has for them."""
    file, _, inner = key.rpartition(":")
    content: object = yaml.safe_load((ROOT / file).read_text()) if file else values
    for part in inner.split("."):
        assert isinstance(content, dict)
        content = content[part]
    return leaves(content, f"{file}.{inner}" if file else inner)


@pytest.mark.parametrize("stage", ["teacher", "student", "assistant", "assisted_student", "meta_student", "multi_task"])
def test_what_changes_the_bits_of_a_student_is_recorded(stage: str) -> None:
    method = LISTED["assisted"][0] if stage in ("assistant", "assisted_student") else "kd"
    recorded = leaves(declaration(ROOT, stage).parameters(load(ROOT / PARAMS), method, ROOT))
    assert {"precision", "compile", "threads", "evaluate.batch_size"} <= recorded


def test_options_and_output_of_a_stage_are_those_of_its_command() -> None:
    declared = declaration(ROOT, "meta_student")
    assert declared.keys == ("dataset", "method", "seed")
    chosen = {"dataset": "rte", "method": "kd", "seed": 7}
    assert declared.output_of(chosen) == Path("outputs/student/rte/kd_meta/7")
    assert declaration(ROOT, "evaluate").output_of({**chosen, "method": "kd_meta"}) == Path(
        "outputs/evaluate/rte/kd_meta/7"
    )
    assert declaration(ROOT, "meta_teacher").keys == ("dataset", "seed")
    assert declaration(ROOT, "register").output_of({}) == Path("outputs/register")
