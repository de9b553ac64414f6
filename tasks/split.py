"""split: the rows of one dataset as train, quiz, selection and dev, tokenised once.

    python -m tasks.split --dataset rte

Reads: outputs/source/<dataset>/rows. Writes: outputs/split/<dataset>/tokens (one Arrow file per split, the description,
a manifest of counts and hashes, the tokenizer), metrics.json, run.json.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from data.quickstart import vocabulary
from data.running.tokens import save_split, tokenize_split, tokenizer_fingerprint
from data.splits import make_splits
from data.stored_rows import read_source
from models.checkpoints import fetch
from models.errors import ModelError
from models.tokenizer import (
    build_word_tokenizer,
    load_tokenizer,
    save_tokenizer,
    vocabulary_size,
)
from models.tokenizer_files import CONFIG, contradictions, special_tokens, write_as_read
from stage_sections import Split
from tasks.running.layout import output_folder
from tasks.running.stage import Stage, run_stage

EMBEDDED = "quickstart"
MOSTLY_UNKNOWN = 0.2
"""The share of unknown tokens from which on a split warns."""


def split(stage: Stage) -> None:
    """Part the rows of one dataset and tokenise them."""
    given = stage.parameters.split
    rows = read_source(stage.read(output_folder("source", dataset=stage.dataset) / "rows"))
    spec = rows.spec
    folder = stage.folder / "tokens"
    folder.mkdir()
    tokenizer, special = _tokenizer(stage, folder / "tokenizer")
    splits = make_splits(
        spec,
        rows.rows["train"],
        {name: rows.rows[name] for name in spec.dev_sets if name in rows.rows},
        seed=given.seed,
        quiz=given.quiz,
        selection=given.selection_fraction,
        selection_minimum=given.selection_minimum,
        selection_maximum=given.selection_maximum,
        dev_fraction=given.dev_fraction,
        selection_on_dev=given.selection == "dev",
    )
    truncated: dict[str, int] = {}
    unknown: dict[str, float] = {}
    for name, part in splits.rows.items():
        table = tokenize_split(spec, part, tokenizer, given.max_length, special["pad_token"])
        truncated[name] = json.loads(table.schema.metadata[b"distilflow"])["truncated"]
        unknown[name] = _share(table, special.get("unk_token"), set(special.values()))
        save_split(folder, name, table)
    manifest = {
        **splits.manifest,
        "max_length": given.max_length,
        "truncated": truncated,
        "unknown_tokens": unknown,
        "vocabulary": vocabulary_size(tokenizer),
        "tokenizer_fingerprint": tokenizer_fingerprint(tokenizer),
    }
    (folder / "spec.json").write_text(json.dumps(spec.to_json(), indent=2) + "\n", encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    counts = {name: len(part) for name, part in splits.rows.items()}
    stage.write_metrics({"rows": counts, "dropped_equal_to_dev": splits.manifest["dropped_equal_to_dev"]})
    stage.headline = (
        ", ".join(f"{name} {count}" for name, count in counts.items()) + " rows" + _remarks(manifest, given)
    )


def _remarks(manifest: Mapping[str, object], given: Split) -> str:
    """What a person should know of the rows, for the final line; nothing of what did not happen."""
    truncated, unknown = cast(dict[str, int], manifest["truncated"]), cast(dict[str, float], manifest["unknown_tokens"])
    counted = {
        "train rows equal to dev rows dropped": manifest["dropped_equal_to_dev"],
        "repetitions of an input": manifest["duplicate_inputs"],
        "inputs with contradicting labels": manifest["inputs_with_two_labels"],
        f"rows cut at {given.max_length} tokens": sum(truncated.values()),
    }
    said = [f"{count} {what}" for what, count in counted.items() if count]
    if unknown["train"] >= MOSTLY_UNKNOWN:
        said.append(
            f"WARNING: {unknown['train']:.0%} of train's tokens are unknown to the tokenizer ({given.tokenizer}): set "
            "split.tokenizer to that of a checkpoint which knows such texts"
        )
    return "".join(f"; {part}" for part in said)


def _share(table: pa.Table, unknown: int | None, special: set[int]) -> float:
    """Unknown tokens among those that texts became: all but padding, [CLS] and the like."""
    ids = [part.flatten().flatten().to_numpy() for part in table.column("input_ids").chunks if len(part)]
    if unknown is None or not ids:
        return 0.0
    tokens = np.concatenate(ids)
    texts = (tokens == unknown) | ~np.isin(tokens, sorted(special))
    return round(float((tokens == unknown).sum() / max(1, texts.sum())), 4)


def _tokenizer(stage: Stage, folder: Path) -> tuple[Tokenizer, dict[str, int]]:
    """The tokenizer, and its special tokens' ids by their names; its files are put into `folder` as a model folder's."""
    given = stage.parameters
    if given.split.tokenizer == EMBEDDED:
        tokenizer = build_word_tokenizer(vocabulary())
        save_tokenizer(tokenizer, folder, max_length=given.split.max_length)
        return tokenizer, _ids(tokenizer, special_tokens(folder, tokenizer))
    found = fetch(given.split.tokenizer, [Path(path) for path in given.models.search], given.models.revision)
    tokenizer = load_tokenizer(str(found))
    for note in contradictions(found, tokenizer):
        stage.say(f"WARNING: {note}")
    special = special_tokens(found, tokenizer)
    if "pad_token" not in special:
        raise ModelError(
            f"{found}: the tokenizer has no padding token (pad_token) in {CONFIG} that is one of its tokens; name it there"
        )
    write_as_read(tokenizer, special, folder, max_length=given.split.max_length)
    return tokenizer, _ids(tokenizer, special)


def _ids(tokenizer: Tokenizer, special: Mapping[str, str]) -> dict[str, int]:
    ids = tokenizer.get_vocab()
    return {role: ids[token] for role, token in special.items()}


if __name__ == "__main__":
    run_stage("split", split)
