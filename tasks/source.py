"""source: the raw rows of one dataset, read, checked and stored as Parquet.

    python -m tasks.source --dataset rte

Reads: source.folder/<dataset> (rows, or a description that names the Hub or the embedded generator).
Writes: outputs/source/<dataset>/rows (one Parquet file per split and the description), metrics.json, run.json.
"""

from pathlib import Path

from data.description import load_spec
from data.sources import read_rows
from data.stored_rows import save_source
from records.prepared import SourceMetrics
from tasks.runtime.stage import Stage, run_stage


def source(stage: Stage) -> None:
    """Read, check and store the rows of one dataset."""
    given = stage.parameters
    folder = Path(given.source.folder)
    spec = load_spec(folder, given.benchmark, stage.dataset)
    if (folder / stage.dataset).exists():
        stage.read(folder / stage.dataset)
    found = read_rows(spec, folder, search=[Path(path) for path in given.source.search])
    save_source(stage.folder / "rows", found)
    counts = {split: len(rows) for split, rows in found.rows.items()}
    stage.write(SourceMetrics(rows=counts))
    stage.headline = f"{', '.join(f'{split} {count}' for split, count in counts.items())} rows from {found.origin}"


if __name__ == "__main__":
    run_stage("source", source)
