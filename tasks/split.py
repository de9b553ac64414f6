"""split: the rows of one dataset as train, quiz, selection and dev, tokenised once.

    python -m tasks.split --dataset rte

Reads: outputs/source/<dataset>/rows. Writes: outputs/split/<dataset>/tokens (one Arrow file per split, the description,
a manifest of counts and hashes, the tokenizer), metrics.json, run.json.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer

from config.stages import Split
from data.quickstart import vocabulary
from data.split_remarks import COUNTED, Unknown, few_dev_rows, mostly_unknown, points_per_row, remarks, unknown_tokens
from data.splits import Shares, make_splits
from data.stored_rows import read_source
from data.tokens import save_split, tokenize_split, tokenizer_fingerprint
from errors import UserError
from models.checkpoints import fetch
from models.tokenizer import (
    build_word_tokenizer,
    load_tokenizer,
    save_tokenizer,
    vocabulary_size,
)
from models.tokenizer_files import CONFIG, contradictions, special_tokens, write_as_read
from outputs import json_text, output_folder
from records.prepared import SplitManifest, SplitMetrics, UnknownTokens
from tasks.runtime.stage import Stage, run_stage

EMBEDDED = "quickstart"


def split(stage: Stage) -> None:
    """Split the rows of one dataset and tokenise them."""
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
        shares=shares_of(given),
        selection_on_dev=given.selection == "dev",
    )
    truncated: dict[str, int] = {}
    unknown: dict[str, Unknown] = {}
    for name, part in splits.rows.items():
        table = tokenize_split(spec, part, tokenizer, given.max_length, special["pad_token"])
        truncated[name] = json.loads(table.schema.metadata[b"distilflow"])["truncated"]
        unknown[name] = unknown_tokens(table, special.get("unk_token"), set(special.values()))
        save_split(folder, name, table)
    manifest = SplitManifest.model_validate(
        {
            **splits.manifest,
            "max_length": given.max_length,
            "truncated": truncated,
            "unknown_tokens": {name: part.share for name, part in unknown.items()},
            "vocabulary": vocabulary_size(tokenizer),
            "tokenizer_fingerprint": tokenizer_fingerprint(tokenizer),
        }
    )
    (folder / "spec.json").write_text(json_text(spec.to_json()), encoding="utf-8")
    (folder / manifest.FILE).write_text(json_text(manifest.tree()), encoding="utf-8")
    rows = {name: len(part) for name, part in splits.rows.items()}
    said = [
        *few_dev_rows(spec, rows, held_out=manifest.dev_held_out),
        *mostly_unknown(unknown["train"], given.tokenizer),
    ]
    for warning in said:
        stage.say(f"WARNING: {warning}")
    stage.write(
        SplitMetrics(
            rows=rows,
            **{name: getattr(manifest, name) for name in COUNTED},
            unknown_tokens={name: UnknownTokens(count=part.count, of=part.of) for name, part in unknown.items()},
            points_per_row=points_per_row(spec, rows),
            warnings=tuple(said),
        )
    )
    stage.headline = (
        ", ".join(f"{name} {count}" for name, count in rows.items())
        + " rows"
        + remarks(splits.manifest, sum(truncated.values()), given.max_length, unknown)
    )


def shares_of(given: Split) -> Shares:
    """The sizes of the splits, as the section has them."""
    return Shares(
        quiz=given.quiz,
        selection=given.selection_fraction,
        selection_minimum=given.selection_minimum,
        selection_maximum=given.selection_maximum,
        dev_fraction=given.dev_fraction,
    )


def _tokenizer(stage: Stage, folder: Path) -> tuple[Tokenizer, dict[str, int]]:
    """The tokenizer, and its special tokens' ids by name; its files are written to `folder`."""
    given = stage.parameters
    if given.split.tokenizer == EMBEDDED:
        tokenizer = build_word_tokenizer(vocabulary())
        save_tokenizer(tokenizer, folder, max_length=given.split.max_length)
        return tokenizer, _ids(tokenizer, special_tokens(folder, tokenizer))
    found = fetch(given.split.tokenizer, given.models.folders, given.models.revision)
    tokenizer = load_tokenizer(str(found))
    for note in contradictions(found, tokenizer):
        stage.say(f"WARNING: {note}")
    special = special_tokens(found, tokenizer)
    if "pad_token" not in special:
        raise UserError(
            f"{found}: the tokenizer has no padding token (pad_token) in {CONFIG} that is one of its tokens; name it there"
        )
    write_as_read(tokenizer, special, folder, max_length=given.split.max_length)
    return tokenizer, _ids(tokenizer, special)


def _ids(tokenizer: Tokenizer, special: Mapping[str, str]) -> dict[str, int]:
    ids = tokenizer.get_vocab()
    return {role: ids[token] for role, token in special.items()}


if __name__ == "__main__":
    run_stage("split", split)
