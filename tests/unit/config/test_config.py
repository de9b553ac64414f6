"""config/parameters.py: good files load, bad ones say everything that is wrong with them."""

import json
import re
from pathlib import Path

import pytest
import yaml

from config.__main__ import main
from config.methods import FAMILIES
from config.parameters import Parameters, load
from errors import UserError

ROOT = Path(__file__).parents[3]
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))


@pytest.fixture
def params() -> dict:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def written(folder: Path, content: dict) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def errors_of(folder: Path, content: dict) -> str:
    with pytest.raises(UserError) as caught:
        load(written(folder, content))
    return str(caught.value)


@pytest.mark.parametrize("path", [ROOT / "params.yaml", *PROFILES], ids=lambda path: path.name)
def test_every_shipped_file_is_valid_and_presets_leave_nothing_open(path: Path) -> None:
    given = load(path)
    assert None not in given.meta_teacher.model_dump().values()
    # The reward's own where they are null; without a bound an episode is the whole pass, and all of them are run.
    own = {"gamma", "baseline", "policy_learning_rate", "max_steps_per_episode", "patience"}
    assert None not in given.curriculum.model_dump(exclude=own).values()


def test_params_yaml_is_the_quickstart_profile() -> None:
    assert load(ROOT / "params.yaml") == load(ROOT / "profiles/quickstart.yaml")


def test_the_shipped_schema_is_the_one_of_the_classes() -> None:
    assert json.loads((ROOT / "params.schema.json").read_text()) == Parameters.model_json_schema()


@pytest.mark.parametrize(
    "launch",
    [
        "python -m",
        "python -m hardware cpu_2",
        "accelerate launch --config_file hardware/cpu_2.yaml -m",
        "torchrun --standalone --nproc_per_node 2 -m",
    ],
)
def test_a_launch_line_ends_where_the_stages_module_follows(launch: str, tmp_path: Path, params: dict) -> None:
    params["launch"] = launch
    assert load(written(tmp_path, params)).launch == launch
    params["launch"] = launch.removesuffix(" -m") + " tasks.teacher"
    assert "launch: " in errors_of(tmp_path, params)


@pytest.mark.parametrize(
    "launch",
    [
        "accelerate launch x; id > F; true -m",
        "accelerate launch --config_file $(id) -m",
        "accelerate launch --config_file `id` -m",
        "accelerate launch --cpu && id; accelerate launch -m",
        "accelerate launch --config_file ../elsewhere.yaml -m",
        "accelerate launch --config_file hardware/../../elsewhere.yaml -m",
        "accelerate launch --config_file /tmp/elsewhere.yaml -m",
        "accelerate launch --config_file hardware/cpu.yaml another_program.py -m",
        "accelerate launch --cpu another_program.py -m",
        "accelerate launch --no_python sh -m",
        "torchrun --no-python sh -m",
        "torchrun --standalone | sh -m",
        "torchrun --rdzv_id ~ -m",
        "python -m hardware cpu_2\nid",
        "python -m hardware cpu_2\n",
        "python -m hardware ../cpu_2",
        "python -m http.server",
        "python -c print -m",
        "python  -m",
        " python -m",
        "sh -m",
        "",
    ],
)
def test_a_launch_line_is_no_shell_command_and_starts_nothing_else(launch: str, tmp_path: Path, params: dict) -> None:
    params["launch"] = launch
    error = errors_of(tmp_path, params)
    assert f"launch: {launch!r} is not allowed: write 'python -m'" in error
    assert (
        re.search(Parameters.model_json_schema()["properties"]["launch"]["pattern"].removesuffix("$") + r"\Z", launch)
        is None
    )


def test_a_launch_line_names_machines_and_ports(tmp_path: Path, params: dict) -> None:
    for launch in (
        "torchrun --nnodes 2 --node_rank 1 --nproc-per-node 4 --rdzv_backend c10d --rdzv_endpoint host-1.example.org:29500 -m",
        "accelerate launch --multi_gpu --num_processes 2 --gpu_ids 0,1 --mixed_precision bf16 -m",
    ):
        params["launch"] = launch
        assert load(written(tmp_path, params)).launch == launch


