"""The sections of params.yaml that belong to one distillation method each, with the papers' defaults.

A section has the parameters of its method and no other's; equations and sources are in methods/<name>.py.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

StudentMethod = Literal[
    "finetune",
    "kd",
    "mse_kd",
    "pkd",
    "dist",
    "skd",
    "annealing_kd",
    "rco",
    "prokd",
    "dml",
    "prokt",
    "pesf_kd",
    "metadistil",
    "lgtm",
    "tinybert",
    "ckd",
]
SignalMethod = Literal["kd", "mse_kd", "pkd", "dist", "skd", "annealing_kd"]
"""Methods that read the teacher's signals: any of them can take the meta-teacher for its teacher."""
TaughtMethod = Literal["kd_meta", "mse_kd_meta", "pkd_meta", "dist_meta", "skd_meta", "annealing_kd_meta"]
BudgetMethod = Literal["finetune", "kd"]
"""Methods whose student can go on with MPDistil's rows and steps."""
MultiMethod = Literal["finetune_multi", "kd_multi"]
AssistedMethod = Literal["takd", "sftn"]
"""Methods whose teacher is made for the student: by the assistant stage, once."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Temperature = Annotated[float, Field(gt=0, le=1e3)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Mapping = Literal["uniform", "first", "last"] | tuple[tuple[int, int], ...]
Start = Literal["finetuned", "pretrained"]


# The papers' weights of their hidden terms are for a student whose hidden vectors are near the teacher's from the start. They
# keep any other one from learning its labels: docs/papers/methods.md, "What the papers' weights do to a random student".
HIDDEN_WEIGHTS: dict[str, dict[str, tuple[float, float]]] = {
    "mse_kd": {"beta": (90.0, 1.0)},
    "pkd": {"beta": (100.0, 1.0)},
    "ckd": {
        "word_pairs": (1.0, 0.1),
        "word_angles": (10.0, 0.1),
        "layer_pairs": (1.0, 0.1),
        "layer_angles": (10.0, 0.1),
    },
}
"""Method -> its weights that may be null -> (of a student that starts from the teacher's layers, of any other)."""
OF_THE_TEACHER = ("pretrained_teacher_layers", "teacher_layers")
"""Values of student.init with which the student starts from the teacher's layers."""


class Section(BaseModel):
    """Common rules of all sections: immutable, no unknown key, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Finetune(Section):
    """No teacher: the task loss only. It has no parameters."""


class Kd(Section):
    """Soft targets (Hinton et al., 2015)."""

    alpha: Share = Field(0.5, description="Weight of the task loss; the soft term has 1 - alpha.")
    temperature: Temperature = Field(2.0, description="Softens logits; without effect for regression.")


class MseKd(Section):
    """MPDistil's Eq. 1: task loss, squared error of softened probabilities, squared error of normalised hidden vectors."""

    alpha: Share = Field(0.5, description="Weight of the task loss; the soft term has 1 - alpha.")
    alpha_on: Literal["task", "soft"] = Field("task", description="Term that alpha weighs; soft: the authors' code.")
    beta: Weight | None = Field(
        None, description="Weight of the hidden term; null: 90 for a student of the teacher's layers, 1 for any other."
    )
    temperature: Temperature = Field(5.0, description="Softens logits; without effect for regression.")
    temperature_squared: bool = Field(False, description="Multiply the soft term by temperature squared.")
    mapping: Mapping = Field("uniform", description="How layers are matched; or pairs [student layer, teacher layer].")


class Pkd(Section):
    """kd, and the sequence vectors of middle layers (Sun et al., 2019)."""

    alpha: Share = Field(0.5, description="Weight of the task loss; the soft term has 1 - alpha.")
    beta: Weight | None = Field(
        None,
        description="Weight of the patient term; null: 100 for a student of the teacher's layers, 1 for any other.",
    )
    temperature: Temperature = Field(5.0, description="Softens logits; without effect for regression.")
    layers: Literal["skip", "last"] = Field("skip", description="Which of the teacher's layers teach.")


class Dist(Section):
    """Correlations between and within classes (Huang et al., 2022)."""

    alpha: Weight = Field(1.0, description="Weight of the task loss.")
    beta: Weight = Field(1.0, description="Weight of the correlation within rows.")
    gamma: Weight = Field(1.0, description="Weight of the correlation within classes.")
    temperature: Temperature = Field(1.0, description="Softens logits.")


class Skd(Section):
    """Direction of the logits only (Guo et al., 2022); three classes or more."""

    alpha: Share = Field(0.5, description="Weight of the task loss; the soft term has 1 - alpha.")
    temperature: Temperature = Field(4.0, description="Softens logits.")


class AnnealingKd(Section):
    """Logits of the teacher that grow, then labels (Jafari et al., 2021)."""

    max_temperature: Count = Field(7, description="Steps in which the teacher's logits grow to their size.")
    label_share: Annotated[float, Field(ge=0, lt=1)] = Field(0.3, description="Share of the epochs on labels alone.")


class Rco(Section):
    """Epochs of the teacher as targets, one after the other (Jin et al., 2019)."""

    alpha: Share = Field(0.5, description="Weight of the task loss; the soft term has 1 - alpha.")
    temperature: Temperature = Field(2.0, description="Softens logits; without effect for regression.")
    anchors: Count = Field(4, description="How many of the teacher's epochs teach.")


class ProKd(Section):
    """Along the teacher's training, then labels (Rezagholizadeh et al., 2022)."""

    label_share: Annotated[float, Field(ge=0, lt=1)] = Field(0.3, description="Share of the epochs on labels alone.")
    temperature: bool = Field(True, description="Cool the teacher's logits epoch by epoch; false: the ablation.")


class Moving(Section):
    """What methods share whose teacher trains with the student."""

    teacher_learning_rate: Rate | None = Field(None, description="The teacher's; null: teacher.learning_rate.")


class Answering(Moving):
    """What methods share whose teacher answers a batch twice: for its own step, and after it for the student's."""

    same_masks: bool = Field(False, description="Both answers have one set of dropout masks, and not one each.")


class Dml(Answering):
    """Two peers that learn from each other (Zhang et al., 2018)."""

    weight: Weight = Field(1.0, description="Weight of what each learns from the other.")
    teacher_starts: Start = Field("pretrained", description="Fine-tuned, or where the teacher stage starts.")


class ProKt(Answering):
    """A teacher that stays near its student (Shi et al., 2021)."""

    alpha: Share = Field(0.5, description="Weight of the task loss; the soft term has 1 - alpha.")
    temperature: Temperature = Field(2.0, description="Softens logits; without effect for regression.")
    proximal: Weight = Field(0.3, description="Weight of the term that keeps the teacher near the student.")
    teacher_starts: Start = Field("pretrained", description="Fine-tuned, or where the teacher stage starts.")


class MetaDistil(Answering):
    """The teacher learns to teach (Zhou et al., 2022)."""

    teacher_learning_rate: Rate | None = Field(5e-6, description="The teacher's; null: teacher.learning_rate.")
    alpha: Share = Field(0.5, description="Weight of the task loss; the soft term has 1 - alpha.")
    beta: Weight = Field(0.0, description="Weight of the hidden term.")
    temperature: Temperature = Field(2.0, description="Softens logits; without effect for regression.")
    mapping: Mapping = Field("uniform", description="How layers are matched, where beta is not 0.")
    pilot: bool = Field(True, description="False: the paper's ablation without the pilot update.")
    quiz_batches: Count = Field(1, description="Quiz batches a step.")
    quiz_batch_size: Count = Field(16, description="Rows of a quiz batch.")
    teacher_starts: Start = Field("finetuned", description="Fine-tuned, or where the teacher stage starts.")
    teacher_warmup: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of the steps at the start in which the teacher stays as it is."
    )
    analysis_every: Count = Field(10, description="Steps between two readings of section 5.1; each costs quiz passes.")


