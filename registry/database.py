"""Makes the registry's database where there is none yet, whole or not at all: a server that is to open it finds it made.

    python -m registry.database

Writes: the SQLite file that MLFLOW_TRACKING_URI names, or the repository's own. Exit status: 0, or 2 with one line.
"""

import sys

from errors import UserError
from registry.connection import connect


def main() -> int:
    """Open it once, which makes it."""
    try:
        connect()
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
