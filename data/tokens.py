"""Tokenisation of rows: one Arrow file per split, opened memory-mapped.

Every row holds a list of candidates (one, but for a choice), each a list of ids; so the file describes itself, and
opening it reads nothing but the offsets that are asked for.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import pyarrow as pa
from tokenizers import Encoding, Tokenizer

from data.atomic_files import whole_file
from data.problems import shown
from data.records import DatasetSpec, Row
from data.rendering import TextPair, Truncate
from errors import UserError
from kinds import KINDS

CHUNK = 2000
"""Rows tokenised at a time; bounds the memory of the encodings."""

STRATEGIES: dict[Truncate, str] = {"longest": "longest_first", "first": "only_first", "second": "only_second"}
PAD_TOKENS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>")
"""Padding tokens of the known families, tried where the tokenizer does not name its own."""


class Header(TypedDict):
    """Metadata of the Arrow file, as JSON in its schema."""

    dataset: str
    choices: int
    pad_id: int
    max_length: int
    truncated: int
    tokenizer: str


@dataclass(frozen=True)
class TokenSplit:
    """One tokenised split of N rows with K candidates each."""

    row_ids: list[str]
    labels: np.ndarray
    """(N,) int64, float32 for regression; -1 without a label."""
    lengths: np.ndarray
    """(N,) tokens of the row's longest candidate."""
    header: Header
    tokens: np.ndarray
    """(T,) all ids, concatenated."""
    types: np.ndarray | None
    """(T,) token types (which of the two texts), None where all are 0."""
    offsets: np.ndarray
    """(N*K+1,) start of candidate i*K+k in `tokens`."""

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def choices(self) -> int:
        """Candidates per row, K."""
        return self.header["choices"]

    @property
    def pad_id(self) -> int:
        """The padding id."""
        return self.header["pad_id"]

    @property
    def truncated(self) -> int:
        """Number of rows longer than the maximum."""
        return self.header["truncated"]

    def input_ids(self, i: int, k: int = 0) -> np.ndarray:
        """(L,) ids of candidate k of row i."""
        return self.tokens[self._span(i, k)]

    def token_types(self, i: int, k: int = 0) -> np.ndarray | None:
        """(L,) token types of candidate k of row i, or None where this split has none."""
        return None if self.types is None else self.types[self._span(i, k)]

    def _span(self, i: int, k: int) -> slice:
        candidate = i * self.choices + k
        return slice(self.offsets[candidate], self.offsets[candidate + 1])


def tokenize_split(
    spec: DatasetSpec, rows: Sequence[Row], tokenizer: Tokenizer, max_length: int, pad_id: int | None = None
) -> pa.Table:
    """Tokenise the rows of one split with the tokenizer's own special tokens; its settings are left unchanged.

    Raises UserError where a text that must not be cut is longer than `max_length`, or no padding token is known.
    """
    own = _prepared(spec, tokenizer, max_length)
    parts, truncated = [_chunk(spec, [], [])], 0
    for start in range(0, len(rows), CHUNK):
        chunk = list(rows[start : start + CHUNK])
        encodings = _encode(spec, own, [text for row in chunk for text in row.texts(spec)], chunk, max_length)
        truncated += sum(
            any(encoding.overflowing for encoding in encodings[first : first + spec.choices])
            for first in range(0, len(encodings), spec.choices)
        )
        parts.append(_chunk(spec, chunk, encodings))
    header = Header(
        dataset=spec.name,
        choices=spec.choices,
        pad_id=padding_id(tokenizer) if pad_id is None else pad_id,
        max_length=max_length,
        truncated=truncated,
        tokenizer=tokenizer_fingerprint(tokenizer),
    )
    table = pa.concat_tables(parts)
    types = table.column("token_type_ids").chunks
    if not any(part.flatten().flatten().to_numpy().any() for part in types if len(part)):
        table = table.drop_columns("token_type_ids")
    return table.replace_schema_metadata({"distilflow": json.dumps(header, sort_keys=True)})


def save_split(folder: Path, name: str, table: pa.Table) -> Path:
    """Write `<folder>/<name>.arrow`, whole or not at all."""
    path = folder / f"{name}.arrow"
    with whole_file(path) as file, pa.ipc.new_file(file, table.schema) as writer:
        for batch in table.combine_chunks().to_batches():  # one batch: columns lie in one piece
            writer.write_batch(batch)
    return path


def open_split(folder: Path, name: str) -> TokenSplit:
    """Open `<folder>/<name>.arrow` memory-mapped. Raises UserError if it is missing or damaged."""
    path = folder / f"{name}.arrow"
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        header = cast(Header, json.loads((table.schema.metadata or {})[b"distilflow"]))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise UserError(
            f"{path} is not a tokenised split ({shown(str(error), 120)}); run the split stage again"
        ) from error
    candidates = _candidates(table.column("input_ids"), pa.list_(pa.int32()))
    offsets = candidates.offsets.to_numpy()
    kinds = table.column("token_type_ids") if "token_type_ids" in table.column_names else None
    return TokenSplit(
        row_ids=table.column("row_id").to_pylist(),
        labels=table.column("label").to_numpy(),
        lengths=np.diff(offsets).reshape(-1, header["choices"]).max(axis=1, initial=0).astype(np.int64),
        header=header,
        tokens=candidates.values.to_numpy(),
        types=None if kinds is None else _candidates(kinds, pa.list_(pa.int8())).values.to_numpy(),
        offsets=offsets,
    )


