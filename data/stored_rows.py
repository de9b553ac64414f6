"""Rows stored by the source stage for the split stage: `spec.json`, and a Parquet file per split."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.atomic_files import whole_file
from data.problems import shown
from data.records import DatasetSpec, SourceRows
from data.row_table import RowTable
from errors import UserError


def save_source(folder: Path, source: SourceRows) -> None:
    """Write `<folder>/spec.json` and `<folder>/<split>.parquet` (raw input columns, id, label, group)."""
    for split, rows in source.rows.items():
        with whole_file(folder / f"{split}.parquet") as file:
            pq.write_table(RowTable.of(source.spec, rows).table, file)
    stored = {"spec": source.spec.to_json(), "splits": list(source.rows), "origin": source.origin}
    with whole_file(folder / "spec.json") as file:
        file.write(json.dumps(stored, indent=1, sort_keys=True).encode() + b"\n")


def read_source(folder: Path) -> SourceRows:
    """Read the rows that `save_source` wrote. Raises UserError if the folder is not an output of the source stage."""
    try:
        stored = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
        spec = DatasetSpec.from_json(stored["spec"])
        tables = {split: pq.read_table(folder / f"{split}.parquet") for split in stored["splits"]}
        origin = str(stored["origin"])
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise UserError(
            f"{folder} is not an output of the source stage ({shown(str(error), 120)}); run it again"
        ) from error
    return SourceRows(spec, {split: RowTable(spec, table) for split, table in tables.items()}, origin)