class Influence(Section):
    """LGTM's distillation influence in the teacher's loss."""

    weight: Weight = Field(1.0, description="Its weight; 0: the ablation.")
    form: Literal["mixed", "weights"] = Field("mixed", description="Eq. 10 with the sign that helps, or Eq. 9.")


class Lgtm(Answering):
    """Learning good teacher matters (Ren et al., 2023)."""

    alpha: Share = Field(0.6, description="Weight of the student's task loss (Eq. 1); the soft term has 1 - alpha.")
    teacher_alpha: Share = Field(0.6, description="Weight of the teacher's task loss: alpha in Eq. 11.")
    influence: Influence = Influence()
    auxiliary: Literal["kl", "cross_entropy"] = Field("kl", description="Soft term of Eq. 11; the second as printed.")
    quiz_batches: Count = Field(1, description="Feedback batches a step.")
    quiz_batch_size: Count = Field(16, description="Rows of a feedback batch.")
    feedback: Literal["quiz", "dev"] = Field("quiz", description="Feedback rows; dev: the paper's protocol.")
    teacher_starts: Start = Field("pretrained", description="Fine-tuned, or where the teacher stage starts.")
    zero_heads: bool = Field(False, description="Both heads start at zero.")


class PesfKd(Moving):
    """Only the teacher's head follows the student (Rao et al., 2022)."""

    teacher_learning_rate: Rate | None = Field(None, description="The head's; null: teacher.learning_rate.")
    alpha: Share = Field(0.3, description="Weight of the student's task loss; the soft term has 1 - alpha.")
    temperature: Temperature = Field(2.0, description="Softens logits; without effect for regression.")
    follow: Weight = Field(1.0, description="Weight of the term that draws the head towards the student.")


