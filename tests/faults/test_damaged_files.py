"""A file that is not what its stage wrote is named and refused before anything is made of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_pipeline import DATASET, OUTPUTS, SEED, Made, options_of, refused

pytestmark = pytest.mark.xdist_group("faults")


def flip(file: Path) -> None:
    """Turn one bit in the middle: the file still opens."""
    content = bytearray(file.read_bytes())
    content[len(content) * 3 // 4] ^= 0x10
    file.write_bytes(bytes(content))


def cut(file: Path) -> None:
    """Keep half."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


READ_BY = [
    (f"{OUTPUTS['source']}/rows/train.parquet", "split"),
    (f"{OUTPUTS['source']}/rows/spec.json", "split"),
    (f"{OUTPUTS['split']}/tokens/train.arrow", "teacher"),
    (f"{OUTPUTS['split']}/tokens/quiz.arrow", "curriculum"),
    (f"{OUTPUTS['split']}/tokens/spec.json", "student"),
    (f"{OUTPUTS['split']}/tokens/tokenizer/tokenizer.json", "teacher"),
    (f"{OUTPUTS['teacher']}/model/model.safetensors", "signals"),
    (f"{OUTPUTS['teacher']}/model/config.json", "signals"),
    (f"{OUTPUTS['teacher']}/model/model.safetensors", "meta_teacher"),
    (f"{OUTPUTS['teacher']}/model/model.safetensors", "meta_student"),
    (f"{OUTPUTS['teacher']}/model/model.safetensors", "assistant"),
    (f"{OUTPUTS['teacher']}/model/model.safetensors", "student metadistil"),
    (f"{OUTPUTS['teacher']}/trajectory/trajectory.safetensors", "student prokd"),
    (f"{OUTPUTS['signals']}/signals/train.safetensors", "student"),
    (f"{OUTPUTS['signals']}/signals/quiz.safetensors", "meta_teacher"),
    (f"{OUTPUTS['signals']}/signals/dev.safetensors", "evaluate"),
    (f"{OUTPUTS['assistant']}/signals/train.safetensors", "assisted_student"),
    (f"{OUTPUTS['student']}/model/model.safetensors", "curriculum"),
    (f"{OUTPUTS['curriculum']}/model/model.safetensors", "evaluate"),
    (f"{OUTPUTS['meta_teacher']}/head/head.safetensors", "meta_student"),
    (f"{OUTPUTS['meta_teacher']}/head/quiz.safetensors", "curriculum"),
    (f"{OUTPUTS['evaluate']}/predictions.parquet", "report"),
    (f"{OUTPUTS['evaluate']}/metrics.json", "compare"),
    (f"{OUTPUTS['curriculum']}/episodes.jsonl", "report"),
    (f"{OUTPUTS['curriculum']}/model/model.safetensors", "register"),
    (f"{OUTPUTS['evaluate']}/predictions.parquet", "register"),
]
"""(A file that some stage wrote, a stage that reads it)."""


@pytest.mark.parametrize("damage", [flip, cut], ids=["a bit flipped", "cut short"])
@pytest.mark.parametrize(("name", "reader"), READ_BY)
def test_a_damaged_file_is_named_and_never_used(
    made: Made, name: str, reader: str, damage: Callable[[Path], None]
) -> None:
    stage, _, method = reader.partition(" ")
    options = ("--dataset", DATASET, "--seed", SEED, "--method", method) if method else options_of(stage)
    damage(made.output(name))
    before = made.everything()
    ended = made.run(stage, *options)
    refused(made, ended, f"{stage}: outputs/{name}: damaged", "delete outputs/", "run `dvc repro`")
    assert ended.errors.count("\n") == 1
    assert made.everything() == before


def test_a_file_that_is_gone_or_was_added_is_named(made: Made) -> None:
    model = made.output(OUTPUTS["teacher"], "model")
    (model / "adapter_config.json").write_text("{}")
    refused(made, made.run("signals"), "adapter_config.json: was put there by something else than the stage")
    (model / "adapter_config.json").unlink()
    (model / "tokenizer.json").unlink()
    refused(made, made.run("signals"), "tokenizer.json: missing, but its stage wrote it")


def test_a_record_that_is_no_json_is_named(made: Made) -> None:
    made.output(OUTPUTS["teacher"], "run.json").write_bytes(b"\xff\xfe{")
    refused(made, made.run("signals"), f"outputs/{OUTPUTS['teacher']}/run.json: not valid JSON")


def test_an_undamaged_output_may_move_to_another_place(made: Made) -> None:
    moved = made.root.parent / "another place"
    shutil.move(made.root, moved)
    assert Made(moved).run("signals").status == 0
