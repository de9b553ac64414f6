"""Checkpoints as people bring them: what does not fit is one line and status 2, what is read is read in one way."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from stages import Ended, merged, run_stage_here, write_params
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from models.tokenizer import build_word_tokenizer, save_tokenizer

WORDS = [f"w{first}{second}" for first in "abcde" for second in "abcdefghij"]
VOCABULARY = 5 + len(WORDS)
Spoil = Callable[[Path], object]
STAGES = {
    "source": (),
    "split": (),
    "teacher": ("--seed", "1"),
    "signals": ("--seed", "1"),
    "student": ("--seed", "1", "--method", "finetune"),
}


def network(family: str) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"max_position_embeddings": 32, "pad_token_id": 0}
    sizes |= {"ffn_dim": 16, "word_embed_proj_dim": 16} if family == "opt" else {"intermediate_size": 16}
    return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(family, **sizes))


def resized(checkpoint: Path, target: Path, size: int) -> None:
    """Save the checkpoint with so many embeddings."""
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    model.resize_token_embeddings(size)
    model.save_pretrained(target)


def made(folder: Path, family: str = "bert", **params: object) -> Path:
    """A folder with params.yaml, 80 rows, and a checkpoint that fits: its path."""
    checkpoint, own = folder / "checkpoint", folder / "data" / "reviews"
    save_tokenizer(build_word_tokenizer(WORDS), checkpoint, max_length=32)
    network(family).save_pretrained(checkpoint)
    own.mkdir(parents=True)
    (own / "dataset.yaml").write_text("kind: single\ntext: text\nlabels: [bad, good]\n")
    rows = [
        {"text": f"{WORDS[n % 50]} {WORDS[n * 7 % 50]}" + f" {WORDS[n % 2]}" * (1 + n % 5), "label": n % 2}
        for n in range(80)
    ]
    (own / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given: dict[str, object] = {
        "benchmark": "own",
        "datasets": ["reviews"],
        "methods": ["finetune"],
        "seeds": [1],
        "source": {"folder": "data"},
        "split": {"selection_minimum": 8, "tokenizer": "checkpoint", "max_length": 16},
        "teacher": {"epochs": 1, "config": None, "checkpoint": "checkpoint"},
        "student": {"epochs": 1, "init": "teacher_layers", "layers": 1, "config": None},
    }
    write_params(folder, **merged(given, params))
    return checkpoint


def run(folder: Path, last: str) -> Ended:
    """The stages up to `last`, or up to the first that is refused."""
    ended = Ended(0, "", "")
    for stage, options in STAGES.items():
        ended = run_stage_here(folder, stage, "--dataset", "reviews", *options)
        if ended.status or stage == last:
            break
    return ended


def refused(ended: Ended, stage: str, *parts: str) -> None:
    """One line of one stage, with these parts."""
    assert ended.status == 2, ended
    assert ended.output == ""
    line = ended.errors.splitlines()[-1]
    assert line.startswith(f"{stage}: "), ended.errors
    for part in parts:
        assert part in line


def json_file(name: str, **changes: object) -> Spoil:
    """Change keys of a JSON file of the checkpoint."""

    def spoil(checkpoint: Path) -> None:
        file = checkpoint / name
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return spoil


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Spoil:
    """Change the checkpoint's weights."""

    def spoil(checkpoint: Path) -> None:
        file = checkpoint / "model.safetensors"
        save_file(change(load_file(file)), file, metadata={"format": "pt"})

    return spoil


def tokens(change: Callable[[Tokenizer], object]) -> Spoil:
    """Change the checkpoint's tokenizer.json."""

    def spoil(checkpoint: Path) -> None:
        tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        change(tokenizer)
        tokenizer.save(str(checkpoint / "tokenizer.json"))

    return spoil


def with_a_gap(checkpoint: Path) -> None:
    """A tokenizer with as many tokens as embeddings, the last of which has a higher id."""
    file = checkpoint / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"]["beyond"] = content["model"]["vocab"].pop(WORDS[-1]) + 5
    file.write_text(json.dumps(content))


