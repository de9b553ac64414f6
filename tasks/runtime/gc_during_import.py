"""Python's search for garbage, put off while a stage imports torch and transformers.

Imports make some hundred thousand objects that all stay. Looking through them again and again finds nothing, and was over a
quarter of a stage's start (docs/performance.md). Commands of this folder that are no stage (score, pull, ...) go on
looking seldom.
"""

import gc
import sys

SELDOM = (100_000, 10, 10)
"""New objects from which on Python looks for garbage, and how many such looks make a longer one; its own: 700, 10, 10."""
USUAL = gc.get_threshold()


def gc_relaxed() -> None:
    """Look seldom, if this is the process of a `python -m tasks.STAGE` that has not begun with its work."""
    if sys.argv[:1] == ["-m"]:  # Python puts the module's path there once it has found it
        gc.set_threshold(*SELDOM)


def as_usual() -> None:
    """Look as often as Python does, and never again through what was imported."""
    if gc.get_threshold() == SELDOM:
        gc.freeze()
        gc.set_threshold(*USUAL)
