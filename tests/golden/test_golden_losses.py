"""Every method gives the losses that it gave when they were written down: see golden_runs.py for how."""

import json

import numpy as np
import pytest
from golden_runs import FOLDER, NAMES, run

from config.methods import TRAINED


@pytest.mark.parametrize("name", NAMES)
def test_the_losses_are_those_that_were_written_down(name: str) -> None:
    wanted = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    found = run(name)
    assert len(found["loss"]) == 9 and len(found["selection_loss"]) == 3
    # Another processor's kernels round differently; a change of the mathematics is far larger.
    for key, values in wanted.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-4, err_msg=f"{name}: {key}")


def test_every_method_has_its_losses_and_no_other() -> None:
    assert {name.partition("-")[0] for name in NAMES} == set(TRAINED)
    assert {path.stem for path in FOLDER.glob("*.json")} == set(NAMES)


def test_no_two_methods_have_the_same_losses() -> None:
    found = [tuple(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["loss"]) for name in NAMES]
    assert len(set(found)) == len(NAMES)
