"""The training rows of a method's student: train, and the quiz unless the method needs it."""

from collections.abc import Mapping

from config.methods import BY_NAME
from config.parameters import Parameters
from tasks.runtime.stage_datasets import TokenisedDataset

TRAIN = ("train",)
WITH_QUIZ = ("train", "quiz")


def training_splits(given: Parameters, method: str) -> tuple[str, ...]:
    """The splits on which a method's student trains, in the order of its rows.

    The student that a curriculum goes on from keeps to train: to its curriculum the quiz must be fresh. params.yaml names it
    in the split's section, too (config/parameters.py compares): students then don't depend on mpdistil's keys, and train no other way
    when those change.
    """
    keeps_to_train = BY_NAME[method].keeps_quiz or method == given.split.quiz_kept_from
    return TRAIN if keeps_to_train else taught_splits(given)


def taught_splits(given: Parameters) -> tuple[str, ...]:
    """The splits on which any student trains: the teacher's outputs for them are stored in full."""
    return WITH_QUIZ if given.split.quiz_joins_train else TRAIN


def row_counts(dataset: TokenisedDataset, splits: tuple[str, ...]) -> Mapping[str, int]:
    """Rows of each split, in that order."""
    return {name: len(dataset.split(name)) for name in splits}
