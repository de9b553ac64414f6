"""Unsupported formats of row files, by their names and first bytes, and the way out of each."""

from pathlib import Path

SAVE_AS_CSV = "save it as CSV with commas in UTF-8"
UNREAD_NAMES = {
    (".xlsx", ".xlsm", ".xlsb", ".xls"): f"an Excel workbook: {SAVE_AS_CSV}",
    (".ods",): f"a spreadsheet: {SAVE_AS_CSV}",
    (".json",): "JSON: write JSON lines, each row as one object in one line, and call it .jsonl",
    (".ndjson",): "JSON lines by another name: call it .jsonl",
    (".csv.gz", ".tsv.gz", ".parquet.gz"): "gzipped: unpack it (gzipped JSON lines are read, .jsonl.gz)",
    (".zip", ".7z", ".tar", ".tgz", ".tar.gz"): "an archive: unpack it",
    (".arrow", ".feather"): "Arrow: save it as Parquet",
    (".pkl", ".pickle"): f"a pickle, which can run code: {SAVE_AS_CSV}",
    (".txt", ".dat", ".tab"): "in an unknown format: call it .csv if commas separate its fields, .tsv if tabs do",
}
"""Common suffixes of row files in other formats: the format, and the way out."""

UNREAD_BYTES = {
    b"\xff\xfe": "is UTF-16; save the file as UTF-8",
    b"\xfe\xff": "is UTF-16; save the file as UTF-8",
    b"\x1f\x8b": "is gzipped; call it .jsonl.gz if JSON lines are in it, else unpack it",
    b"PK\x03\x04": "is a zip archive or an Excel workbook; save it as CSV with commas in UTF-8",
    b"PAR1": "is Parquet; call it .parquet",
}
"""First bytes of non-text formats, and the way out."""


class Unreadable(ValueError):
    """One row of a file, or the rest of the file (`row` None: all of it), cannot be read."""

    def __init__(self, row: int | None, message: str) -> None:
        super().__init__(message)
        self.row = row


def check_format(path: Path) -> None:
    """Raise Unreadable for a file whose first bytes contradict its name."""
    if path.name.endswith((".csv", ".tsv", ".jsonl")):
        with path.open("rb") as file:
            first = file.read(4)
        for sign, message in UNREAD_BYTES.items():
            if first.startswith(sign):
                raise Unreadable(None, message)


def unread_format(name: str) -> str | None:
    """Name the format of a suffix, and the way out; None for an unknown suffix."""
    for ends, said in UNREAD_NAMES.items():
        if name.lower().endswith(ends):
            return said
    return None