@pytest.mark.parametrize(
    "bad", ["rte; id", "$(id)", "../rte", "a/b", "`id`", "rte id", "rte\n", "-m", "", "rte|sh", "a'b"]
)
def test_nothing_that_a_command_or_a_path_of_a_stage_names_is_more_than_a_word(
    bad: str, tmp_path: Path, params: dict
) -> None:
    dvc_yaml = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    # Their items, and themselves; `launch` and `source.folder`, which is in no command, have tests of their own.
    assert set(re.findall(r"\$\{([^}]+)\}", dvc_yaml)) == {
        *("datasets", "seeds", *(f"methods.{family}" for family in FAMILIES)),
        "ending",  # of dvc.yaml itself
        *("item.dataset", "item.seed", "item.method", "mpdistil.base", "mpdistil.preset", "launch", "source.folder"),
    }
    assert "source.folder" not in "".join(re.findall(r"cmd: .*", dvc_yaml))
    params.update(benchmark=bad, datasets=[bad], seeds=[bad], methods={family: [bad] for family in FAMILIES})
    params["mpdistil"].update(base=bad, preset=bad)
    errors = errors_of(tmp_path, params).splitlines()
    for key in (
        *("benchmark", "datasets.1", "seeds.1", *(f"methods.{family}.1" for family in FAMILIES)),
        *("mpdistil.base", "mpdistil.preset"),
    ):
        assert any(line.strip().startswith(f"{key}: {bad!r} is not allowed") for line in errors), (key, errors)


def test_rows_are_in_a_folder_and_not_at_an_address(tmp_path: Path, params: dict) -> None:
    params["source"]["folder"] = "http://127.0.0.1:9/rows"
    assert "source.folder: 'http://127.0.0.1:9/rows' is an address" in errors_of(tmp_path, params)
    params["source"]["folder"] = "../rows"
    assert load(written(tmp_path, params)).source.folder == "../rows"


def test_sections_can_not_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(ROOT / "params.yaml").threads = 8  # ty: ignore[invalid-assignment]


def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path, params: dict) -> None:
    params["teacher"]["learning_rat"] = 0.1
    assert "teacher.learning_rat: unknown key; did you mean 'learning_rate'?" in errors_of(tmp_path, params)


def test_a_method_that_is_misspelt_is_told_the_nearest(tmp_path: Path, params: dict) -> None:
    params["methods"]["student"] = ["finetun", "mse_kd"]
    error = errors_of(tmp_path, params)
    assert "methods.student.1: 'finetun' is not allowed: did you mean 'finetune'? input should be 'finetune', " in error
    params["methods"]["student"] = ["nonsense", "mse_kd"]
    error = errors_of(tmp_path, params)
    assert "methods.student.1: 'nonsense' is not allowed: input should be 'finetune', " in error


def test_a_list_that_is_missing_is_told_with_what_to_write(tmp_path: Path, params: dict) -> None:
    del params["methods"]["meta_taught"], params["datasets"]
    error = errors_of(tmp_path, params)
    assert "methods.meta_taught: missing; write `meta_taught: []` for none" in error
    assert re.search(r"^  datasets: missing$", error, re.MULTILINE)


def test_an_error_of_the_yaml_names_the_file_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("teacher:\n  epochs: 1\n  - 2\n")
    with pytest.raises(UserError, match=r'params.yaml: not valid YAML: .* in "[^"]*params.yaml", line 3') as caught:
        load(tmp_path / "params.yaml")
    assert "<unicode string>" not in str(caught.value)


def test_all_errors_are_listed_at_once(tmp_path: Path, params: dict) -> None:
    params["teachr"] = {}
    params["student"]["epochs"] = "five"
    params["mse_kd"]["alpha"] = 1.5
    params["split"]["max_length"] = 4
    message = errors_of(tmp_path, params)
    assert "4 errors" in message.splitlines()[0]
    assert "teachr: unknown key; did you mean 'teacher'?" in message
    assert "student.epochs: 'five' is not allowed: input should be a valid integer" in message
    assert "mse_kd.alpha: 1.5 is not allowed: input should be less than or equal to 1" in message
    assert "split.max_length: 4 is not allowed: input should be greater than or equal to 8" in message


