"""Outputs of a fixed teacher for a batch, and pairs of networks that a method can't compare."""

import pytest
import torch
from default_methods import Ckd, Kd, ProKd, TinyBert
from small_networks import RTE, small
from tiny_problem import TARGET, networks, signals, splits

from data.batches import Batch, collate
from errors import UserError
from methods.interface import Phase
from tasks.student_training.fixed_teacher import check_between, check_pair
from training.fixed_teacher import FixedTeacher, reworded

PAIRS = ((1, 2), (2, 3))


def rows() -> Batch:
    return collate(splits().train, [3, 0, 7, 5])


def test_a_teacher_that_runs_says_what_its_signals_say_and_more() -> None:
    _, teacher = networks()
    stored = FixedTeacher(signals(teacher, splits().train, layers=()))
    running, batch = FixedTeacher(network=teacher), rows()
    said = running.outputs(batch, Phase("", Ckd(layers=((0, 0), *PAIRS))), TARGET.name)
    kept = stored.outputs(batch, Phase("", Kd()), TARGET.name)
    assert said is not None
    assert kept is not None
    assert torch.allclose(said.logits, kept.logits, atol=1e-6)
    assert not said.logits.requires_grad
    assert sorted(said.tokens) == [0, 2, 3]
    assert running.width == stored.width == 32
    assert FixedTeacher().outputs(batch, Phase("", Kd()), TARGET.name) is None


def test_a_trajectory_gives_the_logits_of_the_epoch_that_teaches() -> None:
    _, teacher = networks()
    own = signals(teacher, splits().train, layers=())
    fixed = FixedTeacher(own, [own.logits + 1, own.logits + 2])
    said = fixed.outputs(rows(), ProKd().phase(1, 10, 2), TARGET.name)
    assert said is not None
    assert torch.equal(said.logits, own.logits[[3, 0, 7, 5]] + 1)


def test_another_heads_answers_take_the_place_of_the_teachers() -> None:
    _, teacher = networks()
    own, head = signals(teacher, splits().train, layers=()), teacher.head_of(TARGET.name)
    same = reworded(own, head.weight.detach(), head.bias.detach())
    assert torch.allclose(same.logits, own.logits, atol=1e-6)
    assert same.pooled is own.pooled
    assert torch.allclose(
        reworded(own, 2 * head.weight.detach(), None).logits, 2 * (own.logits - head.bias.detach()), atol=1e-5
    )


def test_unequal_numbers_of_heads_are_refused_and_equal_ones_are_not() -> None:
    needs = TinyBert(layers=PAIRS).needs
    check_pair("tinybert", small("bert"), small("roberta"), needs)
    other = small("bert")
    other.backbone.config.num_attention_heads = 8
    with pytest.raises(UserError, match="the student has 8 heads and the teacher 4"):
        check_pair("tinybert", other, small("bert"), needs)
    check_pair("ckd", other, small("bert"), Ckd(layers=PAIRS).needs)


def test_a_family_without_scores_is_refused_before_it_trains() -> None:
    with pytest.raises(UserError, match="DeBERTa-v2 gives no attention scores"):
        check_pair("tinybert", small("bert"), small("deberta-v2"), TinyBert(layers=PAIRS).needs)


def test_an_assistant_must_lie_between() -> None:
    sizes = {layers: small("bert", RTE, layers=layers) for layers in (1, 2, 3)}
    check_between("takd", sizes[2], sizes[1], sizes[3])
    for assistant, student, teacher in ((3, 1, 3), (1, 1, 3), (1, 2, 3), (3, 1, 2)):
        with pytest.raises(UserError, match="must lie between the student's"):
            check_between("takd", sizes[assistant], sizes[student], sizes[teacher])
