"""The sections of params.yaml that belong to one distillation method each, with the papers' defaults.

A section has the parameters of its method and no other's; equations and sources are in methods/<name>.py.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator

from config.mpdistil import Curriculum, MetaTeacher, MpDistil
from config.sections import (
    Count,
    LayerMapping,
    MethodSection,
    Rate,
    Section,
    Share,
    Softening,
    TeacherStart,
    Temperature,
    Weight,
    known_depth,
)

if TYPE_CHECKING:
    from config.stages import Student, Teacher

TaskShare = Annotated[Share, Field(description="Weight of the task loss; the soft term has 1 - alpha.")]
LabelShare = Annotated[float, Field(ge=0, lt=1, description="Share of the epochs on labels alone.")]
TeacherRate = Annotated[Rate | None, Field(description="The teacher's learning rate; null: teacher.learning_rate.")]


class Finetune(MethodSection):
    """No teacher: the task loss only. It has no parameters."""


class Kd(MethodSection):
    """Soft targets (Hinton et al., 2015)."""

    alpha: TaskShare = 0.5
    temperature: Softening = 2.0


class MseKd(MethodSection):
    """MPDistil's Eq. 1: task loss, squared error of softened probabilities, squared error of normalised hidden vectors."""

    with_start: ClassVar = {"beta": (90.0, 1.0)}

    alpha: TaskShare = 0.5
    alpha_on: Literal["task", "soft"] = Field("task", description="Term that alpha weighs; soft: the authors' code.")
    beta: Weight | None = Field(
        None, description="Weight of the hidden term; null: 90 for a student of the teacher's layers, 1 for any other."
    )
    temperature: Softening = 5.0
    temperature_squared: bool = Field(False, description="Multiply the soft term by temperature squared.")
    mapping: LayerMapping = Field("uniform", description="Matching of layers; or pairs [student layer, teacher layer].")


class Pkd(MethodSection):
    """kd plus the sequence vectors of intermediate layers (Sun et al., 2019)."""

    with_start: ClassVar = {"beta": (100.0, 1.0)}

    alpha: TaskShare = 0.5
    beta: Weight | None = Field(
        None,
        description="Weight of the patient term; null: 100 for a student of the teacher's layers, 1 for any other.",
    )
    temperature: Softening = 5.0
    layers: Literal["skip", "last"] = Field("skip", description="The teacher's layers that are compared.")


class Dist(MethodSection):
    """Correlations between and within classes (Huang et al., 2022)."""

    alpha: Weight = Field(1.0, description="Weight of the task loss.")
    beta: Weight = Field(1.0, description="Weight of the correlation within rows.")
    gamma: Weight = Field(1.0, description="Weight of the correlation within classes.")
    temperature: Temperature = Field(1.0, description="Softens logits.")


class Skd(MethodSection):
    """Direction of the logits only (Guo et al., 2022); three classes or more."""

    alpha: TaskShare = 0.5
    temperature: Temperature = Field(4.0, description="Softens logits.")


class AnnealingKd(MethodSection):
    """Teacher logits of growing scale, then labels (Jafari et al., 2021)."""

    max_temperature: Count = Field(7, description="Steps in which the teacher's logits grow to full scale.")
    label_share: LabelShare = 0.3


class Rco(MethodSection):
    """Checkpoints of the teacher's training as successive targets (Jin et al., 2019)."""

    alpha: TaskShare = 0.5
    temperature: Softening = 2.0
    anchors: Count = Field(4, description="Number of teacher epochs used as targets.")

    def check(self, student: "Student", teacher: "Teacher") -> None:
        """Raise ValueError where either has fewer epochs than there are anchors."""
        if self.anchors > teacher.epochs:
            raise ValueError(
                f"rco.anchors: {self.anchors}, but teacher.epochs is {teacher.epochs}, and an anchor is one of them; "
                f"lower rco.anchors to {teacher.epochs}"
            )
        if self.anchors > student.epochs:
            raise ValueError(
                f"rco.anchors: {self.anchors}, but student.epochs is {student.epochs}, and an anchor teaches for one of them "
                f"or more; raise student.epochs, or lower rco.anchors to {student.epochs}"
            )


class ProKd(MethodSection):
    """The teacher's training epochs as successive targets, then labels (Rezagholizadeh et al., 2022)."""

    label_share: LabelShare = 0.3
    temperature: bool = Field(
        True, description="Reduce the temperature of the teacher's logits epoch by epoch; false: the ablation."
    )

    def check(self, student: "Student", teacher: "Teacher") -> None:
        """Raise ValueError where the student has fewer epochs than there are epochs of its teacher to learn from."""
        taught = max(1, student.epochs - round(student.epochs * self.label_share))  # methods.phases.taught_epochs
        if taught < teacher.epochs:
            raise ValueError(
                f"prokd teaches every teacher epoch for one student epoch or more, but teacher.epochs is {teacher.epochs} and "
                f"student.epochs: {student.epochs} leaves {taught} of them before prokd.label_share "
                f"({self.label_share:g}); raise student.epochs or lower teacher.epochs"
            )


