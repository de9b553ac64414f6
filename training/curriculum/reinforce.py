"""REINFORCE for the curriculum policy (Williams 1992), with memory independent of the student's size.

The policy does not move within an episode, so the gradient of each log pi(a_t | s_t) is taken at once, while
the student still is what it was when the action was chosen; at the end -sum_t A_t grad log pi(a_t | s_t) is
their weighted sum. Holding the graphs instead would hold a copy of the student's (H, H) weight for every
step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from errors import UserError
from methods.policy import Policy
from training.resume import Resumable
from training.resume_files import State


@dataclass(frozen=True)
class SampledAction:
    """An action, its log pi, and the probabilities (A) of all actions at that moment."""

    action: int
    log_probability: float
    probabilities: tuple[float, ...]


class Reinforce(Resumable):
    """Samples from a policy and improves it after each episode; `generator`, on the CPU, is for sampling only."""

    PARTS = ("policy", "_optimizer", "_generator")
    VALUES = ("_scores",)
    """The record of the choices since the last update."""

    def __init__(self, policy: Policy, *, learning_rate: float, generator: torch.Generator) -> None:
        self.policy = policy
        self._parameters = list(policy.parameters())
        self._optimizer = torch.optim.AdamW(self._parameters, lr=learning_rate, weight_decay=0.0)
        self._generator = generator
        self._scores: list[list[Tensor | None]] = []

    def sample(self, state: Tensor) -> SampledAction:
        """Sample an action for the student's state (H, H) or (H,), and store grad log pi of it."""
        log_probabilities = self.policy(state)
        probabilities = log_probabilities.detach().exp().cpu()
        action = int(torch.multinomial(probabilities, 1, generator=self._generator))
        chosen = log_probabilities[action]
        self._scores.append(list(torch.autograd.grad(chosen, self._parameters, allow_unused=True)))
        return SampledAction(action, chosen.item(), tuple(probabilities.tolist()))

    def update(self, advantages: Sequence[float]) -> None:
        """One AdamW step on -sum_t A_t log pi(a_t | s_t), over the choices since the last update, in their order."""
        if len(advantages) != len(self._scores):
            raise UserError(f"{len(advantages)} advantages for {len(self._scores)} choices")
        for index, parameter in enumerate(self._parameters):
            terms = [
                -advantage * score
                for advantage, scores in zip(advantages, self._scores, strict=True)
                if (score := scores[index]) is not None
            ]
            parameter.grad = torch.stack(terms).sum(0) if terms else None
        self._optimizer.step()
        self._scores = []

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        device = self._parameters[0].device
        self._scores = [[None if one is None else one.to(device) for one in scores] for scores in self._scores]
