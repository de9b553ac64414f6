"""Names in the registry: registered models, aliases and tags."""

import difflib
from collections.abc import Iterable

CANDIDATE, CHAMPION = "candidate", "champion"

# Tags of a model version, and of the run behind it.
KEY = "distilflow.key"
"""The identity of a student: see evidence.py."""
STUDENT_HASH, EVALUATE_HASH = "distilflow.student_hash", "distilflow.evaluate_hash"
BENCHMARK, DATASET, METHOD, SEED = "benchmark", "dataset", "method", "seed"
MARGIN, SELECTED_ON = "margin_points", "selected_on"
COMMIT, DIRTY = "commit", "dirty"
PROCESS = "distilflow.process"
"""Tag of a run: host and process that registers it."""

# Tags of a model version: what the gate said of it.
GATE = "gate"
"""The gate's sentence with the figures."""
GATE_PASSED = "gate.passed"
GATE_SETTINGS = "gate.settings"
GATE_AGAINST = "gate.against"
"""The version compared with, or None."""
CHECK = "gate.test."
"""Of a version: this and the name of a test of the gate, with dots for spaces; "passed: ...", "failed: ..." or "not asked: ..."."""
CHECKED = "gate.tested"
"""The settings of the tests."""
BY_HAND = "champion.by_hand"
"""The move that made it champion by hand: time, previous version, reason."""

# Tags of a model version about its files.
LOST = "distilflow.files_gone"
"""Time and names of missing files; a student still among the outputs is registered again."""
REPLACES = "distilflow.replaces"
"""Number of the same student's first version, whose files are missing."""

# Tag of a registered model, one for each time that its champion changed: this and the time.
MOVED = "distilflow.champion."

# Artifacts of a run.
EVIDENCE = "evidence"


def model_name(benchmark: str, dataset: str, method: str) -> str:
    """Name of the registered model of one method on one dataset; each version is one seed's student."""
    return f"{benchmark}-{dataset}-{method}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Advice for an unknown name: 'did you mean X?', or the existing names."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there are: {', '.join(names)}" if names else "there are none yet"
