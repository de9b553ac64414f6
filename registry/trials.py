"""Detection of trials: runs with other values, which make no versions unless `registry.trials` is set.

A trial is what `dvc exp run` starts, in the workspace, aside or from the queue, and what `flows run --set` starts. A run
of params.yaml as it stands, filtered or not, is none, nor is one of a whole profile: that is how a pipeline is run every
night.
"""

import os
from pathlib import Path

from paths import TRIAL, is_thrown_away

EXPERIMENT = "DVC_EXP_NAME"
"""Set by DVC for every stage of an experiment."""
KEY = "registry.trials"


def trial() -> str | None:
    """Return the name of the trial that this process belongs to, if any."""
    experiment, overrides = os.environ.get(EXPERIMENT, "").strip(), os.environ.get(TRIAL, "").strip()
    if overrides:
        return f"flows run --set {overrides}"
    return f"dvc exp run, {experiment}" if experiment else None


def way_out() -> str:
    """Return the command that registers this trial's students."""
    if os.environ.get(TRIAL, "").strip():
        return f"`--set {KEY}=true` beside the others registers it"
    if is_thrown_away(Path.cwd()):
        return f"`dvc exp apply {os.environ[EXPERIMENT]}`, then `dvc repro`, registers it"
    return "`dvc repro` registers it"
