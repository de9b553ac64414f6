"""DVC's graph as plain values: names, coordinates, what is out of date and why."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from recorded import SECONDS, make_unrun, pretend_all_ran
from stages import merged
from workspace import Workspace

from errors import BusyError, UserError
from flows.graph import Graph, Node, read_graph
from flows.plan import make_plan

pytestmark = pytest.mark.xdist_group("recorded")
DASHED, PLAIN = "two-part_name", "payment"
HOLD = """
import sys, zc.lockfile
lock = zc.lockfile.LockFile(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two datasets, one with dashes in its name, two seeds; everything is up to date."""
    workspace = make_unrun(tmp_path_factory.mktemp("graph") / "recorded", datasets=[DASHED, PLAIN], seeds=[7, 42])
    pretend_all_ran(workspace.root)
    return workspace


@pytest.fixture
def copy(recorded: Workspace, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(recorded.root, tmp_path / "copy", symlinks=True))


@pytest.fixture(scope="session")
def graph(recorded: Workspace) -> Graph:
    """The graph of the shared workspace."""
    return read_graph(recorded.root)


def out_of_date(root: Path) -> dict[str, Node]:
    """The stages with reasons, but for the one that always runs, and `code`, which a changed module makes run."""
    nodes = read_graph(root).nodes.items()
    return {name: node for name, node in nodes if node.reasons and not node.always and name != "code"}


def test_every_stage_of_dvc_is_there_by_the_name_that_dvc_gives_it(recorded: Workspace, graph: Graph) -> None:
    listed = recorded.run("dvc", "stage", "list", "--name-only").stdout.split()
    assert sorted(graph.nodes) == sorted(listed)


def test_stages_stand_after_all_that_they_need(graph: Graph) -> None:
    names = list(graph.nodes)
    assert all(names.index(need) < names.index(node.name) for node in graph.nodes.values() for need in node.needs)


def test_coordinates_come_whole_out_of_names_with_dashes(graph: Graph) -> None:
    found = graph.nodes[f"student@{DASHED}-mse_kd-42"]
    assert (found.stage, found.dataset, found.method, found.seed) == ("student", DASHED, "mse_kd", 42)
    source = graph.nodes[f"source@{DASHED}"]
    assert (source.dataset, source.method, source.seed) == (DASHED, None, None)


def test_the_curriculum_belongs_to_mpdistil_and_needs_the_splits_of_every_dataset(graph: Graph) -> None:
    found = graph.nodes[f"curriculum@{PLAIN}-mpdistil-7"]
    assert (found.dataset, found.method, found.seed) == (PLAIN, "mpdistil", 7)
    assert {f"split@{DASHED}", f"split@{PLAIN}", f"student@{PLAIN}-mse_kd-7"} <= set(found.needs)
    assert f"student@{DASHED}-mse_kd-7" not in found.needs


def test_nothing_is_out_of_date_after_a_run_but_what_always_runs(graph: Graph) -> None:
    assert {name: node.reasons for name, node in graph.nodes.items() if node.reasons} == {"register": ("always runs",)}
    assert graph.nodes["register"].always


def test_the_last_duration_is_that_of_the_stage_s_own_record(graph: Graph) -> None:
    assert {node.seconds for node in graph.nodes.values() if node.stage != "register"} == {SECONDS}
    assert graph.nodes["register"].seconds is None


def test_a_stage_that_never_ran_says_only_that(tmp_path: Path) -> None:
    workspace = make_unrun(tmp_path / "new", datasets=[PLAIN], seeds=[1])
    nodes = read_graph(workspace.root).nodes
    assert {node.reasons for node in nodes.values() if not node.always} == {("never run",)}
    assert {node.seconds for node in nodes.values()} == {None}


def test_changed_code_is_named_at_the_stages_that_run_it_and_nowhere_else(copy: Path) -> None:
    with (copy / "methods" / "finetune.py").open("a") as file:
        file.write("# changed\n")
    found = out_of_date(copy)
    assert {(node.stage, node.method): node.reasons for node in found.values()} == {
        ("teacher", None): ("changed: methods/finetune.py",),
        ("student", "finetune"): ("changed: methods/finetune.py",),
    }


def test_modules_that_came_or_went_are_named_too_and_the_fourth_is_counted(copy: Path) -> None:
    rewrite(copy / "reporting/wording.py", "", "from models import heads\n")
    rewrite(copy / "tasks/evaluate.py", "from training.memory import", "from memory import")
    for name in ("classifier", "layers", "model_outputs"):
        rewrite(copy / "models" / f"{name}.py", "", "# changed\n")
    found = {node.stage: node.reasons for node in out_of_date(copy).values()}
    assert found["report"] == ("changed: models/heads.py, reporting/wording.py",)
    assert found["evaluate"] == ("changed: models/classifier.py, models/layers.py, models/model_outputs.py and 2 more",)
    assert found["teacher"] == ("changed: models/classifier.py, models/layers.py, models/model_outputs.py",)


def rewrite(path: Path, old: str, new: str) -> None:
    """Replace a line of a file, or append one."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new) if old else text + new)


def test_a_module_that_is_no_python_is_named_with_its_line(copy: Path) -> None:
    rewrite(copy / "models/heads.py", "", "def broken(\n")
    with pytest.raises(UserError, match=r"models/heads\.py: line \d+: .*no stage that imports it can run"):
        read_graph(copy)


def test_code_that_changed_is_no_reason_for_what_does_not_import_it(copy: Path) -> None:
    rewrite(copy / "methods/finetune.py", "", "# changed\n")
    planned = {one.node.name: one.state for one in make_plan(read_graph(copy))}
    assert planned["code"] == "run" and planned[f"source@{PLAIN}"] == planned[f"split@{PLAIN}"] == "cached"


def test_where_no_record_says_what_the_code_was_its_folder_is_named(copy: Path) -> None:
    with (copy / "models" / "heads.py").open("a") as file:
        file.write("# changed\n")
    record = copy / "outputs/teacher" / PLAIN / "7/run.json"
    record.write_text("{}")
    assert "changed: outputs/code/teacher.json" in read_graph(copy).nodes[f"teacher@{PLAIN}-7"].reasons


def test_changed_parameters_are_shown_with_both_values(copy: Path) -> None:
    path = copy / "params.yaml"
    path.write_text(path.read_text().replace("reward: gain", "reward: real"))
    found = out_of_date(copy)
    assert set(found) == {f"curriculum@{name}-mpdistil-{seed}" for name in (DASHED, PLAIN) for seed in (7, 42)}
    assert {node.reasons for node in found.values()} == {("params curriculum.reward: gain -> real",)}


def test_a_method_that_is_added_runs_its_own_stages_and_no_signals(copy: Path) -> None:
    added = ("kd", "tinybert", "kd_multi", "mse_kd_meta", "takd")
    content = merged(
        yaml.safe_load((copy / "params.yaml").read_text()), {"methods": ["finetune", "mse_kd", "mpdistil", *added]}
    )
    (copy / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    found = out_of_date(copy)
    own = {name.partition("@")[0] for name, node in found.items() if node.reasons == ("never run",)}
    assert own == {
        *("student", "assistant", "assisted_student", "meta_student", "multi_task"),
        *("evaluate", "evaluate_assisted_student", "evaluate_meta_student", "evaluate_multi_task"),
    }
    assert {name for name, node in found.items() if node.reasons != ("never run",)} == {"report"}
    assert {node.method for node in found.values()} == {
        "kd",
        "tinybert",
        "kd_multi",
        "mse_kd_meta",
        "mse_kd",
        "takd",
        None,
    }


def test_missing_outputs_that_the_cache_has_are_restored_and_are_no_reason_for_stages_after_them(copy: Path) -> None:
    shutil.rmtree(copy / "outputs" / "split" / PLAIN)
    found = out_of_date(copy)
    assert {name: (node.reasons, node.restores) for name, node in found.items()} == {
        f"split@{PLAIN}": ((f"missing: outputs/split/{PLAIN}",), True)
    }


def test_outputs_that_the_cache_lost_are_not_restored(copy: Path) -> None:
    shutil.rmtree(copy / "outputs" / "split" / PLAIN)
    shutil.rmtree(copy / ".dvc" / "cache")
    found = read_graph(copy).nodes[f"split@{PLAIN}"]
    assert found.reasons == (f"not in DVC's cache: outputs/split/{PLAIN}",)
    assert not found.restores


def test_wrong_parameters_are_told_in_the_config_s_own_words(copy: Path) -> None:
    path = copy / "params.yaml"
    path.write_text(path.read_text().replace("reward: gain", "rewrad: gain"))
    with pytest.raises(UserError, match=r"curriculum\.rewrad: unknown key; did you mean 'reward'"):
        read_graph(copy)


def test_an_unfinished_merge_in_dvc_lock_is_told_with_its_line(copy: Path) -> None:
    path = copy / "dvc.lock"
    path.write_text(path.read_text().replace("stages:\n", "stages:\n<<<<<<< HEAD\n", 1))
    with pytest.raises(UserError, match=r"dvc\.lock: line 3 is a conflict of a merge; keep one side"):
        read_graph(copy)


def test_a_folder_without_dvc_is_told(copy: Path) -> None:
    shutil.rmtree(copy / ".dvc")
    with pytest.raises(UserError, match="no DVC repository; run from the root"):
        read_graph(copy)


def test_a_workspace_that_another_dvc_holds_is_waited_for_and_then_its_process_is_named(copy: Path) -> None:
    lock = copy / ".dvc" / "tmp" / "lock"
    lock.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=f"process {holder.pid} has held DVC's lock"):
            read_graph(copy, patience=0.5)
        holder.communicate()
    assert read_graph(copy, patience=0.5).nodes
