"""tinybert: layers first, then predictions (Jiao et al., Findings of EMNLP 2020, arXiv:1909.10351, Eq. 6 to 11).

    phase 1   L = embd + sum over pairs (m, g(m)) of hidn + attn,     g uniform (the paper's 3m for 4 layers on 12)
                attn = mean over heads of MSE(A_S, A_T)        Eq. 7, A the scores before the softmax
                hidn = MSE(H_S W, H_T)                         Eq. 8
                embd = MSE(E_S W, E_T)                         Eq. 9
    phase 2   L = CE(p_T^tau, p_S^tau)                         Eq. 10, tau 1, without the labels

The task-specific part alone, and no augmentation. The teacher runs: all tokens are read. W is one map for all layers, as in
the authors' code, there only where widths differ. Both networks need the same number of heads: scores of one head have no
counterpart elsewhere.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.interface import LossInputs, Needs, Phase, same_shape
from methods.layer_mapping import LayerPairs
from methods.soft_targets import per_row_cross_entropy, temperature_of
from methods.task_loss import task_loss
from models.model_outputs import Outputs


@dataclass(frozen=True)
class TinyBert:
    """`prediction_share`: phase 2's share of the epochs, at least one (the paper: 3 of 23)."""

    prediction_share: float
    temperature: float
    layers: LayerPairs

    @property
    def needs(self) -> Needs:
        return Inner(self.layers).needs

    def phase(self, epoch: int, epochs: int, teacher_epochs: int) -> Phase:
        """See `Scheduled.phase`; ignores the teacher's epochs."""
        if epoch > epochs - max(1, round(epochs * self.prediction_share)):
            return Phase("prediction", Prediction(self.temperature))
        return Phase("layers", Inner(self.layers), may_be_kept=False)


@dataclass(frozen=True)
class Inner:
    """Phase 1: embeddings, hidden states and attention scores; every weight of Eq. 6 is 1."""

    layers: LayerPairs

    @property
    def needs(self) -> Needs:
        return Needs(teacher="runs", tokens=((0, 0), *self.layers), attentions=self.layers)

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; parts are `embeddings`, `hidden` and `attention` (sums over the pairs)."""
        hidden = [token_error(given.student, given.teacher, pair, given.projection) for pair in ((0, 0), *self.layers)]
        attention = torch.stack([score_error(given.student, given.teacher, pair) for pair in self.layers]).sum()
        embeddings, states = hidden[0], torch.stack(hidden[1:]).sum()
        parts = {"embeddings": embeddings.detach(), "hidden": states.detach(), "attention": attention.detach()}
        return {"loss": embeddings + states + attention, **parts}


@dataclass(frozen=True)
class Prediction:
    """Phase 2: the teacher's predictions; the labels' loss is logged only."""

    temperature: float

    @property
    def needs(self) -> Needs:
        return Needs(teacher="runs")

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; `task` is logged only."""
        scale = temperature_of(given.kind, self.temperature)
        # Of a regression the squared error to the teacher's output; the authors' code takes the label.
        loss = per_row_cross_entropy(given.student.logits / scale, given.teacher.logits / scale, given.kind).mean()
        return {"loss": loss, "task": task_loss(given.student.logits.detach(), given.labels, given.kind)}


def token_error(student: Outputs, teacher: Outputs, pair: tuple[int, int], projection: nn.Module | None) -> Tensor:
    """Eq. 8 and 9: MSE over non-padding tokens -> scalar."""
    ours, theirs = student.tokens[pair[0]], teacher.tokens[pair[1]]
    if projection is not None:
        ours = projection(ours)
    same_shape("tinybert", ours, theirs, "hidden states (unequal widths need a projection)")
    # The authors' code counts padding, too.
    real = torch.ones_like(ours[..., 0], dtype=torch.bool) if student.mask is None else student.mask
    return (ours - theirs.to(ours.dtype))[real].square().mean()


def score_error(student: Outputs, teacher: Outputs, pair: tuple[int, int]) -> Tensor:
    """Eq. 7: MSE over heads and pairs of tokens (from, to), without padding and masked pairs."""
    ours, theirs = student.attentions[pair[0]], teacher.attentions[pair[1]]
    same_shape("tinybert", ours, theirs, "attention scores (heads, too)")
    seen = torch.isfinite(ours) & torch.isfinite(theirs)
    if student.mask is not None:
        seen = seen & student.mask[:, None, :, None] & student.mask[:, None, None, :]
    return (ours[seen] - theirs[seen].to(ours.dtype)).square().mean()
