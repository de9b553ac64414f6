"""pull: download a registered student as a folder that needs no registry.

    python -m registry.pull quickstart-payment-mpdistil@champion --to FOLDER

Reads: the registry (MLFLOW_TRACKING_URI, or the repository's own). Writes: the folder, whole or not at all: a stock
Hugging Face folder in artifacts/student, and what MLflow needs to score raw rows with it.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from broken_pipe import without_readers
from errors import UserError
from outputs import OUTPUTS
from registry.model_ref import download, find, is_pulled

USES = """Hugging Face folder: {folder}/artifacts/student
Use it:
  mlflow.pyfunc.load_model("{folder}").predict(rows)    # a DataFrame of raw columns
  python -m flows score {quoted} FILE    # a CSV, JSONL or Parquet file
  mlflow models serve -m {quoted} --env-manager local --port 5001    # over REST"""
EXAMPLES = """examples:
  python -m registry.pull quickstart-payment-mpdistil@champion
  python -m registry.pull models:/quickstart-payment-mpdistil/3 --to students/payment"""


@without_readers()
def main(arguments: Sequence[str] | None = None) -> int:
    """Download one version; return 2 with one line on stderr on failure."""
    options = _parser().parse_args(arguments)
    try:
        version = find(options.model)
        folder = options.to or OUTPUTS / "pulled" / f"{version.name}-v{version.number}"
        check_target(folder, force=options.force)
        download(version, folder)
    except UserError as error:
        print(f"pull: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pull: interrupted; nothing was kept", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"pull: {error.filename or options.to}: {error.strerror or error}; nothing was kept", file=sys.stderr)
        return 2
    print(f"pulled {version} into {folder}")
    print(USES.format(folder=folder, quoted=shlex.quote(str(folder))))
    return 0


def check_target(folder: Path, *, force: bool) -> None:
    """Raise UserError for an unusable target folder; `force` replaces a pulled student and nothing else."""
    if folder.is_file():
        raise UserError(f"--to {folder}: is a file; name a new or empty folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not is_pulled(folder):
        raise UserError(f"--to {folder}: contains other files; name a new or empty folder")
    if not force:
        raise UserError(f"{folder}: holds a pulled student; --force replaces it, --to names another folder")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m registry.pull",
        description="Download a registered student to a folder.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="NAME@ALIAS or NAME/VERSION (models:/ optional)")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="target folder (outputs/pulled/NAME-vVERSION)")
    parser.add_argument("--force", action="store_true", help="replace an earlier pulled student in the folder")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
