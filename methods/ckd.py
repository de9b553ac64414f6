"""ckd: how words relate, within a layer and from layer to layer (Park et al., EMNLP 2021, "Distilling Linguistic Context
for Language Model Compression", arXiv:2109.08359, section 3).

    L = alpha * task + (1 - alpha) * tau^2 * KL(p_T^tau || p_S^tau)
        + word_pairs * WR2 + word_angles * WR3 + layer_pairs * LTR2 + layer_angles * LTR3

    word relation (WR), r_i the vectors of one input's words in one layer:
      WR2 = mean over i, j of KL(q_T || q_S),    q(j | i) = softmax over j of cos(r_i, r_j), without j = i
      WR3 = mean of (psi_T - psi_S)^2,           psi(i, j, k) = cos of the angle at j between i and k,
                                                 i and k within the window around j
    layer transforming relation (LTR): the same of one word's vectors in all matched layers, without a window.

No term compares a student's vector with a teacher's, so widths and heads may differ. Matched are the embeddings and uniform
pairs of layers. Padding is left out, and so are angles between a word and itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.interface import LossInputs, Needs
from methods.layer_mapping import LayerPairs
from methods.soft_targets import divergence
from methods.task_loss import task_loss
from models.model_outputs import Outputs

TINY = 1e-12


@dataclass(frozen=True)
class Ckd:
    """Weights of the terms. `layers` are the matched pairs, (0, 0) for the embeddings among them."""

    alpha: float
    temperature: float
    word_pairs: float
    word_angles: float
    layer_pairs: float
    layer_angles: float
    window: int
    layers: LayerPairs

    @property
    def needs(self) -> Needs:
        return Needs(teacher="runs", tokens=self.layers, same_width=False)

    def loss(self, given: LossInputs) -> dict[str, Tensor]:
        """See `Method.loss`; parts are `task`, `soft` and the four relations, before their weights."""
        task = task_loss(given.student.logits, given.labels, given.kind)
        soft = divergence(given.student.logits, given.teacher.logits, given.kind, self.temperature)
        # The authors' code, whose weights and window are the defaults, drops the task loss; the paper has it.
        total = self.alpha * task + (1 - self.alpha) * soft
        parts = {"task": task.detach(), "soft": soft.detach()}
        with torch.autocast(task.device.type, enabled=False):  # differences of large products need their digits
            relations = self._relations(given.student, given.teacher)
        for name, value in relations.items():
            total = total + getattr(self, name) * value
            parts[name] = value.detach()
        return {"loss": total, **parts}

    def _relations(self, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        own = [_exact(student.tokens[ours]) for ours, _ in self.layers]
        other = [_exact(teacher.tokens[theirs]).to(own[0].dtype) for _, theirs in self.layers]
        real = torch.ones_like(own[0][..., 0], dtype=torch.bool) if student.mask is None else student.mask
        near, inside = window_around(real.shape[1], self.window, real.device)
        within = [
            (pair_relation(a, b, real), angle_relation(a, b, real, near, inside))
            for a, b in zip(own, other, strict=True)
        ]
        across = [torch.stack([one[real] for one in side], dim=1) for side in (own, other)]  # (words, layers, H)
        all_real = torch.ones(across[0].shape[:2], dtype=torch.bool, device=real.device)
        every, inside_every = window_around(len(self.layers), 2 * len(self.layers) - 1, real.device)
        return {
            "word_pairs": _mean([pairs for pairs, _ in within]),
            "word_angles": _mean([angles for _, angles in within]),
            "layer_pairs": pair_relation(across[0], across[1], all_real),
            "layer_angles": angle_relation(across[0], across[1], all_real, every, inside_every),
        }


def pair_relation(student: Tensor, teacher: Tensor, real: Tensor) -> Tensor:
    """WR2 or LTR2: (N, M, H_S), (N, M, H_T), mask of existing items (N, M) -> mean over pairs i != j, scalar."""
    itself = torch.eye(real.shape[1], dtype=torch.bool, device=real.device)
    pairs = real[:, :, None] & real[:, None, :] & ~itself
    # The paper leaves this term open: the KL is the authors' code's. Its relations are weighted sums; that code and this
    # take each pair, and each triple below, alike.
    ours, theirs = (_log_chances(vectors, pairs) for vectors in (student, teacher))
    terms = torch.where(pairs, theirs.exp() * (theirs - ours), 0.0)
    return terms.sum() / pairs.sum().clamp_min(1)


def angle_relation(student: Tensor, teacher: Tensor, real: Tensor, near: Tensor, inside: Tensor) -> Tensor:
    """WR3 or LTR3: vectors as in `pair_relation`, window as from `window_around` -> mean over triples, scalar."""
    there = real[:, near] & inside & real[:, :, None]  # (N, M, W)
    different = near[:, :, None] != near[:, None, :]
    triples = there[:, :, :, None] & there[:, :, None, :] & different
    gap = angles(student, near) - angles(teacher, near)
    return torch.where(triples, gap.square(), 0.0).sum() / triples.sum().clamp_min(1)


def angles(vectors: Tensor, near: Tensor) -> Tensor:
    """Cosines of the angle at j between i and k, by inner products: (N, M, H), neighbours (M, W) -> (N, M, W, W)."""
    # Angles do not change, whatever is taken away from all; small numbers keep their digits.
    centred = vectors - vectors.mean(1, keepdim=True).detach()
    gram = centred @ centred.transpose(1, 2)
    here = torch.arange(near.shape[0], device=near.device)[:, None]
    to = gram[:, here, near]  # <r_j, r_i>
    between = gram[:, near[:, :, None], near[:, None, :]]  # <r_i, r_k>
    products = between - to[..., :, None] - to[..., None, :] + gram[:, here, here][..., None]
    lengths = products.diagonal(dim1=-2, dim2=-1).clamp_min(TINY).rsqrt()
    return products * lengths[..., :, None] * lengths[..., None, :]


def window_around(places: int, window: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Neighbours of each of M positions within a centred window (odd size): indices, and a mask; both (M, W)."""
    offsets = torch.arange(window, device=device) - window // 2
    wanted = torch.arange(places, device=device)[:, None] + offsets
    return wanted.clamp(0, places - 1), (wanted >= 0) & (wanted < places) & (offsets != 0)


def _log_chances(vectors: Tensor, pairs: Tensor) -> Tensor:
    """log q(j | i) over existing pairs, 0 elsewhere: (N, M, H) -> (N, M, M)."""
    unit = nn.functional.normalize(vectors, dim=-1)
    cosines = (unit @ unit.transpose(1, 2)).masked_fill(~pairs, torch.finfo(vectors.dtype).min)
    return torch.where(pairs, cosines.log_softmax(-1), 0.0)


def _exact(vectors: Tensor) -> Tensor:
    return vectors if vectors.dtype == torch.float64 else vectors.float()


def _mean(terms: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(terms)).mean()
