"""`same_masks`: the teacher's pass after its step has the dropout masks of its pass before, or new ones."""

from dataclasses import replace

import pytest
import torch
from default_methods import Dml, Lgtm, MetaDistil, ProKt
from pairs import BATCHES, endless, pair
from torch import Tensor

from methods.co_training import Learner, Pair

METHODS = {"dml": Dml(), "prokt": ProKt(), "lgtm": Lgtm(), "metadistil": MetaDistil(analysis_every=10**9)}
SPEC, BATCH, QUIZ = BATCHES["pair"]


def answers(name: str, monkeypatch: pytest.MonkeyPatch, *, same_masks: bool, rate: float = 0.0) -> list[Tensor]:
    """Return the teacher's outputs for a batch before its own step and after it; at rate 0 it does not move."""
    own: Pair = pair("bert", SPEC)
    own.teacher.optimizer.param_groups[0]["lr"] = rate
    said: list[Tensor] = []
    plain = Learner.forward

    def noting(learner: Learner, *values, **named):
        found = plain(learner, *values, **named)
        if learner is own.teacher:
            said.append(found.logits.detach())
        return found

    monkeypatch.setattr(Learner, "forward", noting)
    torch.manual_seed(1)
    replace(METHODS[name], same_masks=same_masks).step(own, BATCH, endless(QUIZ))
    monkeypatch.undo()
    return said[:2]  # metadistil reads section 5.1 after that


@pytest.mark.parametrize("name", METHODS)
def test_with_them_a_teacher_that_does_not_move_repeats_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = answers(name, monkeypatch, same_masks=True)
    assert torch.equal(before, after)


@pytest.mark.parametrize("name", METHODS)
def test_without_them_its_masks_alone_change_what_it_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = answers(name, monkeypatch, same_masks=False)
    assert not torch.allclose(before, after, rtol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_with_them_its_step_still_changes_what_it_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = answers(name, monkeypatch, same_masks=True, rate=0.1)
    assert not torch.equal(before, after)
