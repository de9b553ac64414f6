"""Whatever is wrong, a stage ends with status 2 and one message for people, and leaves nothing half-written."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file, save_file
from stages import ROOT, Ended, merged, run_stage_here, write_params

DESCRIPTION = {"kind": "single", "text": "text", "label": "label", "labels": ["bad", "good"], "id": "id"}
TINY: dict[str, object] = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
WORDS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay")


def rows(count: int, every: int = 2) -> list[dict[str, object]]:
    """Rows of which each `every`-th is good, with texts that say so."""
    good = [number % every == 0 for number in range(count)]
    return [
        {"id": f"r{n}", "text": f"{'yes' if good[n] else 'no'} {WORDS[n % 10]} {n}", "label": int(good[n])}
        for n in range(count)
    ]


def write_dataset(folder: Path, content: list[dict[str, object]], **described: object) -> Path:
    """data/reviews with its description and train rows; dev is held out."""
    own = folder / "data" / "reviews"
    own.mkdir(parents=True, exist_ok=True)
    (own / "dataset.yaml").write_text(yaml.safe_dump({**DESCRIPTION, **described}))
    (own / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    return own


def params(folder: Path, **sections: object) -> None:
    """A params.yaml for `reviews` with the smallest models, and the given changes."""
    small: dict[str, object] = {
        "benchmark": "own",
        "datasets": ["reviews"],
        "seeds": [1],
        "threads": 1,
        "source": {"folder": "data"},
        "split": {"selection_minimum": 8},
        "teacher": {"epochs": 1, "config": TINY},
        "student": {"epochs": 1},
    }
    write_params(folder, **merged(small, sections))


def refused(folder: Path, ended: Ended, *parts: str) -> None:
    """One message with these parts, status 2, nothing half-written."""
    assert ended.status == 2, ended
    assert ended.output == ""
    assert "Traceback" not in ended.errors
    for part in parts:
        assert part in ended.errors
    assert not list((folder / "outputs" / ".partial").glob("*"))


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """A folder with 100 good rows, their params.yaml, and nothing run."""
    write_dataset(tmp_path, rows(100))
    params(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after source, split and teacher."""
    folder = tmp_path_factory.mktemp("taught")
    write_dataset(folder, rows(100))
    params(folder)
    for stage, options in (("source", ()), ("split", ()), ("teacher", ("--seed", "1"))):
        ended = run_stage_here(folder, stage, "--dataset", "reviews", *options)
        assert ended.status == 0, ended.errors
    return folder


@pytest.fixture
def split(taught: Path, tmp_path: Path) -> Path:
    """A copy of `taught` that a test may spoil."""
    return shutil.copytree(taught, tmp_path / "copy")


TEACHER = ("--dataset", "reviews", "--seed", "1")


def test_a_stage_says_every_error_of_params_yaml_and_writes_nothing(reviews: Path) -> None:
    params(reviews, teacher={"epoch": 3}, threads=0)
    ended = run_stage_here(reviews, "source", "--dataset", "reviews")
    refused(reviews, ended, "2 errors", "teacher.epoch: unknown key; did you mean 'epochs'?", "threads: 0")
    assert not (reviews / "outputs").exists()


@pytest.mark.parametrize(
    ("stage", "options", "message"),
    [
        ("source", ["--dataset", "review"], "--dataset review: not among `datasets` of params.yaml; did you mean"),
        ("source", ["--dataset", "../x"], "--dataset ../x: not among `datasets`"),
        ("teacher", ["--dataset", "reviews", "--seed", "-1"], "--seed -1: a seed is a whole number from 0"),
        ("student", ["--dataset", "reviews", "--method", "mpdistil", "--seed", "1"], "among `methods.student`"),
        ("evaluate", ["--dataset", "reviews", "--method", "kd", "--seed", "1"], "--method kd: not among `methods`"),
        ("teacher", ["--dataset", "reviews", "--seed", "1"], "split has not run for this combination"),
    ],
)
def test_a_command_line_that_names_what_is_not_there_is_one_error(
    reviews: Path, stage: str, options: list[str], message: str
) -> None:
    refused(reviews, run_stage_here(reviews, stage, *options), message)


def test_an_unknown_dataset_is_told_the_nearest_known_one(reviews: Path) -> None:
    params(reviews, datasets=["reviewz"])
    ended = run_stage_here(reviews, "source", "--dataset", "reviewz")
    refused(reviews, ended, "'reviewz'", "is unknown; did you mean 'reviews'?")