def joined(splits: Sequence[TokenSplit]) -> TokenSplit:
    """Concatenate several splits of one dataset; the ids of more than one are copied."""
    if len(splits) == 1:
        return splits[0]
    first, typed = splits[0], any(split.types is not None for split in splits)
    types = [np.zeros(len(split.tokens), np.int8) if split.types is None else split.types for split in splits]
    starts = np.cumsum([0, *(len(split.tokens) for split in splits)])
    return TokenSplit(
        row_ids=[row for split in splits for row in split.row_ids],
        labels=np.concatenate([split.labels for split in splits]),
        lengths=np.concatenate([split.lengths for split in splits]),
        header={**first.header, "truncated": sum(split.truncated for split in splits)},
        tokens=np.concatenate([split.tokens for split in splits]),
        types=np.concatenate(types) if typed else None,
        offsets=np.concatenate(
            [split.offsets[:-1] + start for split, start in zip(splits, starts, strict=False)] + [starts[-1:]]
        ),
    )


def tokenizer_fingerprint(tokenizer: Tokenizer) -> str:
    """sha256 of everything that maps text to ids: vocabulary, normaliser, pre-tokeniser, post-processor.

    Truncation and padding are settings of a call and not of the tokenizer: they do not count. The post-processor
    counts by what it does to a text and to a pair, because libraries write one and the same in different ways.
    """
    parts = json.loads(tokenizer.to_str())
    kept = {name: parts.get(name) for name in ("model", "added_tokens", "normalizer", "pre_tokenizer")}
    own = Tokenizer.from_str(tokenizer.to_str())
    own.no_padding()
    own.no_truncation()
    probes = [own.encode("a"), own.encode("a", "b")]
    kept["post_processor"] = [[probe.ids, probe.type_ids] for probe in probes]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _prepared(spec: DatasetSpec, tokenizer: Tokenizer, max_length: int) -> Tokenizer:
    """A copy that truncates as the dataset allows, without padding."""
    own = Tokenizer.from_str(tokenizer.to_str())
    own.no_padding()
    paired = len(spec.render["text"]) + len(spec.render["choices"]) > 1
    special = own.num_special_tokens_to_add(is_pair=paired)
    if max_length <= special:
        raise UserError(f"max_length is {max_length}, but the tokenizer itself adds {special} special tokens")
    own.enable_truncation(max_length, strategy=STRATEGIES[spec.render["truncate"]])
    return own


def _encode(
    spec: DatasetSpec, tokenizer: Tokenizer, texts: list[TextPair], rows: Sequence[Row], max_length: int
) -> list[Encoding]:
    """Encode all texts (K per row), after checking those that must not be cut."""
    kept = {"longest": None, "first": 1, "second": 0}[spec.render["truncate"]]
    if kept is not None:
        room = max_length - tokenizer.num_special_tokens_to_add(is_pair=True) - 1
        whole = tokenizer.encode_batch_fast([pair[kept] or "" for pair in texts], add_special_tokens=False)
        for i, encoding in enumerate(whole):
            length = len(encoding) + sum(len(rest) for rest in encoding.overflowing)
            if length > room:
                row = rows[i // spec.choices]
                raise UserError(
                    f"dataset {spec.name}: row {row.id}: the {('first', 'second')[kept]} text has {length} "
                    f"tokens and must not be cut (truncate: {spec.render['truncate']}), but max_length "
                    f"{max_length} leaves room for {room}; raise max_length or set truncate: longest"
                )
    return tokenizer.encode_batch_fast([first if second is None else (first, second) for first, second in texts])


def padding_id(tokenizer: Tokenizer) -> int:
    """The tokenizer's padding id, else that of a known padding token."""
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"])
    for token in PAD_TOKENS:
        found = tokenizer.token_to_id(token)
        if found is not None:
            return found
    raise UserError(f"the tokenizer has no padding token (none set, none of {', '.join(PAD_TOKENS)}); give pad_id")


def _chunk(spec: DatasetSpec, rows: Sequence[Row], encodings: Sequence[Encoding]) -> pa.Table:
    """Convert some rows to an Arrow table, which takes less memory than their encodings."""
    number = pa.int64() if KINDS[spec.kind].has_classes else pa.float32()
    ids, types = ([getattr(encoding, name) for encoding in encodings] for name in ("ids", "type_ids"))
    return pa.table(
        {
            "row_id": pa.array([row.id for row in rows], pa.string()),
            "label": pa.array([row.label for row in rows], number),
            "input_ids": _nested(ids, pa.int32(), spec.choices),
            "token_type_ids": _nested(types, pa.int8(), spec.choices),
        }
    )


def _nested(candidates: Sequence[Sequence[int]], kind: pa.DataType, choices: int) -> pa.ListArray:
    """Lists of `choices` lists each."""
    inner = pa.array(candidates, pa.list_(kind))
    return pa.ListArray.from_arrays(pa.array(range(0, len(candidates) + 1, choices), pa.int32()), inner)


def _candidates(column: pa.ChunkedArray, inner: pa.DataType) -> pa.ListArray:
    """The candidates of all rows, concatenated, without copying."""
    if column.num_chunks == 0:
        return cast(pa.ListArray, pa.array([], inner))
    return cast(pa.ListArray, column.chunk(0).values)