class Moving(MethodSection):
    """Parameters shared by the methods whose teacher trains with the student."""

    teacher_learning_rate: TeacherRate = None

    @property
    def feedback_split(self) -> str:
        """The split whose rows give the teacher feedback on its student."""
        return "quiz"

    @property
    def feedback_rows(self) -> int:
        """Batch size of those rows; 1 if the method reads none."""
        return 1

    @property
    def heads_at_zero(self) -> bool:
        """True if both heads start at zero."""
        return False


class Answering(Moving):
    """Parameters shared by the methods whose teacher answers a batch before its step and, for the student, after it."""

    same_masks: bool = Field(False, description="Use the same dropout masks in both passes of the teacher.")


class Dml(Answering):
    """Two peers that learn from each other (Zhang et al., 2018)."""

    weight: Weight = Field(1.0, description="Weight of the loss towards the peer.")
    teacher_starts: TeacherStart = "pretrained"


class ProKt(Answering):
    """A teacher that stays near its student (Shi et al., 2021)."""

    alpha: TaskShare = 0.5
    temperature: Softening = 2.0
    proximal: Weight = Field(0.3, description="Weight of the term that keeps the teacher near the student.")
    teacher_starts: TeacherStart = "pretrained"


class FeedbackMethod(Answering):
    """Parameters shared by the methods whose teacher learns from feedback batches."""

    quiz_batches: Count = Field(1, description="Feedback batches per step.")
    quiz_batch_size: Count = Field(16, description="Rows of a feedback batch.")

    @property
    def feedback_rows(self) -> int:
        return self.quiz_batch_size


class MetaDistil(FeedbackMethod):
    """The teacher learns to teach (Zhou et al., 2022)."""

    teacher_learning_rate: TeacherRate = 5e-6
    alpha: TaskShare = 0.5
    beta: Weight = Field(0.0, description="Weight of the hidden term.")
    temperature: Softening = 2.0
    mapping: LayerMapping = Field("uniform", description="Matching of layers, if beta is not 0.")
    pilot: bool = Field(True, description="False: the paper's ablation without the pilot update.")
    teacher_starts: TeacherStart = "finetuned"
    teacher_warmup: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of the steps, at the start, with a fixed teacher."
    )
    analysis_every: Count = Field(
        10, description="Steps between two measurements of section 5.1; each costs quiz passes."
    )


class Influence(Section):
    """LGTM's distillation influence in the teacher's loss."""

    weight: Weight = Field(1.0, description="Its weight; 0: the ablation.")
    form: Literal["mixed", "weights"] = Field(
        "mixed", description="Eq. 10 with the sign that lowers the loss, or Eq. 9."
    )


class Lgtm(FeedbackMethod):
    """Learning good teacher matters (Ren et al., 2023)."""

    alpha: Share = Field(0.6, description="Weight of the student's task loss (Eq. 1); the soft term has 1 - alpha.")
    teacher_alpha: Share = Field(0.6, description="Weight of the teacher's task loss: alpha in Eq. 11.")
    influence: Influence = Influence()
    auxiliary: Literal["kl", "cross_entropy"] = Field("kl", description="Soft term of Eq. 11; the second as printed.")
    feedback: Literal["quiz", "dev"] = Field("quiz", description="Feedback rows; dev: the paper's protocol.")
    teacher_starts: TeacherStart = "pretrained"
    zero_heads: bool = Field(False, description="Both heads start at zero.")

    @property
    def feedback_split(self) -> str:
        return self.feedback

    @property
    def heads_at_zero(self) -> bool:
        return self.zero_heads


class PesfKd(Moving):
    """Only the teacher's head follows the student (Rao et al., 2022)."""

    teacher_learning_rate: Rate | None = Field(
        None, description="The head's learning rate; null: teacher.learning_rate."
    )
    alpha: Share = Field(0.3, description="Weight of the student's task loss; the soft term has 1 - alpha.")
    temperature: Softening = 2.0
    follow: Weight = Field(1.0, description="Weight of the term that pulls the head towards the student.")


class TinyBert(MethodSection):
    """Embeddings, hidden states and attention, then the teacher's answers (Jiao et al., 2020). The teacher runs."""

    prediction_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.13, description="Share of the epochs, at least one, on the teacher's predictions."
    )
    temperature: Softening = 1.0
    mapping: LayerMapping = Field("uniform", description="Matching of layers; or pairs [student layer, teacher layer].")

    def check(self, student: "Student", teacher: "Teacher") -> None:
        """Raise ValueError where there are no epochs for both phases, or the heads differ."""
        if student.epochs < 2:
            raise ValueError("tinybert has two phases; student.epochs must be 2 or more")
        heads = [(one.config or {}).get("num_attention_heads") for one in (student, teacher)]
        if None not in heads and heads[0] != heads[1]:
            raise ValueError(
                f"tinybert compares attention head by head, but student.config has {heads[0]} and teacher.config "
                f"{heads[1]} (num_attention_heads); give both the same number"
            )