def test_a_missing_file_is_named(reviews: Path) -> None:
    write_dataset(reviews, rows(10), files={"train": "train.jsonl", "dev": "dev.jsonl"})
    refused(reviews, run_stage_here(reviews, "source", "--dataset", "reviews"), "missing files", "dev.jsonl")


def test_bad_rows_are_listed_together_by_file_row_and_field(reviews: Path) -> None:
    bad = rows(10)
    del bad[1]["text"]
    bad[2]["label"], bad[3]["text"], bad[4]["id"] = "ugly", "  ", "r0"
    write_dataset(reviews, bad)
    ended = run_stage_here(reviews, "source", "--dataset", "reviews")
    refused(reviews, ended, "4 problems", "row 2: field 'text' is missing", "row 3: field 'label' is 'ugly'")
    refused(reviews, ended, "row 4: field 'text'", "must not be empty", "row 5: field 'id' is 'r0'")


def test_an_unreachable_hub_is_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    params(tmp_path, benchmark="superglue", datasets=["cb"])
    nowhere = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "tasks.source", "--dataset", "cb"],
        cwd=tmp_path,
        env=os.environ | nowhere | {"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        timeout=300,
    )
    ended = Ended(done.returncode, done.stdout, done.stderr)
    refused(tmp_path, ended, "cannot load", "from the Hub", "source.folder", "source.search")


def test_a_quiz_too_small_for_every_class_is_refused(reviews: Path) -> None:
    write_dataset(reviews, rows(100, every=50))
    assert run_stage_here(reviews, "source", "--dataset", "reviews").status == 0
    ended = run_stage_here(reviews, "split", "--dataset", "reviews")
    refused(reviews, ended, "class 'good' has 2 train rows", "each needs a row of every class", "4 at least")


def test_a_checkpoint_with_another_tokenizer_is_refused(split: Path) -> None:
    model = shutil.copytree(split / "outputs/teacher/reviews/1/model", split / "other")
    text = (model / "tokenizer.json").read_text()
    content = json.loads(text)
    vocabulary = content["model"]["vocab"]
    first, second = list(vocabulary)[-2:]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (model / "tokenizer.json").write_text(json.dumps(content))
    params(split, teacher={"config": None, "checkpoint": "other"})
    refused(split, run_stage_here(split, "teacher", *TEACHER), "tokenizer")


def test_a_supplied_teacher_whose_label_map_disagrees_is_refused(split: Path) -> None:
    model = shutil.copytree(split / "outputs/teacher/reviews/1/model", split / "supplied")
    content = json.loads((model / "config.json").read_text())
    content |= {"id2label": {"0": "good", "1": "bad"}, "label2id": {"good": 0, "bad": 1}}
    (model / "config.json").write_text(json.dumps(content))
    params(split, teacher={"from": "supplied", "config": None})
    before = (split / "outputs/teacher/reviews/1/metrics.json").stat().st_mtime_ns
    refused(split, run_stage_here(split, "teacher", *TEACHER), "label map", "disagrees", "reviews")
    assert (split / "outputs/teacher/reviews/1/metrics.json").stat().st_mtime_ns == before


def test_a_teacher_no_better_than_the_majority_is_a_loud_warning_or_an_error(split: Path) -> None:
    slow: dict[str, object] = {"learning_rate": 1e-12}
    params(split, teacher=slow)
    warned = run_stage_here(split, "teacher", *TEACHER)
    assert warned.status == 0
    assert "WARNING: teacher reviews 1: the teacher is no better than the majority class" in warned.errors
    written = json.loads((split / "outputs/teacher/reviews/1/metrics.json").read_text())["within_noise"]
    assert written.startswith("the teacher is no better than the majority class") and written in warned.errors
    params(split, teacher=slow | {"no_better_than_majority": "error"})
    refused(split, run_stage_here(split, "teacher", *TEACHER), "no better than the majority class")


def test_a_loss_that_is_no_number_any_more_is_one_line(split: Path) -> None:
    model = shutil.copytree(split / "outputs/teacher/reviews/1/model", split / "huge")
    weights = load_file(model / "model.safetensors")
    save_file({name: value * 1e38 for name, value in weights.items()}, model / "model.safetensors", {"format": "pt"})
    params(split, teacher={"config": None, "checkpoint": "huge"})
    ended = run_stage_here(split, "teacher", *TEACHER)
    refused(split, ended, "teacher: teacher reviews 1, epoch 1/1, step 1: the loss is nan; lower the learning rate")


