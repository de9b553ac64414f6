"""prokd: distillation along the teacher's training (Rezagholizadeh et al., COLING 2022, Eq. 3 and 4).

Phase I, teacher epoch i = 1 ... tau_max:   L = |z_S - z_T^(i) / T_i|^2,   T_i = tau_max - i + 1
Phase II:                                   L = task

z_T^(i) are the logits after teacher epoch i (the trajectory), tau_max is the number of those epochs. The norm is a sum
over classes and a mean over rows.
"""

from dataclasses import dataclass

from methods.interface import Needs, Phase
from methods.phases import LabelsOnly, ScaledLogits, steps_taken, taught_epochs


@dataclass(frozen=True)
class ProKd:
    """`label_share`: phase II's share of the epochs. `temperature: False` is the paper's ablation (T_i = 1)."""

    label_share: float
    temperature: bool

    @property
    def needs(self) -> Needs:
        return Needs(teacher="trajectory")

    def phase(self, epoch: int, epochs: int, teacher_epochs: int) -> Phase:
        taught = taught_epochs(epochs, self.label_share)
        if epoch > taught:
            return Phase("labels", LabelsOnly())
        i = steps_taken(epoch, taught, teacher_epochs)  # equal shares: the paper's constant n_i
        cooled = 1 / (teacher_epochs - i + 1) if self.temperature else 1.0
        return Phase(f"teacher epoch {i}", ScaledLogits(cooled), teacher_epoch=i)
