"""The student in the curriculum: one batch through a dataset's own head, one optimizer step."""

from collections.abc import Mapping

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from methods.task_loss import task_loss
from training.curriculum.head_warming import warm_heads
from training.curriculum.types import (
    CurriculumSettings,
    CurriculumStudent,
    Distillation,
    HeadWarming,
    QuizDataset,
    TargetTraining,
)
from training.data_parallel import average_gradients, draw_own_dropout, run_shared
from training.precision import training_precision
from training.resume import Resumable
from training.resume_files import State
from training.supervised import check_finite, make_optimizer


class CurriculumLearner(Resumable):
    """Student and optimizer, shared by all episodes."""

    PARTS = ("_module", "_optimizer")

    def __init__(
        self,
        student: CurriculumStudent,
        settings: CurriculumSettings,
        accelerator: Accelerator,
        distillations: Mapping[str, Distillation],
    ) -> None:
        """`distillations` replace the task loss on batches of the datasets that they are keyed by."""
        if not isinstance(student, nn.Module):
            raise TypeError(f"the student must be an nn.Module, but it is a {type(student).__name__}")
        self._module: nn.Module = student
        self._student = student
        self._settings, self._distillations = settings, distillations
        self._accelerator = accelerator
        optimizer = make_optimizer(self._module, settings.student_lr, settings.weight_decay)
        # The student is not prepared: gradients are averaged by hand (training.data_parallel), precision goes by pass.
        self._optimizer = accelerator.prepare_optimizer(optimizer)
        draw_own_dropout()

    @property
    def _slower(self) -> str:
        return f"lower curriculum.student_learning_rate ({self._settings.student_lr:g})"

    def backward(self, dataset: QuizDataset, *, share: float = 1.0) -> float:
        """The loss of the dataset's next batch, in train mode; `share` of its gradient is added to `.grad`."""
        return self._backward(dataset, self._distillations.get(dataset.name), share)

    def backward_on_target(self, target: TargetTraining) -> float:
        """The loss of the next batch of the target's own train rows; its gradient is added to `.grad`."""
        return self._backward(target.dataset, target.distillation, 1.0)

    def _backward(self, dataset: QuizDataset, distilled: Distillation | None, share: float) -> float:
        self._module.train()
        batch = dataset.batches.next_batch().to(self._accelerator.device)
        layers = () if distilled is None else distilled.layers
        asked = {"dataset": dataset.name, "choices": batch.choices, "layers": layers}
        with training_precision(self._accelerator):
            outputs = run_shared(self._module, batch.inputs, **asked)
        if distilled is None:
            loss = task_loss(outputs.logits, batch.labels, dataset.kind)
        else:
            loss = distilled.loss(outputs, batch)["loss"]
        check_finite(loss, f"curriculum: the loss on {dataset.name}", self._slower)
        self._accelerator.backward(loss * share)
        average_gradients(self._module.parameters())
        return loss.item()

    def warm_heads(self, warming: HeadWarming) -> None:
        """Train the heads of other datasets; all else of the student stays as it is."""
        warm_heads(self._student, warming, self._accelerator)

    def move(self) -> None:
        """One optimizer step along the gradient, which is then cleared."""
        if self._settings.clip_norm is not None:
            norm = self._accelerator.clip_grad_norm_(self._module.parameters(), self._settings.clip_norm)
            if norm is not None and self._accelerator.scaler is None:
                check_finite(norm, "curriculum: the norm of the gradient", self._slower)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def mean(self, value: Tensor | float) -> float:
        """The mean over processes: values may differ in a last bit, and all must draw the same actions."""
        tensor = torch.as_tensor(value, dtype=torch.float32, device=self._accelerator.device)
        return float(self._accelerator.reduce(tensor, reduction="mean"))

    def rest(self) -> None:
        """Switch to eval mode, for scoring the student."""
        self._module.eval()

    def weights(self) -> dict[str, Tensor]:
        """A copy of the student's weights, in CPU memory."""
        return {name: value.detach().cpu().clone() for name, value in self._module.state_dict().items()}

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Restore `weights()`."""
        self._module.load_state_dict(weights)

    def state_dict(self) -> State:
        """Student, optimizer, and the gradient if it accumulates over an episode."""
        gradients = {name: value.grad for name, value in self._module.named_parameters() if value.grad is not None}
        return super().state_dict() | {"gradients": gradients}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        gradients = state["gradients"]
        for name, value in self._module.named_parameters():
            gradient = gradients.get(name)
            value.grad = None if gradient is None else gradient.to(value.device)
