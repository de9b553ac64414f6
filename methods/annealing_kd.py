"""annealing_kd: teacher logits of growing scale (Jafari et al., EACL 2021, arXiv:2104.07163, Eq. 5 to 8).

Phase I, on the teacher's logits alone:   L = |z_S - z_T * k / tau_max|^2,   k = 1 ... tau_max over its epochs
Phase II, on the labels alone:            L = task

The norm is a sum over classes and a mean over rows.
"""

from dataclasses import dataclass

from methods.interface import Needs, Phase
from methods.phases import LabelsOnly, ScaledLogits, steps_taken, taught_epochs


@dataclass(frozen=True)
class AnnealingKd:
    """`label_share`: phase II's share of the epochs."""

    max_temperature: int
    label_share: float

    @property
    def needs(self) -> Needs:
        return Needs(teacher="signals")

    def phase(self, epoch: int, epochs: int, teacher_epochs: int) -> Phase:
        """See `Scheduled.phase`; ignores the teacher's epochs."""
        taught = taught_epochs(epochs, self.label_share)
        if epoch > taught:
            return Phase("labels", LabelsOnly())
        # The paper writes Phi(T) = 1 - (T - 1) / tau_max with T falling from tau_max to 1: the same.
        k = steps_taken(epoch, taught, self.max_temperature)
        return Phase(f"{k}/{self.max_temperature}", ScaledLogits(k / self.max_temperature))
