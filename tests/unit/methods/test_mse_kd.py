"""Eq. 1 of MPDistil against float64 numpy."""

import numpy as np
import pytest
import torch
from default_methods import MseKd
from torch import nn

from methods import mse_kd
from methods.finetune import Finetune
from methods.interface import LossInputs, Method
from models.model_outputs import Outputs

RNG = np.random.default_rng(1)
LAYERS = ((1, 2), (2, 4))
LABELS = np.array([0, 2, 1, 1])


def outputs(layers: tuple[int, ...], width: int, classes: int = 3) -> Outputs:
    def draw(size: int) -> torch.Tensor:
        return torch.tensor(RNG.normal(size=(4, size)), requires_grad=True)

    return Outputs(draw(classes), draw(width), {layer: draw(width) for layer in layers})


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt((vectors**2).sum(-1, keepdims=True))


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def reference(student: Outputs, teacher: Outputs, method: mse_kd.MseKd) -> float:
    task = -np.log(softmax(array(student.logits))[np.arange(4), LABELS]).mean()
    tau = method.temperature
    soft = ((softmax(array(teacher.logits) / tau) - softmax(array(student.logits) / tau)) ** 2).mean()
    soft *= tau**2 if method.temperature_squared else 1
    pairs = [(student.vectors[s], teacher.vectors[t]) for s, t in method.layers]
    pairs.append((student.pooled, teacher.pooled))
    hidden = np.mean([((unit(array(s)) - unit(array(t))) ** 2).mean() for s, t in pairs])
    weight = method.alpha if method.alpha_on == "task" else 1 - method.alpha
    return float(weight * task + (1 - weight) * soft + method.beta * hidden)


@pytest.mark.parametrize("alpha_on", ["task", "soft"])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("beta", [0.0, 80.0])
def test_the_loss_is_equation_1(alpha_on, squared, beta) -> None:
    method = MseKd(0.4, beta, 6.0, temperature_squared=squared, alpha_on=alpha_on, layers=LAYERS)
    student, teacher = outputs((1, 2), 5), outputs((2, 4), 5)
    parts = method.loss(LossInputs(student, teacher, torch.tensor(LABELS), "single"))
    np.testing.assert_allclose(parts["loss"].item(), reference(student, teacher, method), rtol=1e-8)
    assert set(parts) == {"loss", "task", "soft"} | ({"hidden"} if beta else set())
    assert not any(part.requires_grad for name, part in parts.items() if name != "loss")


def test_a_teacher_with_a_graph_gets_its_gradient_and_one_without_stays_out() -> None:
    student, teacher = outputs((1, 2), 5), outputs((2, 4), 5)
    MseKd(layers=LAYERS).loss(LossInputs(student, teacher, torch.tensor(LABELS), "single"))["loss"].backward()
    assert teacher.logits.grad is not None and teacher.pooled.grad is not None
    assert student.logits.grad is not None and student.pooled.grad is not None


def test_a_regression_compares_outputs_and_reads_no_temperature() -> None:
    student, teacher = outputs((), 5, classes=1), outputs((), 5, classes=1)
    values = torch.tensor(RNG.normal(size=4))
    ours, theirs = array(student.logits)[:, 0], array(teacher.logits)[:, 0]
    expected = 0.3 * ((ours - values.numpy()) ** 2).mean() + 0.7 * ((ours - theirs) ** 2).mean()
    for temperature in (1.0, 7.0):
        method = MseKd(alpha=0.3, beta=0.0, temperature=temperature, temperature_squared=True)
        got = method.loss(LossInputs(student, teacher, values, "regression"))["loss"].item()
        np.testing.assert_allclose(got, expected, rtol=1e-8)


def test_the_candidates_of_a_choice_are_its_classes() -> None:
    student, teacher = outputs((), 5, classes=2), outputs((), 5, classes=2)
    student.pooled, teacher.pooled = torch.rand(8, 5), torch.rand(8, 5)
    parts = MseKd().loss(LossInputs(student, teacher, torch.tensor([0, 1, 1, 0]), "choice"))
    assert torch.isfinite(parts["loss"])


def test_unequal_widths_need_a_projection_which_is_trained() -> None:
    student, teacher, method = outputs((1, 2), 3), outputs((2, 4), 5), MseKd(layers=LAYERS)
    with pytest.raises(ValueError, match="unequal widths need a projection"):
        method.loss(LossInputs(student, teacher, torch.tensor(LABELS), "single"))
    projection = nn.Linear(3, 5).double()
    method.loss(LossInputs(student, teacher, torch.tensor(LABELS), "single", projection=projection))["loss"].backward()
    assert projection.weight.grad is not None and projection.weight.grad.abs().sum() > 0


def test_stored_vectors_of_16_bit_are_compared_in_the_students_precision() -> None:
    student, teacher = outputs((1, 2), 5), outputs((2, 4), 5)
    stored = Outputs(teacher.logits, teacher.pooled, {k: v.half() for k, v in teacher.vectors.items()})
    exact = MseKd(layers=LAYERS).loss(LossInputs(student, teacher, torch.tensor(LABELS), "single"))["loss"].item()
    got = MseKd(layers=LAYERS).loss(LossInputs(student, stored, torch.tensor(LABELS), "single"))["loss"]
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got.item(), exact, rtol=1e-2)


def test_a_method_says_what_it_needs() -> None:
    methods: list[Method] = [Finetune(), MseKd(layers=LAYERS), MseKd(beta=0.0, layers=LAYERS)]
    needs = [method.needs for method in methods]
    assert [need.teacher for need in needs] == ["none", "signals", "signals"]
    assert [need.student_layers for need in needs] == [(), (1, 2), ()]
    assert [need.teacher_layers for need in needs] == [(), (2, 4), ()]


def test_finetune_is_the_task_loss_alone() -> None:
    student = outputs((), 5)
    parts = Finetune().loss(LossInputs(student, None, torch.tensor(LABELS), "single"))
    expected = -np.log(softmax(array(student.logits))[np.arange(4), LABELS]).mean()
    np.testing.assert_allclose(parts["loss"].item(), expected, rtol=1e-8)


@pytest.mark.parametrize("wrong", [{"alpha": 1.1}, {"beta": -1.0}, {"temperature": 0.0}, {"alpha_on": "both"}])
def test_parameters_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="mse_kd"):
        MseKd(**wrong)
