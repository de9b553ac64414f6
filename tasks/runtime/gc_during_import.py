"""Deferred garbage collection while a stage imports torch and transformers.

Imports make some hundred thousand objects that all stay. Looking through them again and again finds nothing, and was over a
quarter of a stage's start (docs/performance.md). Commands of this folder that are no stage (score, pull, ...) go on
looking seldom.
"""

import gc
import sys

SELDOM = (100_000, 10, 10)
"""Thresholds of Python's garbage collector during imports; its defaults: 700, 10, 10."""
USUAL = gc.get_threshold()


def gc_relaxed() -> None:
    """Raise the thresholds if this process is a `python -m tasks.STAGE` that has not started its work."""
    if sys.argv[:1] == ["-m"]:  # Python puts the module's path there once it has found it
        gc.set_threshold(*SELDOM)


def as_usual() -> None:
    """Restore the thresholds, and exclude everything imported so far from collection."""
    if gc.get_threshold() == SELDOM:
        gc.freeze()
        gc.set_threshold(*USUAL)
