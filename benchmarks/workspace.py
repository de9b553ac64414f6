"""A folder in which the stages of RTE and MRPC run at the targets' sizes: 6 and 3 layers of 384, float32, one thread.

The rows are those of a folder that is named, or made-up words in rows as long as real ones.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks.length_table import ROWS, draw_lengths
from benchmarks.stages_here import link_data, run_here, write_params
from data.problems import Problems
from data.raw_files import read_raw
from data.tokens import TokenSplit, open_split
from models.classifier import Classifier
from models.heads import HeadSpec
from models.initialise import from_config
from models.store import save_model
from models.tokenizer import build_word_tokenizer, save_tokenizer
from outputs import read_record
from records.prepared import SplitManifest

VOCABULARY = 30522
HIDDEN = 384
LAYERS = {"teacher": 6, "student": 3}
DATASETS = ("rte", "mrpc")
SEED = 1
HEADS = {
    name: HeadSpec(name, "pair", labels)
    for name, labels in (("rte", ("entailment", "not_entailment")), ("mrpc", ("not_equivalent", "equivalent")))
}


@dataclass(frozen=True)
class RealRows:
    """A folder with rte/ and mrpc/ in GLUE's fields, and one with the tokenizer that they are read with."""

    folder: Path
    tokenizer: Path


@dataclass(frozen=True)
class Workspace:
    """Tokenised RTE and MRPC; `said` describes the source of their rows."""

    folder: Path
    said: str

    def split(self, dataset: str, name: str) -> TokenSplit:
        """A tokenised split."""
        return open_split(self.folder / "outputs" / "split" / dataset / "tokens", name)

    def stage(self, name: str, dataset: str = "rte", **options: str | int) -> str:
        """Run a stage in this process."""
        return run_here(self.folder, name, dataset=dataset, **options)


def make_workspace(folder: Path, real: RealRows | None, *, share: float = 1.0, **changes: object) -> Workspace:
    """Write rows and params.yaml, run source and split.

    Args:
        real: rows to use; None: rows of made-up words.
        share: of the rows that are used, from the first.
        changes: values of params.yaml, dots of a key written as two underscores.
    """
    link_data(folder)
    for dataset in DATASETS:
        for split, count in zip(("train", "validation"), ROWS[dataset], strict=True):
            rows = _made_rows(dataset, count) if real is None else _rows_of(real.folder / dataset, split)
            path = folder / "rows" / dataset / f"{split}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = rows[: round(share * len(rows))]
            path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    tokenizer = real.tokenizer if real else folder / "tokenizer"
    if real is None:
        _made_tokenizer(tokenizer)
    _write_params(folder, tokenizer, changes)
    said = f"rows of {real.folder.name}/" if real else "made-up words, lengths drawn from benchmarks/length_table.py"
    workspace = Workspace(folder, said)
    for dataset in DATASETS:
        workspace.stage("source", dataset)
        workspace.stage("split", dataset)
    return workspace


def network(kind: str, dataset: str = "rte") -> Classifier:
    """A random teacher or student of the targets' size, in training mode."""
    start = from_config(_sizes(kind), HEADS[dataset], seed=LAYERS[kind], vocab_size=VOCABULARY, pad_token_id=0)
    return start.classifier.train()


def _sizes(kind: str) -> dict[str, str | int]:
    layers = {"num_hidden_layers": LAYERS[kind], "num_attention_heads": 12}
    return {"model_type": "bert", "hidden_size": HIDDEN, "intermediate_size": 4 * HIDDEN, **layers}


def save_network(workspace: Workspace, model: Classifier, *place: str) -> None:
    """Save a network as the output of a stage, below outputs/."""
    tokens = workspace.folder / "outputs" / "split" / model.dataset / "tokens"
    target = workspace.folder.joinpath("outputs", *place, "model")
    target.parent.mkdir(parents=True, exist_ok=True)
    save_model(
        target,
        model,
        tokenizer_folder=tokens / "tokenizer",
        tokenizer_fingerprint=read_record(SplitManifest, tokens).tokenizer_fingerprint,
    )


def _rows_of(folder: Path, split: str) -> list[dict[str, object]]:
    """A file's rows, labelled by number."""
    found = [path for end in ("jsonl", "jsonl.gz") if (path := folder / f"{split}.{end}").is_file()]
    if not found:
        raise ValueError(f"{folder}: no {split}.jsonl; --rows names a folder with rte/ and mrpc/ in GLUE's fields")
    problems = Problems(folder.name)
    rows = [dict(row) for _, row in read_raw(found[0], problems)]
    problems.raise_if_any()
    return rows


def _made_rows(dataset: str, count: int) -> list[dict[str, object]]:
    draw = random.Random(0)  # noqa: S311
    rows: list[dict[str, object]] = []
    for number, lengths in enumerate(draw_lengths(dataset, count, seed=0)):
        first, second = (" ".join(f"w{draw.randrange(VOCABULARY - 5)}" for _ in range(length)) for length in lengths)
        rows.append({"sentence1": first, "sentence2": second, "label": number % 2, "idx": number})
    return rows


def _made_tokenizer(folder: Path) -> None:
    tokenizer: Tokenizer = build_word_tokenizer([f"w{number}" for number in range(VOCABULARY - 5)])
    save_tokenizer(tokenizer, folder)
    (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")


def _write_params(folder: Path, tokenizer: Path, changes: dict[str, object]) -> None:
    given: dict[str, object] = {
        "benchmark": "glue",
        "datasets": list(DATASETS),
        "seeds": [SEED],
        "threads": 1,
        "source.folder": str(folder / "rows"),
        "split.tokenizer": str(tokenizer),
        "split.max_length": 128,
        "teacher.config": _sizes("teacher"),
        "student.config": _sizes("student"),
        "signals.batch_size": 32,
        "evaluate.batch_size": 32,
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    write_params(folder, given)
