"""Training that leaves all bounds, memory that runs out, too few quiz rows: one line each, nothing written."""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from accelerate.state import AcceleratorState
from made_pipeline import DATASET, NETWORK, OUTPUTS, SEED, Made, refused
from safetensors.torch import load_file, save_file
from tiny_problem import TARGET, accelerator, networks, settings, splits

from config.parameters import load
from models.model_outputs import Outputs
from resource_errors import no_memory
from training.supervised import Diverged, train

pytestmark = pytest.mark.xdist_group("faults")
HUGE = {**NETWORK, "initializer_range": 1e30}
_SEEDED = ("--dataset", DATASET, "--seed", SEED)


@pytest.mark.parametrize(
    ("stage", "method", "sections", "message"),
    [
        ("teacher", "", {"teacher": {"config": HUGE}}, "epoch 1/1, step 1: the loss is nan; lower the learning rate"),
        (
            "student",
            "mse_kd",
            {"student": {"config": {**HUGE, "num_hidden_layers": 1}}},
            "epoch 1/1, step 1: the loss is",
        ),
        (
            "student",
            "metadistil",
            {"student": {"config": {**HUGE, "num_hidden_layers": 1}}},
            "epoch 1/1, step 1: the loss",
        ),
        (
            "assistant",
            "takd",
            {"takd": {"layers": None, "config": {**HUGE, "num_hidden_layers": 2}}},
            "the loss is nan",
        ),
        ("assisted_student", "takd", {"student": {"config": {**HUGE, "num_hidden_layers": 1}}}, "step 1: the loss is"),
        ("meta_student", "mse_kd", {"student": {"config": {**HUGE, "num_hidden_layers": 1}}}, "step 1: the loss is"),
    ],
)
def test_a_loss_that_is_no_number_names_the_step_and_the_way_out(
    made: Made, stage: str, method: str, sections: Mapping[str, object], message: str
) -> None:
    made.params(**sections)
    before = made.everything()
    ended = made.run(stage, *_SEEDED, *(("--method", method) if method else ()))
    refused(made, ended, f"{stage}: ", message, "lower")
    assert made.everything() == before


def rewritten(made: Made, name: str, factor: float) -> None:
    """Multiply the weights of a file, and let its stage's record say so: an output that is whole but unusable."""
    file = made.output(name)
    save_file({key: value * factor for key, value in load_file(file).items()}, file, {"format": "pt"})
    record = next(folder for folder in file.parents if (folder / "run.json").exists()) / "run.json"
    content = json.loads(record.read_text())
    del content["files"]
    record.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("stage", "file", "message"),
    [
        ("curriculum", f"{OUTPUTS['student']}/model/model.safetensors", "curriculum"),
        (
            "meta_teacher",
            f"{OUTPUTS['student']}/model/model.safetensors",
            "meta-teacher, epoch 1, step 1: the loss is nan",
        ),
        ("signals", f"{OUTPUTS['teacher']}/model/model.safetensors", "hold NaN or infinity"),
        (
            "evaluate",
            f"{OUTPUTS['curriculum']}/model/model.safetensors",
            "are not finite ([nan, nan]): the model has diverged",
        ),
    ],
)
def test_a_network_that_says_no_numbers_any_more_is_one_line(made: Made, stage: str, file: str, message: str) -> None:
    rewritten(made, file, 1e38)
    before = made.everything()
    refused(made, made.run(stage), f"{stage}: ", message)
    assert made.everything() == before


@pytest.mark.parametrize(("clip_norm", "message"), [(1.0, "the norm of the gradient is"), (None, "the loss is nan")])
def test_an_infinite_gradient_of_a_finite_loss_stops_the_training(clip_norm: float | None, message: str) -> None:
    network, _ = networks()
    rows = splits()

    def loss(outputs: Outputs, batch: object) -> dict[str, torch.Tensor]:
        return {"loss": (outputs.logits - outputs.logits.detach()).abs().sqrt().sum()}  # 0, and its slope is not

    with pytest.raises(Diverged, match=rf"epoch 1/2, step \d: {message}.*lower the learning rate"):
        train(
            network,
            rows.train,
            rows.selection,
            TARGET,
            lambda epoch: loss,
            replace(settings(epochs=2), clip_norm=clip_norm),
            accelerator=accelerator(),
        )


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_half_precision_finds_it_as_well(made: Made, precision: str) -> None:
    made.params(precision=precision, teacher={"config": HUGE}, methods=["finetune"])
    AcceleratorState._reset_state(reset_partial_state=True)  # stages that other tests ran here had the other precision
    try:
        refused(made, made.run("teacher"), "teacher reviews 1, epoch 1/1, step 1: the loss is")
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


# Memory of a process that has torch loaded, and 900 MB more.
LIMIT = "ulimit -v $(( 900000 + $({python} -c \"import re,torch,transformers,accelerate;print(re.search(r'VmSize:\\s+(\\d+)', open('/proc/self/status').read())[1])\") ))"


@pytest.mark.slow
def test_memory_that_runs_out_names_the_keys_and_one_of_them_helps(made: Made) -> None:
    wide = {**NETWORK, "intermediate_size": 200_000}
    made.params(teacher={"config": wide, "batch_size": 64, "epochs": 1}, split={"max_length": 32})
    before = made.everything()
    ended = made.run_apart("teacher", limit=LIMIT.format(python=sys.executable))
    refused(made, ended, "teacher: out of memory", "lower teacher.batch_size (64)", "evaluate.batch_size (64)")
    assert made.everything() == before


def test_memory_that_no_machine_has_is_one_line(made: Made) -> None:
    made.params(evaluate={"latency_batch": 1_000_000_000})
    before = made.everything()
    refused(made, made.run("evaluate"), "evaluate: out of memory", "evaluate.latency_batch (1000000000)")
    assert made.everything() == before


def test_a_gpu_that_is_full_names_the_keys_and_what_was_asked_for(made: Made) -> None:
    error = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.25 GiB. GPU 0 has a total capacity of 4 GiB"
    )
    said = no_memory(error, "student", load(made.root / "params.yaml"), "metadistil")
    assert said is not None
    assert (
        "out of memory (2.25 GiB more were asked for); lower student.batch_size (32), metadistil.quiz_batches (1)"
        in said
    )
    assert (
        no_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "student", load(made.root / "params.yaml"))
        is None
    )


@pytest.mark.parametrize("probe", ["selection", "exam"])
@pytest.mark.parametrize("share", [0.02, 0.05])
def test_a_quiz_split_of_a_few_rows_trains_or_is_refused_in_one_line(made: Made, share: float, probe: str) -> None:
    shutil.rmtree(made.output())
    made.params(split={"quiz": share}, curriculum={"probe": probe})
    for stage in ("source", "split", "teacher", "signals", "student", "meta_teacher"):
        ended = made.run(stage)
        assert ended.status == 0, ended.errors
    rows = made.json(*OUTPUTS["split"].split("/"), "metrics.json")["rows"]
    assert isinstance(rows, dict) and rows["quiz"] < 8, "fewer than a batch"
    ended = made.run("curriculum")
    if ended.status:
        refused(made, ended, "curriculum: ", "split.quiz", "probe")
    assert ended.status == (2 if rows["quiz"] == 1 and probe == "exam" else 0), ended.errors
