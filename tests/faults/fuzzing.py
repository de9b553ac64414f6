"""Inputs of the fuzz tests: bytes, rows, descriptions and params files, near to good ones and far from them."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stages import ROOT

Value = TypeVar("Value")
NAMES = ("train.jsonl", "train.csv", "train.parquet", "train.jsonl.gz")
HANGS = timedelta(seconds=30)
DESCRIPTION: dict[str, object] = {
    "kind": "single",
    "text": "text",
    "label": "label",
    "labels": ["bad", "good"],
    "id": "id",
}
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def fuzz(strategy: st.SearchStrategy[Value], check: Callable[[Value], None], examples: int) -> None:
    """Feed so many examples to a check, always the same ones; one that takes longer than HANGS fails."""
    chosen = settings(
        max_examples=examples,
        derandomize=True,
        deadline=HANGS,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    chosen(given(strategy)(lambda value: check(value)))()


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 3),
    st.floats(),
    st.text(max_size=40),
    st.sampled_from(
        ["", " ", "\x00", "\ud800", "\n", "a\r\nb", "-1", "1.0", "nan", "1e999", "9" * 400, "=1+1", "good", "💥" * 9]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
columns = st.sampled_from(["text", "label", "id", "other", "", "distilflow_id"])
good_rows = st.builds(
    lambda number, text: {"id": f"r{number}", "text": text, "label": number % 2},
    st.integers(0, 500),
    st.text(min_size=1),
)
rows = st.lists(st.one_of(good_rows, st.dictionaries(columns, values, max_size=5)), max_size=40)


def as_file(name: str, content: list[dict[str, object]]) -> bytes:
    """Rows as a file of the format that the name says; what a format can't hold is written as text."""
    if name.endswith(".csv"):
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        header = list(dict.fromkeys(key for row in content for key in row))
        writer.writerows([header, *([row.get(key) for key in header] for row in content)])
        return text.getvalue().encode("utf-8", "surrogatepass")
    if name.endswith(".parquet"):
        return _parquet(content)
    lines = "\n".join(json.dumps(row) for row in content).encode()
    return gzip.compress(lines) if name.endswith(".gz") else lines


def _parquet(content: list[dict[str, object]]) -> bytes:
    file = io.BytesIO()
    keys = dict.fromkeys(key for row in content for key in row)
    try:
        table = pa.table({key: pa.array([row.get(key) for row in content]) for key in keys})
        pq.write_table(table, file)
    except (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError):
        file = io.BytesIO()
        shown = {key: pa.array([ascii(row.get(key)) for row in content]) for key in keys if key.isascii()}
        pq.write_table(pa.table(shown), file)
    return file.getvalue()


def spoiled(content: bytes, place: float, junk: bytes, length: int) -> bytes:
    """The same bytes with some of them replaced."""
    start = int(place * len(content))
    return content[:start] + junk + content[start + length :]


row_files = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.one_of(
            st.binary(max_size=400),
            st.text(max_size=200).map(lambda text: text.encode("utf-16", "surrogatepass")),
            rows.map(lambda content: as_file(name, content)),
            st.builds(
                spoiled,
                rows.map(lambda content: as_file(name, content)),
                st.floats(0, 1),
                st.binary(max_size=8),
                st.integers(0, 40),
            ),
            st.integers(1, 300_000).map(lambda size: as_file(name, [{"id": "1", "text": "x" * size, "label": 0}] * 3)),
        ),
    )
)
"""(file name, its bytes)"""
keys = (
    "kind",
    "text",
    "label",
    "labels",
    "range",
    "metrics",
    "id",
    "group",
    "mark",
    "truncate",
    "files",
    "hub",
    "choices",
)
described = st.one_of(
    values,
    st.dictionaries(st.sampled_from(keys) | st.text(max_size=6), values, max_size=5).map(
        lambda more: DESCRIPTION | more
    ),
    st.builds(
        lambda kind, labels: {**DESCRIPTION, "kind": kind, "labels": labels},
        st.sampled_from(["single", "pair", "choice", "regression"]),
        st.lists(st.text(max_size=9) | st.integers(), max_size=4),
    ),
)
yaml_texts = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text(alphabet="ab:-[]{}&*!|>'\"#%@, \n\t?0.1", max_size=120).map(str.encode),
)


def as_yaml(content: object) -> bytes:
    """Return PyYAML's text of it."""
    return yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogatepass")


description_files = st.one_of(yaml_texts, described.map(as_yaml))


def paths(content: object, before: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """List the positions in nested mappings and lists where a value can be changed."""
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [before] * bool(before) + [path for key, part in entries for path in paths(part, (*before, key))]


def mutated(changes: list[tuple[tuple[object, ...], str, object]]) -> dict:
    """params.yaml with some values replaced, removed, or joined by a key beside them."""
    content = deepcopy(PARAMS)
    for path, what, value in changes:
        place = content
        for key in path[:-1]:
            place = place[key] if isinstance(place, dict) and key in place else None
        if not isinstance(place, dict) or path[-1] not in place:
            continue
        if what == "remove":
            del place[path[-1]]
        elif what == "add":
            place[str(value)[:20]] = value
        else:
            place[path[-1]] = value
    return content


likely = st.one_of(
    values,
    st.sampled_from(
        [0, -1, 1, 0.5, 1e308, 10**30, "paper", "policy", [], {}, None, True, "teacher_layers", "[1, 2]", ["mse_kd"]]
    ),
)
changes = st.tuples(st.sampled_from(paths(PARAMS)), st.sampled_from(["replace", "remove", "add"]), likely)
params_files = st.one_of(
    yaml_texts,
    st.lists(changes, min_size=1, max_size=3).map(lambda several: as_yaml(mutated(several))),
    st.builds(
        spoiled,
        st.just((ROOT / "params.yaml").read_bytes()),
        st.floats(0, 1),
        st.binary(max_size=6),
        st.integers(0, 30),
    ),
)
