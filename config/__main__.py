"""Check params files, bring old ones up to date, or print their schema.

python -m config [FILE ...]            check params files and what they name, print every error of each
python -m config --upgrade [FILE ...]  rewrite files whose `methods` is a list
python -m config --schema              print the JSON schema that editors use
"""

import argparse
import json
import sys
from pathlib import Path

from broken_pipe import without_readers
from config import upgrade
from config.parameters import Parameters, listed, load
from errors import UserError


@without_readers()
def main(arguments: list[str] | None = None) -> int:
    """Check files, or print the schema; 2 if a file can't be used."""
    parser = argparse.ArgumentParser(
        prog="python -m config",
        description="Check params files and what they name: folders, rows, checkpoints. Print every error of each.",
    )
    parser.add_argument("files", nargs="*", type=Path, default=[Path("params.yaml")])
    parser.add_argument(
        "--upgrade", action="store_true", help="rewrite files whose `methods` is a list, keep every other line"
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON schema instead")
    options = parser.parse_args(arguments)
    if options.schema:
        print(json.dumps(Parameters.model_json_schema(), indent=2))
        return 0
    if options.upgrade:
        return upgrade.main(options.files, load)
    # Only here: the schema and an upgrade need nothing of what that imports.
    from tasks.preflight import named_files

    bad = 0
    for path in options.files:
        try:
            given = load(path)
            found = named_files.problems(given)
            if found:
                raise UserError(listed(path, found))
        except UserError as error:
            bad += 1
            print(error, file=sys.stderr)
        else:
            for note in named_files.notes(given):
                print(f"{path}: WARNING: {note}", file=sys.stderr)
            datasets, seeds = len(given.datasets), len(given.seeds)
            counts = f"{datasets} dataset{'s' * (datasets > 1)}, {seeds} seed{'s' * (seeds > 1)}"
            print(f"{path}: valid ({given.benchmark}: {counts}, methods {', '.join(given.methods.names)})")
    return 2 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
