"""A copy of this repository for running the pipeline with other parameters: benchmarks, tests, `make chaos`."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy_repository(folder: Path) -> None:
    """Copy the files that git tracks or would add, without dvc.lock: it has other parameters, and may be being written.

    Raises:
        subprocess.CalledProcessError: this repository is not under git.
    """
    listed = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, text=True, capture_output=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if name != "dvc.lock" and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