def test_a_layer_that_the_teacher_has_not_is_one_line(split: Path) -> None:
    params(split, mse_kd={"mapping": [[1, 9]]})
    refused(split, run_stage_here(split, "signals", *TEACHER), "signals: ", "9")


def test_a_curriculum_that_contradicts_itself_is_one_line(split: Path) -> None:
    student = ("--dataset", "reviews", "--method", "mse_kd", "--seed", "1")
    for stage, options in (("signals", TEACHER), ("student", student), ("meta_teacher", TEACHER)):
        assert run_stage_here(split, stage, *options).status == 0
    params(split, curriculum={"update": "episode", "reward": "gain"})
    curriculum = run_stage_here(split, "curriculum", *TEACHER, "--method", "mpdistil")
    refused(split, curriculum, "curriculum.update: episode", "use update: step")


def test_a_bug_keeps_its_traceback(reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.sources.check_table", lambda *_: int("no number"))
    with pytest.raises(ValueError, match="invalid literal"):
        run_stage_here(reviews, "source", "--dataset", "reviews")
    assert not list((reviews / "outputs" / ".partial").glob("*"))


PRINTING = """
from tasks.runtime.stage import run_stage
run_stage("source", lambda stage: print("a line", flush=True))
"""


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (("-m", "tasks.source"), 0, ""),  # its one line comes when the output is in place
        (("-c", PRINTING), 141, "source: nobody reads what it prints any more, stopped\n"),
    ],
)
def test_a_stage_whose_reader_has_gone_ends_without_a_traceback(
    reviews: Path, command: tuple[str, ...], status: int, said: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, *command, "--dataset", "reviews"],
        cwd=reviews,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (status, said)
    assert (reviews / "outputs/source/reviews/run.json").exists() is (status == 0)
    assert not list((reviews / "outputs/.partial").glob("*"))


def test_no_space_left_when_the_output_is_synced_leaves_nothing(reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    ended = run_stage_here(reviews, "source", "--dataset", "reviews")
    refused(reviews, ended, "source: No space left on device", "make room", "Nothing half-written")
    assert not (reviews / "outputs/source").exists()


# A file system of 4 MiB as outputs/, filled up to its last 8 KiB, that only this shell and its children see.
FULL_DISK = """
mkdir outputs && mount -t tmpfs -o size=4m none outputs && cp -r before/. outputs
dd if=/dev/zero of=outputs/filler bs=1k 2>/dev/null; truncate -s -8K outputs/filler
stage=$1; shift; "$@"; status=$?
if [ -e "outputs/$stage" ] || [ -n "$(ls -A outputs/.partial)" ]; then echo "half-written output" >&2; fi
exit $status
"""


@pytest.mark.parametrize(("stage", "options"), [("split", ()), ("signals", ("--seed", "1"))])
def test_a_disk_that_is_really_full_leaves_nothing(split: Path, stage: str, options: tuple[str, ...]) -> None:
    if subprocess.run(["unshare", "--map-root-user", "--mount", "true"], check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system of their own (unshare --map-root-user --mount)")
    shutil.rmtree(split / "outputs" / stage, ignore_errors=True)
    (split / "outputs").rename(split / "before")
    command = (sys.executable, "-m", f"tasks.{stage}", "--dataset", "reviews", *options)
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, "sh", stage, *command],
        cwd=split,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )
    ended = Ended(done.returncode, done.stdout, done.stderr)
    refused(split, ended, f"{stage}: No space left on device")
    assert "half-written output" not in done.stderr.replace("Nothing half-written", "")


def test_a_list_of_code_that_is_older_than_the_code_is_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path, rows(40))
    params(tmp_path)
    assert run_stage_here(tmp_path, "code").status == 0
    assert run_stage_here(tmp_path, "source", "--dataset", "reviews").status == 0
    listed = tmp_path / "outputs" / "code" / "source.json"
    listed.write_text(json.dumps(json.loads(listed.read_text()) | {"data.checks": "of another time"}))
    shutil.rmtree(tmp_path / "outputs" / "source")
    ended = run_stage_here(tmp_path, "source", "--dataset", "reviews")
    assert (ended.status, ended.errors.count("\n")) == (2, 1)
    assert "outputs/code/source.json: written before data/checks.py changed" in ended.errors
    assert "`dvc repro code`" in ended.errors
    assert not (tmp_path / "outputs" / "source").exists()
