"""Atomic creation of the registry's database, so that a server finds it complete.

    python -m registry.database

Writes: the SQLite file that MLFLOW_TRACKING_URI names, or the repository's own. Exit status: 0, or 2 with one line.
"""

import sys

from errors import UserError
from registry.connection import connect


def main() -> int:
    """Open the store once, which creates it."""
    try:
        connect()
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