def in_shards(checkpoint: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    (checkpoint / "model.safetensors").unlink()
    model.save_pretrained(checkpoint, max_shard_size="6KB")


def without_a_shard(checkpoint: Path) -> None:
    in_shards(checkpoint)
    sorted(checkpoint.glob("model-*.safetensors"))[1].unlink()


def padded_later(checkpoint: Path) -> None:
    """An OPT whose tokenizer got a padding token of its own, with resized embeddings."""
    tokens(lambda tokenizer: tokenizer.add_special_tokens(["<fill>"]))(checkpoint)
    json_file("tokenizer_config.json", pad_token="<fill>")(checkpoint)
    resized(checkpoint, checkpoint, VOCABULARY + 1)


@pytest.mark.parametrize(
    ("family", "spoil", "parts"),
    [
        ("opt", padded_later, [f"the tokenizer pads with {VOCABULARY}, OPT expects 0"]),
        ("roberta", json_file("config.json", pad_token_id=3), ["the tokenizer pads with 0, RoBERTa expects 3"]),
        ("roberta", json_file("config.json", pad_token_id=None), ["RoBERTa expects None"]),
        ("bert", tokens(lambda own: own.add_tokens(["<url>"])), [f"the tokenizer has {VOCABULARY + 1} tokens, the model's embeddings only {VOCABULARY}"]),
        ("bert", with_a_gap, [f"the tokenizer has {VOCABULARY + 5} tokens"]),
        ("bert", json_file("config.json", num_hidden_layers=1), ["config.json has 1 layers, and the weights more", "encoder.layer.1"]),
        ("bert", json_file("config.json", pad_token_id=999), ["cannot be loaded (Padding_idx"]),
        ("bert", json_file("config.json", quantization_config={"quant_method": "bitsandbytes"}), ["quantization_config"]),
        ("bert", weights(lambda own: {name: value.to(torch.int8) for name, value in own.items()}), ["numbers of type I8", "quantised"]),
        ("bert", weights(lambda own: {name: value * float("nan") for name, value in own.items()}), ["holds NaN or infinity"]),
        ("bert", weights(lambda own: {name: (value * 1e7).half() for name, value in own.items()}), ["holds NaN or infinity"]),
        ("bert", weights(lambda own: {f"module.{name}": value for name, value in own.items()}), ["weights missing"]),
        ("bert", without_a_shard, ["model-00002-of-", "missing"]),
    ],
)  # fmt: skip
def test_a_checkpoint_that_does_not_fit_is_refused_in_the_teacher_stage(
    family: str, spoil: Spoil, parts: list[str], tmp_path: Path
) -> None:
    spoil(made(tmp_path, family))
    refused(run(tmp_path, "teacher"), "teacher", *parts)


def test_a_supplied_teacher_is_checked_too(tmp_path: Path) -> None:
    checkpoint = made(tmp_path, teacher={"from": "checkpoint", "checkpoint": None})
    tokens(lambda own: own.add_tokens(["<url>"]))(checkpoint)
    refused(run(tmp_path, "teacher"), "teacher", f"the tokenizer has {VOCABULARY + 1} tokens")


def test_a_students_own_checkpoint_is_checked_too(tmp_path: Path) -> None:
    checkpoint = made(tmp_path, student={"init": "checkpoint", "checkpoint": "short", "layers": None})
    shutil.copytree(checkpoint, tmp_path / "short")
    resized(checkpoint, tmp_path / "short", VOCABULARY - 3)
    refused(run(tmp_path, "student"), "student", f"the model's embeddings only {VOCABULARY - 3}")


@pytest.mark.parametrize(
    "spoil",
    [
        in_shards,
        weights(lambda own: {name: value.bfloat16() for name, value in own.items()}),
        weights(lambda own: {**own, "cls.predictions.bias": torch.zeros(3)}),
        json_file(
            "config.json", id2label={str(n): f"L{n}" for n in range(2)}, problem_type="multi_label_classification"
        ),
        json_file("tokenizer_config.json", model_max_length=4),
        tokens(lambda own: (own.enable_truncation(3), own.enable_padding(length=30))),
    ],
    ids=["shards", "bf16", "another head", "another task", "a shorter default", "cuts and pads itself"],
)
def test_a_checkpoint_that_fits_makes_a_student(spoil: Spoil, tmp_path: Path) -> None:
    spoil(made(tmp_path))
    ended = run(tmp_path, "student")
    assert ended.status == 0, ended.errors


TEXTS = ("WAA wab", "waa, w\u00e1b", "waa \u4e2d wab", " ".join(WORDS))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"do_lower_case": False, "tokenizer_class": "BertTokenizer"}, "do_lower_case is false"),
        ({"strip_accents": False, "tokenizer_class": "BertTokenizer"}, "strip_accents is false"),
        ({"tokenize_chinese_chars": False, "tokenizer_class": "BertTokenizer"}, "tokenize_chinese_chars is false"),
        ({"truncation_side": "left", "padding_side": "left"}, "truncation_side is left"),
        ({"added_tokens_decoder": {"70": {"content": "wab", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}}}, ""),
        ({"pad_token": "[ELSE]", "tokenizer_class": "BertTokenizer"}, ""),
    ],
)  # fmt: skip
def test_the_folder_that_is_written_reads_a_text_as_the_pipeline_does(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    checkpoint = made(tmp_path)
    (checkpoint / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    json_file("tokenizer_config.json", **change)(checkpoint)
    assert run(tmp_path, "source").status == 0
    ended = run_stage_here(tmp_path, "split", "--dataset", "reviews")
    assert ended.status == 0, ended.errors
    of_tokenizer = [line for line in ended.errors.splitlines() if "measures little" not in line]  # twelve dev rows
    assert said in ended.errors and bool(said) == bool(of_tokenizer), ended.errors
    assert run_stage_here(tmp_path, "teacher", "--dataset", "reviews", "--seed", "1").status == 0
    folder = tmp_path / "outputs" / "teacher" / "reviews" / "1" / "model"
    stock, own = AutoTokenizer.from_pretrained(folder), Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert stock is not None
    assert len(stock) == VOCABULARY
    own.enable_truncation(16)
    own.enable_padding(pad_id=0, pad_token="[PAD]")
    for texts in (list(TEXTS), [(text, TEXTS[0]) for text in TEXTS]):
        pairs = [text for text in texts if isinstance(text, tuple)]
        given = ([first for first, _ in pairs], [second for _, second in pairs]) if pairs else (texts,)
        read = stock(*given, truncation=True, padding=True)
        wanted = own.encode_batch(texts)
        assert read["input_ids"] == [one.ids for one in wanted]
        assert read["attention_mask"] == [one.attention_mask for one in wanted]
        assert read["token_type_ids"] == [one.type_ids for one in wanted]


def test_a_padding_token_of_another_name_is_the_one_that_the_configuration_names(tmp_path: Path) -> None:
    checkpoint = made(tmp_path)
    file = checkpoint / "tokenizer.json"
    file.write_text(file.read_text().replace("[PAD]", "[FILL]"))
    refused(run(tmp_path, "split"), "split", "no padding token (pad_token) in tokenizer_config.json")
    json_file("tokenizer_config.json", pad_token="[FILL]")(checkpoint)
    ended = run(tmp_path, "student")
    assert ended.status == 0, ended.errors
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "outputs" / "teacher" / "reviews" / "1" / "model")
    assert tokenizer is not None
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("[FILL]", 0)


def test_a_teacher_of_other_tokens_is_not_asked_about_these(tmp_path: Path) -> None:
    checkpoint = made(tmp_path)
    assert run(tmp_path, "signals").status == 0
    save_tokenizer(build_word_tokenizer(WORDS[::-1]), checkpoint)
    assert run_stage_here(tmp_path, "split", "--dataset", "reviews").status == 0
    for stage in ("signals", "student"):
        ended = run_stage_here(tmp_path, stage, "--dataset", "reviews", *STAGES[stage])
        refused(ended, stage, "different tokenizers")
