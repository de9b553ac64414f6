"""DVC's note of who reads and writes which path, `.dvc/tmp/rwlock`: taken away where a kill or a full disk cut it.

DVC writes that file in place, and refuses every command as long as it can't read it. Nothing in it outlives the processes
it names: DVC itself drops the entries of those that are gone.
"""

import json
import os
import re
from pathlib import Path

FILE = Path(".dvc", "tmp", "rwlock")
CUT = re.compile(r"Unable to read RWLock-file .*JSON structure is corrupted")


def remove_if_cut(root: Path) -> bool:
    """Remove the note of the repository in `root` if it is no JSON; whether it was removed.

    Held against every DVC process that reads or writes it, so that one which is being written is not taken for a cut one.
    """
    from dvc.config import Config
    from dvc.lock import make_lock

    path = root / FILE
    hardlink = bool(Config(os.fspath(root / ".dvc"))["core"].get("hardlink_lock", False))
    # The names and the kind of lock are those of dvc.rwlock._edit_rwlock: another lock would hold nobody off.
    with make_lock(os.fspath(path.with_name("rwlock.lock")), tmp_dir=os.fspath(path.parent), hardlink_lock=hardlink):
        try:
            json.loads(path.read_bytes())
        except FileNotFoundError:
            return False
        except ValueError:
            path.unlink()
            return True
    return False
