"""The three sections of params.yaml that belong to MPDistil."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from config.sections import Count, MethodSection, Rate, Section, Share, TrainedMethod


class MpDistil(MethodSection):
    """The method as a whole."""

    base: TrainedMethod = Field("mse_kd", description="The student that the curriculum starts from.")
    preset: Literal["default", "paper"] = Field(
        "default", description="Values of null keys of meta_teacher and curriculum."
    )


def _null_or_missing(schema: dict[str, Any]) -> None:
    """Let every key of a section be null or missing, since a preset fills it."""
    schema.pop("required", None)
    for key, own in schema["properties"].items():
        said = {name: own.pop(name) for name in ("description", "title") if name in own}
        choices = own.get("anyOf", [own, {"type": "null"}])
        schema["properties"][key] = {"anyOf": choices, "default": None, **said}


class MetaTeacher(Section):
    """Stage 3 of MPDistil. In a params file every key may be null: the preset then has its value."""

    model_config = ConfigDict(json_schema_extra=_null_or_missing)

    loss: Literal["collaborative", "competitive", "competitive_probability"] = Field(
        description="Eq. 2, 3, or bounded."
    )
    learning_rate: Rate = Field(description="AdamW's learning rate.")
    epochs: Count = Field(description="Maximum number of passes over quiz.")
    batch_size: Count = Field(description="Rows per step.")
    dropout: float = Field(ge=0, lt=1, description="Dropout before the linear layer.")
    patience: Count = Field(description="Epochs without improvement of the selection loss.")
    clip_norm: float = Field(gt=0, description="Gradient norm is clipped to this.")
    weight_decay: Share = Field(description="AdamW's weight decay.")


class Curriculum(Section):
    """Stage 4 of MPDistil. In a params file every key may be null: the preset then has its value.

    Where no preset has one, null is what the description says; of discount, baseline and policy rate, the reward's own.
    """

    model_config = ConfigDict(json_schema_extra=_null_or_missing)

    episodes: Count = Field(description="Passes over the target's quiz batches.")
    max_steps_per_episode: Count | None = Field(
        None, description="Maximum number of steps per episode; null: a whole pass."
    )
    batch_size: Count = Field(description="Rows of a quiz batch.")
    actions_rows: Literal["quiz", "train"] = Field(
        description="Split that the other datasets' batches are drawn from; the target's are always quiz rows."
    )
    heads: Literal["fresh", "warmed"] = Field(
        description="New heads of the other datasets start untrained, or are trained on the student as it comes in."
    )
    head_steps: Count = Field(description="Steps of each head's training (heads: warmed).")
    head_learning_rate: Rate = Field(description="AdamW's learning rate of them.")
    sampler: Literal["policy", "uniform", "target", "kd_only"] = Field(
        description="Choice of the dataset of each step."
    )
    reward: Literal["binary", "real", "gain", "alignment"] = Field(description="Eq. 4, Eq. 5, or ours.")
    update: Literal["step", "episode"] = Field(description="'episode' as in the authors' code.")
    probe: Literal["selection", "exam"] = Field(description="Fixed rows for gain and alignment.")
    probe_rows: Count | Literal["all"] = Field(
        description="Maximum number of rows of the probe; all: the whole of selection."
    )
    gain_steps: Count = Field(description="Steps in a row on a dataset once it is chosen; gain is their sum.")
    target_steps: int = Field(
        ge=0, description="Steps by the base's own loss on the target's train rows after each action."
    )
    patience: Count | None = Field(None, description="Episodes without a better one that end it; null: all are run.")
    gamma: Share | None = Field(None, description="Discount (binary and real).")
    baseline: Literal["none", "running", "episode", "normalised"] | None = Field(
        None, description="Subtracted from the return; normalised: also divided by its deviation."
    )
    policy_learning_rate: Rate | None = Field(None, description="The policy's learning rate.")
    student_learning_rate: Rate = Field(description="The student's learning rate.")
    weight_decay: Share = Field(description="The student's weight decay.")
    clip_norm: float = Field(gt=0, description="The student's gradient norm is clipped to this.")

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

    @model_validator(mode="after")
    def _options_agree(self) -> "Curriculum":
        if self.gain_steps > 1 and self.reward != "gain":
            raise ValueError(
                f"curriculum.gain_steps: {self.gain_steps} takes a gain over several steps, but the reward is {self.reward}; "
                "use reward gain, or gain_steps: 1"
            )
        if self.target_steps > 0 and self.update == "episode":
            raise ValueError(
                f"curriculum.target_steps: {self.target_steps} come after each action, but with update: episode the student "
                "does not move at a step; use update: step, or target_steps: 0"
            )
        if self.probe_rows == "all" and self.probe == "exam":
            raise ValueError(
                "curriculum.probe_rows: all would leave the quiz no row to train on with probe: exam; name a number, or use "
                "probe: selection"
            )
        return self
