"""Layers that are compared."""

import pytest

from methods.layer_mapping import match_layers


@pytest.mark.parametrize(
    ("mapping", "student", "teacher", "pairs"),
    [
        ("uniform", 3, 6, [(1, 2), (2, 4), (3, 6)]),
        ("uniform", 5, 12, [(1, 2), (2, 4), (3, 7), (4, 9), (5, 12)]),
        ("uniform", 6, 3, [(2, 1), (4, 2), (6, 3)]),
        ("uniform", 4, 4, [(1, 1), (2, 2), (3, 3), (4, 4)]),
        ("first", 3, 6, [(1, 1), (2, 2), (3, 3)]),
        ("last", 3, 6, [(1, 4), (2, 5), (3, 6)]),
        ([[0, 0], [3, 5]], 3, 6, [(0, 0), (3, 5)]),
        ([], 3, 6, []),
    ],
)
def test_layers_are_matched(mapping, student, teacher, pairs) -> None:
    assert match_layers(mapping, student, teacher) == pairs


@pytest.mark.parametrize("mapping", ["middle", [[4, 6]], [[1, 7]], [[1]], [[-1, 2]]])
def test_another_name_or_a_missing_layer_is_refused(mapping) -> None:
    with pytest.raises(ValueError, match="layer mapping"):
        match_layers(mapping, 3, 6)
