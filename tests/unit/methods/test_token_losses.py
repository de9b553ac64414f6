"""tinybert and ckd, which read all tokens, against loops in float64 numpy."""

from itertools import product

import numpy as np
import pytest
import torch
from default_methods import Ckd, TinyBert
from references import EXACT, KINDS, Array, array, case, cross_entropy_rows, kl, softmax, task

from kinds import Kind
from methods.ckd import angle_relation, angles, pair_relation, window_around
from methods.interface import LossInputs, Method
from methods.tinybert import Inner, score_error, token_error
from models.model_outputs import Outputs

LENGTHS = (5, 3)
LAYERS = ((1, 2), (2, 4))
PAIRS = ((0, 0), *LAYERS)
MASK = torch.tensor([[place < length for place in range(6)] for length in LENGTHS])


def read(side: int, *, width: int, causal: bool = False) -> Outputs:
    """Tokens and attention scores of two padded inputs with random numbers, padding's among them, in float64."""
    generator = torch.Generator().manual_seed(side + 1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    outputs = Outputs(logits=draw(2, 3).requires_grad_(), pooled=draw(2, width), mask=MASK)
    outputs.tokens = {pair[side]: draw(2, 6, width).requires_grad_() for pair in PAIRS}
    scores = {pair[side]: draw(2, 2, 6, 6) for pair in LAYERS}
    hidden = ~MASK[:, None, None, :]
    if causal:
        hidden = hidden | torch.ones(6, 6, dtype=torch.bool).triu(1)
    outputs.attentions = {
        layer: value.masked_fill(hidden, -torch.inf).requires_grad_() for layer, value in scores.items()
    }
    return outputs


def squared_error(pairs: list[tuple[float, float]]) -> float:
    return float(np.mean([(a - b) ** 2 for a, b in pairs]))


def test_tinybert_hidden_error_is_over_real_tokens_only() -> None:
    student, teacher = read(0, width=4), read(1, width=4)
    for ours, theirs in PAIRS:
        a, b = array(student.tokens[ours]), array(teacher.tokens[theirs])
        wanted = squared_error(
            [(a[n, t, h], b[n, t, h]) for n, length in enumerate(LENGTHS) for t in range(length) for h in range(4)]
        )
        assert token_error(student, teacher, (ours, theirs), None).item() == pytest.approx(wanted, rel=EXACT)


@pytest.mark.parametrize("causal", [False, True], ids=["both ways", "causal"])
def test_tinybert_attention_error_is_over_tokens_that_see_each_other(causal: bool) -> None:
    student, teacher = read(0, width=4, causal=causal), read(1, width=6, causal=causal)
    for ours, theirs in LAYERS:
        a, b = array(student.attentions[ours]), array(teacher.attentions[theirs])
        wanted = squared_error(
            [
                (a[n, head, i, j], b[n, head, i, j])
                for n, length in enumerate(LENGTHS)
                for head, i, j in product(range(2), range(length), range(length))
                if not causal or j <= i
            ]
        )
        assert score_error(student, teacher, (ours, theirs)).item() == pytest.approx(wanted, rel=EXACT)


def test_tinyberts_first_phase_is_the_plain_sum_and_its_gradient_leaves_padding_alone() -> None:
    student, teacher = read(0, width=4), read(1, width=6)
    projection = torch.nn.Linear(4, 6, dtype=torch.float64)
    parts = Inner(LAYERS).loss(LossInputs(student, teacher, torch.tensor([0, 1]), "pair", projection=projection))
    states = sum(token_error(student, teacher, pair, projection).item() for pair in PAIRS)
    attention = sum(score_error(student, teacher, pair).item() for pair in LAYERS)
    assert parts["loss"].item() == pytest.approx(states + attention, rel=EXACT)
    parts["loss"].backward()
    for value in student.tokens.values():
        assert value.grad is not None
        assert not value.grad[~MASK].any()
        assert bool(torch.isfinite(value.grad).all())
    for value in student.attentions.values():
        assert value.grad is not None
        assert bool(torch.isfinite(value.grad).all())
    assert projection.weight.grad is not None


@pytest.mark.parametrize("kind", KINDS)
def test_tinyberts_second_phase_is_the_teachers_answers_alone(kind: Kind) -> None:
    own = case(kind)
    phase = TinyBert(temperature=2.0, layers=LAYERS).phase(23, 23, 0)
    loss = phase.method.loss(LossInputs(own.student, own.teacher, own.labels, kind))["loss"].item()
    scale = 1.0 if kind == "regression" else 2.0
    wanted = float(np.mean(cross_entropy_rows(own.theirs / scale, own.ours / scale, kind)))
    assert loss == pytest.approx(wanted, rel=EXACT)


@pytest.mark.parametrize(("epochs", "first"), [(23, 20), (10, 9), (2, 1), (3, 2)])
def test_tinyberts_phases_have_the_papers_shares_and_only_the_second_may_be_kept(epochs: int, first: int) -> None:
    phases = [TinyBert(layers=LAYERS).phase(epoch, epochs, 0) for epoch in range(1, epochs + 1)]
    assert [phase.name for phase in phases] == ["layers"] * first + ["prediction"] * (epochs - first)
    assert [phase.may_be_kept for phase in phases] == [False] * first + [True] * (epochs - first)


def test_tinybert_refuses_unequal_widths_and_heads() -> None:
    student, teacher = read(0, width=4), read(1, width=6)
    with pytest.raises(ValueError, match="unequal widths need a projection"):
        token_error(student, teacher, (0, 0), None)
    teacher.attentions[2] = teacher.attentions[2][:, :1]
    with pytest.raises(ValueError, match="heads"):
        score_error(student, teacher, (1, 2))


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def looped_pairs(student: list[Array], teacher: list[Array]) -> float:
    """WR2 or LTR2 of sets of vectors, (M, H) each, by the definition: KL over the others, mean over pairs."""
    terms: list[float] = []
    for ours, theirs in zip(student, teacher, strict=True):
        for i in range(len(ours)):
            others = [j for j in range(len(ours)) if j != i]
            if others:
                p, q = (softmax(np.array([cosine(one[i], one[j]) for j in others])) for one in (theirs, ours))
                terms += list(p * np.log(p / q))
    return float(np.mean(terms))


def looped_angles(student: list[Array], teacher: list[Array], reach: int) -> float:
    """WR3 or LTR3 by the definition, i and k within reach of j."""
    terms: list[float] = []
    for ours, theirs in zip(student, teacher, strict=True):
        for j in range(len(ours)):
            near = [i for i in range(len(ours)) if i != j and abs(i - j) <= reach]
            for i, k in product(near, near):
                if i != k:
                    a, b = (cosine(one[i] - one[j], one[k] - one[j]) for one in (ours, theirs))
                    terms.append((a - b) ** 2)
    return float(np.mean(terms))


def inputs(outputs: Outputs, layer: int) -> list[Array]:
    """The real tokens of each input."""
    return [array(outputs.tokens[layer])[n, :length] for n, length in enumerate(LENGTHS)]


def words(outputs: Outputs, side: int) -> list[Array]:
    """Each real word's vectors, layer by layer."""
    stacked = np.stack([array(outputs.tokens[pair[side]]) for pair in PAIRS], axis=2)
    return [stacked[n, place] for n, length in enumerate(LENGTHS) for place in range(length)]


@pytest.mark.parametrize("window", [3, 5, 21])
def test_ckds_relations_are_their_definitions(window: int) -> None:
    student, teacher = read(0, width=4), read(1, width=6)
    near, inside = window_around(6, window, MASK.device)
    for ours, theirs in PAIRS:
        tokens = student.tokens[ours], teacher.tokens[theirs]
        looped = inputs(student, ours), inputs(teacher, theirs)
        assert pair_relation(*tokens, MASK).item() == pytest.approx(looped_pairs(*looped), rel=EXACT)
        found = angle_relation(*tokens, MASK, near, inside).item()
        assert found == pytest.approx(looped_angles(*looped, window // 2), rel=EXACT)


def test_ckds_total_is_kd_with_four_weighted_relations() -> None:
    student, teacher = read(0, width=4), read(1, width=6)
    method = Ckd(0.25, 2.0, word_pairs=2, word_angles=3, layer_pairs=5, layer_angles=7, window=3, layers=PAIRS)
    parts = method.loss(LossInputs(student, teacher, torch.tensor([2, 0]), "single"))
    per_layer = [(inputs(student, ours), inputs(teacher, theirs)) for ours, theirs in PAIRS]
    own, other = words(student, 0), words(teacher, 1)
    ours, theirs = array(student.logits), array(teacher.logits)
    own_task = task(ours, np.array([2, 0]), "single")
    wanted = (
        0.25 * own_task
        + 0.75 * kl(theirs, ours, "single", 2.0)
        + 2 * np.mean([looped_pairs(*one) for one in per_layer])
        + 3 * np.mean([looped_angles(*one, 1) for one in per_layer])
        + 5 * looped_pairs(own, other)
        + 7 * looped_angles(own, other, 3)
    )
    assert parts["loss"].item() == pytest.approx(wanted, rel=EXACT)
    parts["loss"].backward()
    for value in student.tokens.values():
        assert value.grad is not None
        assert not value.grad[~MASK].any()
        assert bool(torch.isfinite(value.grad).all())


def test_ckds_gradient_is_that_of_finite_differences() -> None:
    student, teacher = read(0, width=4), read(1, width=6)
    near, inside = window_around(6, 3, MASK.device)

    def relations(tokens: torch.Tensor) -> torch.Tensor:
        other = teacher.tokens[2].detach()
        return pair_relation(tokens, other, MASK) + angle_relation(tokens, other, MASK, near, inside)

    assert torch.autograd.gradcheck(relations, (student.tokens[1],))


def test_angles_do_not_change_with_place_and_size() -> None:
    vectors = read(0, width=4).tokens[1].detach()
    near, inside = window_around(6, 5, MASK.device)
    seen = inside[:, :, None] & inside[:, None, :]
    assert torch.allclose(angles(vectors, near)[:, seen], angles(3 * vectors + 100, near)[:, seen], atol=1e-9)


@pytest.mark.parametrize("method", [Inner(LAYERS), Ckd(layers=PAIRS)])
def test_a_teacher_that_was_not_given_is_an_error(method: Method) -> None:
    with pytest.raises(ValueError, match="needs the teacher's outputs"):
        method.loss(LossInputs(read(0, width=4), None, torch.tensor([0, 1]), "single"))