class TinyBert(Section):
    """Embeddings, hidden states and attention, then the teacher's answers (Jiao et al., 2020). The teacher runs."""

    prediction_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.13, description="Share of the epochs, one at least, on the teacher's answers."
    )
    temperature: Temperature = Field(1.0, description="Softens logits; without effect for regression.")
    mapping: Mapping = Field("uniform", description="How layers are matched; or pairs [student layer, teacher layer].")


class Ckd(Section):
    """How words relate, within a layer and across layers (Park et al., 2021). The teacher runs."""

    alpha: Share = Field(0.3, description="Weight of the task loss; the soft term has 1 - alpha.")
    temperature: Temperature = Field(3.0, description="Softens logits; without effect for regression.")
    word_pairs: Weight | None = Field(
        None, description="Weight of cosines between words of a layer; null: 1, or 0.1 where mse_kd's is 1."
    )
    word_angles: Weight | None = Field(
        None, description="Weight of angles between words of a layer; null: 10, or 0.1 where mse_kd's is 1."
    )
    layer_pairs: Weight | None = Field(
        None, description="Weight of cosines between layers of a word; null: 1, or 0.1 where mse_kd's is 1."
    )
    layer_angles: Weight | None = Field(
        None, description="Weight of angles between layers of a word; null: 10, or 0.1 where mse_kd's is 1."
    )
    window: int = Field(21, ge=3, le=513, description="Words of an angle's window; an odd number.")

    @field_validator("window")
    @classmethod
    def _has_a_middle(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"{value} is even, and a window stands around its middle word; use {value + 1}")
        return value


class Takd(Section):
    """A teacher assistant of a size between both (Mirzadeh et al., 2020)."""

    layers: int | tuple[int, ...] | None = Field(
        None, description="Of the assistant, taken from the teacher: a number (spread evenly), or a list from 1; or"
    )
    config: dict[str, int | float | str | bool] | None = Field(None, description="sizes of a random assistant.")
    alpha: Share = Field(0.5, description="Weight of the task loss, of assistant and student.")
    temperature: Temperature = Field(2.0, description="Softens logits; without effect for regression.")


class Sftn(Section):
    """A teacher that was trained with student branches (Park et al., 2021)."""

    branch_weight: Weight = Field(1.0, description="Weight of the branches' task loss.")
    agreement_weight: Weight = Field(3.0, description="Weight of the divergence between branches and teacher.")
    branch_temperature: Temperature = Field(1.0, description="Softens logits in that divergence.")
    teacher_starts: Start = Field("pretrained", description="Where the teacher stage starts, or fine-tuned.")
    alpha: Share = Field(0.5, description="Weight of the student's task loss; the soft term has 1 - alpha.")
    temperature: Temperature = Field(4.0, description="Softens logits for the student; without effect for regression.")