class Ckd(MethodSection):
    """Relations between words, within a layer and across layers (Park et al., 2021). The teacher runs."""

    with_start: ClassVar = {
        "word_pairs": (1.0, 0.1),
        "word_angles": (10.0, 0.1),
        "layer_pairs": (1.0, 0.1),
        "layer_angles": (10.0, 0.1),
    }

    alpha: TaskShare = 0.3
    temperature: Softening = 3.0
    word_pairs: Weight | None = Field(
        None, description="Weight of cosines between words of a layer; null: 1, or 0.1 if mse_kd's is 1."
    )
    word_angles: Weight | None = Field(
        None, description="Weight of angles between words of a layer; null: 10, or 0.1 if mse_kd's is 1."
    )
    layer_pairs: Weight | None = Field(
        None, description="Weight of cosines between layers of a word; null: 1, or 0.1 if mse_kd's is 1."
    )
    layer_angles: Weight | None = Field(
        None, description="Weight of angles between layers of a word; null: 10, or 0.1 if mse_kd's is 1."
    )
    window: int = Field(21, ge=3, le=513, description="Words of an angle's window; an odd number.")

    @field_validator("window")
    @classmethod
    def _has_a_middle(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"{value} is even, and a window stands around its middle word; use {value + 1}")
        return value


class Takd(MethodSection):
    """A teacher assistant of a size between both (Mirzadeh et al., 2020)."""

    layers: int | tuple[int, ...] | None = Field(
        None, description="Layers of the assistant, from the teacher: a number (spread evenly), or a list from 1; or"
    )
    config: dict[str, int | float | str | bool] | None = Field(None, description="sizes of a random assistant.")
    alpha: Share = Field(0.5, description="Weight of the task loss, of assistant and student.")
    temperature: Softening = 2.0

    def check(self, student: "Student", teacher: "Teacher") -> None:
        """Raise ValueError unless the assistant's size is given once, and lies between both."""
        if (self.layers is None) == (self.config is None):
            raise ValueError("takd: give exactly one of takd.layers and takd.config, the size of the assistant")
        between, ours, theirs = known_depth(self.layers, None), student.depth, teacher.depth
        if between is None:
            return
        if (ours is not None and between <= ours) or (theirs is not None and between >= theirs):
            raise ValueError(
                f"takd.layers: {between} is not between the student's {ours or '?'} layers and the teacher's {theirs or '?'}; "
                "an assistant is larger than the student and smaller than the teacher"
            )


class Sftn(MethodSection):
    """A teacher that was trained with student branches (Park et al., 2021)."""

    branch_weight: Weight = Field(1.0, description="Weight of the branches' task loss.")
    agreement_weight: Weight = Field(3.0, description="Weight of the divergence between branches and teacher.")
    branch_temperature: Temperature = Field(1.0, description="Softens logits in that divergence.")
    teacher_starts: TeacherStart = "pretrained"
    alpha: Share = Field(0.5, description="Weight of the student's task loss; the soft term has 1 - alpha.")
    temperature: Temperature = Field(4.0, description="Softens logits for the student; without effect for regression.")


def _with_presets(schema: dict[str, Any]) -> None:
    """Make the sections optional whose values a preset has."""
    schema["required"] = [name for name in schema["required"] if name not in ("meta_teacher", "curriculum")]


class MethodSections(Section):
    """The sections of params.yaml named after a method, and MPDistil's other two."""

    model_config = ConfigDict(json_schema_extra=_with_presets)

    finetune: Finetune = Finetune()
    kd: Kd = Kd()
    mse_kd: MseKd = MseKd()
    pkd: Pkd = Pkd()
    dist: Dist = Dist()
    skd: Skd = Skd()
    annealing_kd: AnnealingKd = AnnealingKd()
    rco: Rco = Rco()
    prokd: ProKd = ProKd()
    dml: Dml = Dml()
    prokt: ProKt = ProKt()
    metadistil: MetaDistil = MetaDistil()
    lgtm: Lgtm = Lgtm()
    pesf_kd: PesfKd = PesfKd()
    tinybert: TinyBert = TinyBert()
    ckd: Ckd = Ckd()
    takd: Takd = Takd()
    sftn: Sftn = Sftn()
    mpdistil: MpDistil
    meta_teacher: MetaTeacher
    curriculum: Curriculum

    def of_method(self, name: str) -> MethodSection:
        """The section of a method, by its name in the methods table."""
        return getattr(self, name)