def test_a_value_of_several_types_gives_one_line(tmp_path: Path, params: dict) -> None:
    params["mse_kd"]["mapping"] = 7
    lines = [line for line in errors_of(tmp_path, params).splitlines() if "mapping" in line]
    assert len(lines) == 1
    assert "'uniform', 'first' or 'last'" in lines[0]
    assert "list" in lines[0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p["methods"].update(student=["finetune", "finetune"]), "methods: student: finetune is named twice"),
        (lambda p: p["methods"].update(student=[], curriculum=[]), "methods: name one method at least"),
        (
            lambda p: p["methods"].update(student=["takd"]),
            "takd is of another family; move it to methods.assisted",
        ),
        (lambda p: p["methods"].update(student=["kd_meta"]), "write kd into methods.meta_taught"),
        (
            lambda p: p["signals"].update(layers="none"),
            "signals.layers: none, but mse_kd compares the teacher's layers",
        ),
        (lambda p: p.update(seeds=[1, 1]), "seeds: 1 is named twice"),
        (lambda p: p["teacher"].update(checkpoint="x"), "exactly one of teacher.checkpoint and teacher.config"),
        (lambda p: p["student"].update(layers=2), "student.layers has no meaning with student.init: config"),
        (lambda p: p["student"].update(init="teacher_layers", config=None), "needs student.layers"),
        (lambda p: p["student"].update(init="pretrained_teacher_layers", config=None, layers=1), "which is null"),
        (lambda p: p["curriculum"].update(reward="gain", update="episode"), "update: episode has no meaning with"),
        (lambda p: p["curriculum"].update(reward="gain", gamma=0.9), "gamma has no meaning with reward gain"),
        (
            lambda p: p["curriculum"].update(probe="quiz"),
            "curriculum.probe: 'quiz' is refused: the student trains on the quiz",
        ),
        (lambda p: p["curriculum"].update(reward="alignment", gain_steps=2), "use reward gain, or gain_steps: 1"),
        (
            lambda p: p["curriculum"].update(reward="real", update="episode", target_steps=1),
            "use update: step, or target_steps: 0",
        ),
        (lambda p: p["curriculum"].update(probe="exam", probe_rows="all"), "all would leave the quiz no row"),
        (
            lambda p: (
                p["methods"].update(student=["dml"]),
                p["mpdistil"].update(base="dml"),
                p["curriculum"].update(target_steps=1),
            ),
            "that of dml reads more than the teacher's stored signals",
        ),
    ],
)
def test_values_that_disagree_are_an_error(tmp_path: Path, params: dict, change, expected: str) -> None:
    change(params)
    assert expected in errors_of(tmp_path, params)


def test_mpdistil_can_be_left_out(tmp_path: Path, params: dict) -> None:
    params["methods"]["curriculum"] = []
    assert load(written(tmp_path, params)).methods.names == ("finetune", "mse_kd")


def test_a_preset_fills_what_is_null_and_nothing_else(tmp_path: Path, params: dict) -> None:
    params["mpdistil"]["preset"] = "paper"
    params["curriculum"] |= {"episodes": 3, "sampler": None}
    given = load(written(tmp_path, params)).curriculum
    assert (given.episodes, given.sampler, given.reward) == (3, "policy", "binary")


@pytest.mark.parametrize("preset", ["paper", "default"])
def test_no_preset_ends_an_episode_before_the_whole_pass_over_the_quiz(
    tmp_path: Path, params: dict, preset: str
) -> None:
    params["mpdistil"]["preset"] = preset
    params["curriculum"]["max_steps_per_episode"] = None
    assert load(written(tmp_path, params)).curriculum.max_steps_per_episode is None


def test_numbers_are_read_as_dvc_reads_them_and_no_key_may_repeat(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text().replace("learning_rate: 1.0e-3", "learning_rate: 2e-5"))
    assert load(path).teacher.learning_rate == 2e-5
    path.write_text("seeds: [1]\nseeds: [2]\n")
    with pytest.raises(UserError, match="key 'seeds' appears twice"):
        load(path)


@pytest.mark.parametrize("text", ["", "- a\n", "a: [", "\t", "a: \x00"])
def test_a_file_that_is_no_mapping_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml: "):
        load(path)


def test_the_command_line_checks_all_files_and_exits_with_2(tmp_path: Path, params: dict, capsys) -> None:
    bad = written(tmp_path, {**params, "threads": 0})
    assert main([str(bad), str(ROOT / "params.yaml"), str(tmp_path / "none.yaml")]) == 2
    shown = capsys.readouterr()
    assert "threads: 0 is not allowed" in shown.err
    assert "none.yaml: no such file" in shown.err
    assert "params.yaml: valid (quickstart: 3 datasets" in shown.out
