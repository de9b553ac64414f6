"""What the source stage leaves for the split stage: `spec.json`, and a Parquet file per split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import DataError, shown
from data.records import DatasetSpec, Row, SourceRows
from data.rendering import integer_columns
from data.writing import whole_file

# Names of our own columns: no raw column can be called so by accident.
ID, LABEL, GROUP = "distilflow_id", "distilflow_label", "distilflow_group"


def save_source(folder: Path, source: SourceRows) -> None:
    """Write `<folder>/spec.json` and `<folder>/<split>.parquet` (raw input columns, id, label, group)."""
    for split, rows in source.rows.items():
        with whole_file(folder / f"{split}.parquet") as file:
            pq.write_table(_table(source.spec, rows), file)
    stored = {"spec": source.spec.to_json(), "splits": list(source.rows), "origin": source.origin}
    with whole_file(folder / "spec.json") as file:
        file.write(json.dumps(stored, indent=1, sort_keys=True).encode() + b"\n")


def open_source(folder: Path) -> tuple[DatasetSpec, dict[str, pa.Table]]:
    """The spec and one table per split; DataError where the folder is no output of the source stage."""
    try:
        stored = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
        spec = DatasetSpec.from_json(stored["spec"])
        return spec, {split: pq.read_table(folder / f"{split}.parquet") for split in stored["splits"]}
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(
            f"{folder} is no output of the source stage ({shown(str(error), 120)}); run it again"
        ) from error


def read_source(folder: Path) -> SourceRows:
    """The rows as `save_source` was given them."""
    spec, tables = open_source(folder)
    origin = json.loads((folder / "spec.json").read_text(encoding="utf-8"))["origin"]
    return SourceRows(spec, {split: _rows(spec, table) for split, table in tables.items()}, origin)


def _table(spec: DatasetSpec, rows: list[Row]) -> pa.Table:
    integers = integer_columns(spec.render)
    columns = {
        name: pa.array([row.fields[name] for row in rows], pa.int64() if name in integers else pa.string())
        for name in spec.columns
    }
    number = pa.float64() if spec.kind == "regression" else pa.int64()
    columns[LABEL] = pa.array([row.label for row in rows], number)
    columns[ID] = pa.array([row.id for row in rows], pa.string())
    columns[GROUP] = pa.array([row.group for row in rows], pa.string())
    return pa.table(columns)


def _rows(spec: DatasetSpec, table: pa.Table) -> list[Row]:
    raw = cast(list[dict], table.to_pylist())
    return [Row(r[ID], {name: r[name] for name in spec.columns}, r[LABEL], r[GROUP]) for r in raw]