class MpDistil(Section):
    """The method as a whole."""

    base: Literal[StudentMethod, AssistedMethod] = Field(
        "mse_kd", description="The student that the curriculum goes on from."
    )
    preset: Literal["default", "paper"] = Field(
        "default", description="Values of null keys of meta_teacher and curriculum."
    )
    datasets: tuple[Name, ...] = Field(description="`datasets`, or [] without mpdistil in `methods`.")
    teaches: tuple[SignalMethod, ...] = Field(
        description="Methods that are also trained with the meta-teacher as teacher; `methods` names them <method>_meta."
    )
    multi_task: tuple[BudgetMethod, ...] = Field(
        description="Methods whose student goes on with MPDistil's rows and steps, but no curriculum; `methods` names them <method>_multi."
    )


class MetaTeacher(Section):
    """Stage 3 of MPDistil. A null is the preset's value."""

    loss: Literal["collaborative", "competitive", "competitive_probability"] | None = Field(
        None, description="Eq. 2, 3, or bounded."
    )
    learning_rate: Rate | None = Field(None, description="AdamW's learning rate.")
    epochs: Count | None = Field(None, description="Passes over quiz, at most.")
    batch_size: Count | None = Field(None, description="Rows a step.")
    dropout: float | None = Field(None, ge=0, lt=1, description="Dropout before the linear layer.")
    patience: Count | None = Field(None, description="Epochs without a better selection loss.")
    clip_norm: float | None = Field(None, gt=0, description="Gradient norm is clipped to this.")
    weight_decay: Share | None = Field(None, description="AdamW's weight decay.")


class Curriculum(Section):
    """Stage 4 of MPDistil. A null is the preset's value; where that has none, what the key's description says."""

    episodes: Count | None = Field(None, description="Passes over the target's quiz batches.")
    max_steps_per_episode: Count | None = Field(None, description="Steps of an episode, at most; null: the whole pass.")
    batch_size: Count | None = Field(None, description="Rows of a quiz batch.")
    sampler: Literal["policy", "uniform", "target", "kd_only"] | None = Field(
        None, description="Who picks the dataset of a step."
    )
    reward: Literal["binary", "real", "gain", "alignment"] | None = Field(None, description="Eq. 4, Eq. 5, or ours.")
    update: Literal["step", "episode"] | None = Field(None, description="'episode' is the authors' code.")
    probe: Literal["selection", "exam"] | None = Field(None, description="Fixed rows for gain and alignment.")
    probe_rows: Count | None = Field(None, description="Rows of the probe, at most.")
    gamma: Share | None = Field(None, description="Discount (binary and real).")
    baseline: Literal["none", "running", "episode", "normalised"] | None = Field(
        None, description="Subtracted from the return; normalised: and divided by its deviation."
    )
    policy_learning_rate: Rate | None = Field(None, description="The policy's learning rate.")
    student_learning_rate: Rate | None = Field(None, description="The student's learning rate.")
    weight_decay: Share | None = Field(None, description="The student's weight decay.")
    clip_norm: float | None = Field(None, gt=0, description="The student's gradient norm is clipped to this.")

    @field_validator("probe", mode="before")
    @classmethod
    def _never_the_quiz(cls, value: object) -> object:
        if value == "quiz":
            raise ValueError(
                "'quiz' is refused: the student trains on the quiz, and a probe of those rows rewards memorising"
            )
        return value

    @model_validator(mode="after")
    def _levels_only(self) -> "Curriculum":
        if self.reward in ("gain", "alignment"):
            if self.update == "episode":
                raise ValueError(
                    f"curriculum.update: episode has no meaning with reward {self.reward}, which is what one step adds; "
                    "use update: step, or reward binary or real"
                )
            for name in ("gamma", "baseline"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"curriculum.{name} has no meaning with reward {self.reward}, which belongs to one step; set it to null"
                    )
        return self
