"""params.yaml as frozen pydantic classes, one per section: the only reader of that file.

    python -m config [FILE ...]        check params files, print every error of each
    python -m config --schema          print the JSON schema that editors use

Every stage gets its values from here and nowhere else. A key that no class knows is an error with the nearest known one.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from params_file import ConfigError, explain, read_yaml

StudentMethod = Literal["finetune", "mse_kd"]
Method = Literal["finetune", "mse_kd", "mpdistil"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
PRESETS = Path(__file__).parent / "profiles" / "presets" / "mpdistil.yaml"


class Section(BaseModel):
    """Common rules of all sections: immutable, no unknown key, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Source(Section):
    """Where rows come from."""

    folder: str = Field(description="A sub-folder a dataset: rows and dataset.yaml.")
    search: tuple[str, ...] = Field((), description="Folders searched for rows before the Hub.")


class Split(Section):
    """How rows become train, quiz, selection and dev, and text becomes tokens."""

    seed: int = Field(0, ge=0, description="Seed of the hash that ranks rows.")
    quiz: float = Field(0.1, gt=0, lt=0.5, description="Share of train for stages 3 and 4.")
    selection: Literal["held_out", "dev"] = Field(
        "held_out",
        description="Rows that choose epochs and episodes: a part of train, or dev as in the paper (every number is then labelled).",
    )
    selection_fraction: float = Field(0.1, gt=0, lt=0.5, description="Share of train held out for selection.")
    selection_minimum: int = Field(64, ge=1, description="Selection rows, at least.")
    selection_maximum: float = Field(0.2, gt=0, lt=0.5, description="At most, as a share of train.")
    dev_fraction: float = Field(0.15, gt=0, lt=0.5, description="Share held out where there are no dev rows.")
    tokenizer: str = Field(description="Checkpoint (folder or Hub id) whose tokenizer is used, or 'quickstart'.")
    max_length: int = Field(128, ge=8, le=8192, description="Tokens of an input, at most.")


class Models(Section):
    """What all models of the pipeline share."""

    search: tuple[str, ...] = Field((), description="Folders searched for a checkpoint before the Hub.")
    revision: str | None = Field(None, description="Hub revision of the checkpoints.")
    attention: Literal["sdpa", "eager"] = Field("sdpa", description="Attention implementation.")


class Training(Section):
    """One supervised training run."""

    epochs: int = Field(ge=1, le=10_000, description="Passes over train; the best on selection is kept.")
    batch_size: Count = Field(8, description="Rows a step.")
    learning_rate: Rate = Field(2e-5, description="AdamW's peak learning rate.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's weight decay.")
    warmup: float = Field(0.0, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    clip_norm: float | None = Field(1.0, gt=0, description="Gradient norm, at most; null: not clipped.")


class Teacher(Training):
    """The large model: trained here, or supplied."""

    origin: str = Field("train", alias="from", description="'train', or a folder or Hub id; {dataset} is replaced.")
    checkpoint: str | None = Field(None, description="Checkpoint to train from (folder or Hub id).")
    config: dict[str, int | float | str | bool] | None = Field(
        None, description="Sizes of a random teacher (model_type, ...)."
    )
    no_better_than_majority: Literal["warn", "error"] = Field(
        "warn", description="When it doesn't beat the majority class on selection."
    )

    @model_validator(mode="after")
    def _one_origin(self) -> "Teacher":
        if self.origin == "train" and (self.checkpoint is None) == (self.config is None):
            raise ValueError(
                "give exactly one of teacher.checkpoint and teacher.config (or supply a teacher with teacher.from)"
            )
        return self


class Signals(Section):
    """What the teacher says about every row, stored once."""

    batch_size: Count = Field(32, description="Rows a forward pass.")


class Student(Training):
    """The small model."""

    methods: tuple[StudentMethod, ...] = Field(min_length=1, description="`methods` without mpdistil.")
    init: Literal["pretrained_teacher_layers", "teacher_layers", "checkpoint", "config"] = Field(
        "pretrained_teacher_layers", description="Where the student's weights start."
    )
    layers: int | tuple[int, ...] | None = Field(
        None, description="From the teacher: a number (spread evenly), or a list from 1."
    )
    checkpoint: str | None = Field(None, description="With init: checkpoint; folder or Hub id.")
    config: dict[str, int | float | str | bool] | None = Field(
        None, description="With init: config: sizes of a random student."
    )

    @model_validator(mode="after")
    def _init_has_what_it_needs(self) -> "Student":
        needed = {"checkpoint": "checkpoint", "config": "config"}.get(self.init, "layers")
        if getattr(self, needed) is None:
            raise ValueError(f"student.init: {self.init} needs student.{needed}")
        for other in {"checkpoint", "config", "layers"} - {needed}:
            if getattr(self, other) is not None:
                raise ValueError(
                    f"student.{other} has no meaning with student.init: {self.init}; remove it or set it to null"
                )
        return self


class Finetune(Section):
    """No teacher: the task loss only. It has no parameters."""


class MseKd(Section):
    """MPDistil's Eq. 1: task loss, squared error of softened probabilities, squared error of normalised hidden vectors."""

    alpha: Share = Field(0.5, description="Weight of the task loss; the soft term has 1 - alpha.")
    alpha_on: Literal["task", "soft"] = Field("task", description="Term that alpha weighs; soft: the authors' code.")
    beta: float = Field(100.0, ge=0, le=1e6, description="Weight of the hidden term.")
    temperature: float = Field(5.0, gt=0, le=1e3, description="Softens logits; without effect for regression.")
    temperature_squared: bool = Field(False, description="Multiply the soft term by temperature squared.")
    mapping: Literal["uniform", "first", "last"] | tuple[tuple[int, int], ...] = Field(
        "uniform", description="How layers are matched; or pairs [student layer, teacher layer]."
    )


class MpDistil(Section):
    """The method as a whole."""

    base: StudentMethod = Field("mse_kd", description="The student that the curriculum goes on from.")
    preset: Literal["default", "paper"] = Field(
        "default", description="Values of null keys of meta_teacher and curriculum."
    )
    datasets: tuple[Name, ...] = Field(description="`datasets`, or [] without mpdistil in `methods`.")


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


class Curriculum(Section):
    """Stage 4 of MPDistil. A null is the preset's value."""

    episodes: Count | None = Field(None, description="Passes over the target's quiz batches.")
    max_steps_per_episode: Count | None = Field(None, description="Bounds an episode on a large quiz split.")
    batch_size: Count | None = Field(None, description="Rows of a quiz batch.")
    sampler: Literal["policy", "uniform", "target", "kd_only"] | None = Field(
        None, description="Who picks the dataset of a step."
    )
    reward: Literal["binary", "real", "gain", "alignment"] | None = Field(None, description="Eq. 4, Eq. 5, or ours.")
    update: Literal["step", "episode"] | None = Field(None, description="'episode' is the authors' code.")
    probe: Literal["selection", "exam"] | None = Field(None, description="Fixed rows for gain and alignment.")
    probe_rows: Count | None = Field(None, description="Rows of the probe, at most.")
    gamma: Share | None = Field(None, description="Discount (binary and real).")
    baseline: Literal["none", "running", "episode"] | None = Field(None, description="Subtracted from the return.")
    policy_learning_rate: Rate | None = Field(None, description="The policy's learning rate.")
    student_learning_rate: Rate | None = Field(None, description="The student's learning rate.")
    weight_decay: float | None = Field(None, ge=0, le=1, description="The student's weight decay.")

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


class Evaluate(Section):
    """How models are scored and timed."""

    batch_size: Count = Field(32, description="Rows a forward pass.")
    latency_batch: Count = Field(1, description="Rows in a timed forward pass.")
    latency_length: Count = Field(64, description="Tokens of each, cut to split.max_length.")
    latency_threads: Count = Field(1, description="CPU threads while timing.")
    latency_repeats: int = Field(30, ge=3, le=10_000, description="Timed passes.")


class Registry(Section):
    """What goes into the registry as champion. Compared are task losses on rows that neither version was trained on."""

    level: float = Field(0.9, gt=0.5, lt=1, description="Coverage of the interval that may block a new champion.")
    minimum_rows: Count = Field(100, description="Rows below which a comparison says 'too few rows to tell'.")
    first_margin: float = Field(
        -10.0, ge=-200, le=200, description="Points to the teacher that the first champion must reach."
    )
    max_parameters: Count | None = Field(None, description="Parameters of a champion, at most.")
    max_latency_ms: float | None = Field(None, gt=0, description="Its median latency (ms), at most.")


class Report(Section):
    """Statistics of the report."""

    bootstrap: int = Field(2000, ge=100, le=1_000_000, description="Resamples of the dev rows.")
    level: float = Field(0.95, gt=0.5, lt=1, description="Coverage of the interval.")


class Parameters(Section):
    """A whole params file."""

    benchmark: Name = Field(description="The group; glue and superglue are built in.")
    datasets: tuple[Name, ...] = Field(
        min_length=1, description="The pipeline's datasets, and the curriculum's actions."
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(min_length=1, description="Seeds of training.")
    methods: tuple[Method, ...] = Field(min_length=1, description="What is evaluated and reported.")
    launch: str = Field("python -m", pattern=r"^(python|accelerate launch .+) -m$", description="'python -m', or 'accelerate launch --config_file hardware/NAME.yaml -m' for more than one process.")  # fmt: skip
    threads: int = Field(2, ge=1, le=1024, description="CPU threads; they change the last bits of a result.")
    source: Source
    split: Split
    models: Models = Models()
    teacher: Teacher
    signals: Signals = Signals()
    student: Student
    finetune: Finetune = Finetune()
    mse_kd: MseKd = MseKd()
    mpdistil: MpDistil
    meta_teacher: MetaTeacher = MetaTeacher()
    curriculum: Curriculum = Curriculum()
    evaluate: Evaluate = Evaluate()
    registry: Registry = Registry()
    report: Report = Report()

    @model_validator(mode="after")
    def _lists_agree(self) -> "Parameters":
        for key in ("datasets", "seeds", "methods"):
            repeated = [str(value) for value in getattr(self, key) if getattr(self, key).count(value) > 1]
            if repeated:
                raise ValueError(f"{key}: {repeated[0]} is named twice")
        trained = tuple(method for method in self.methods if method != "mpdistil")
        if sorted(trained) != sorted(self.student.methods):
            raise ValueError(f"student.methods must be `methods` without mpdistil: [{', '.join(trained)}]")
        curricula = self.datasets if "mpdistil" in self.methods else ()
        if sorted(self.mpdistil.datasets) != sorted(curricula):
            raise ValueError(
                f"mpdistil.datasets must be [{', '.join(curricula)}]: `datasets`, or empty without mpdistil in `methods`"
            )
        if self.student.init == "pretrained_teacher_layers" and self.teacher.checkpoint is None:
            raise ValueError(
                "student.init: pretrained_teacher_layers takes the layers of teacher.checkpoint, which is null; name it, "
                "or use teacher_layers, checkpoint or config"
            )
        if "mpdistil" in self.methods and self.mpdistil.base not in self.student.methods:
            raise ValueError(f"mpdistil.base: {self.mpdistil.base} must be among `methods`")
        return self


class Preset(Section):
    """Values for the null keys of two sections."""

    meta_teacher: MetaTeacher
    curriculum: Curriculum


class Presets(Section):
    """profiles/presets/mpdistil.yaml."""

    paper: Preset
    default: Preset


def load(path: Path = Path("params.yaml")) -> Parameters:
    """The parameters in a file, presets filled in. Raises ConfigError with every error of the file."""
    content = read_yaml(path)
    try:
        return _with_preset(Parameters.model_validate(content))
    except ValidationError as failure:
        lines = explain(failure.errors(), Parameters)
        count = f"{len(lines)} error{'s' * (len(lines) > 1)}"
        raise ConfigError("\n  ".join([f"{path}: {count}", *lines])) from None


def _with_preset(given: Parameters) -> Parameters:
    """Fill the null keys of meta_teacher and curriculum from the preset."""
    presets = Presets.model_validate(read_yaml(PRESETS))
    preset = presets.paper if given.mpdistil.preset == "paper" else presets.default
    filled = {
        "meta_teacher": MetaTeacher.model_validate(_over(preset.meta_teacher, given.meta_teacher)),
        "curriculum": Curriculum.model_validate(_over(preset.curriculum, given.curriculum)),
    }
    return given.model_copy(update=filled)


def _over(preset: Section, own: Section) -> dict[str, object]:
    """The preset's values, and over them those that are not null."""
    return {**preset.model_dump(), **{key: value for key, value in own.model_dump().items() if value is not None}}


def main(arguments: list[str] | None = None) -> int:
    """Check files, or print the schema; 2 if a file can't be used."""
    parser = argparse.ArgumentParser(
        prog="python -m config", description="Check params files, print every error of each."
    )
    parser.add_argument("files", nargs="*", type=Path, default=[Path("params.yaml")])
    parser.add_argument("--schema", action="store_true", help="print the JSON schema instead")
    options = parser.parse_args(arguments)
    if options.schema:
        print(json.dumps(Parameters.model_json_schema(), indent=2))
        return 0
    bad = 0
    for path in options.files:
        try:
            given = load(path)
        except ConfigError as error:
            bad += 1
            print(error, file=sys.stderr)
        else:
            print(
                f"{path}: valid ({given.benchmark}: {len(given.datasets)} datasets, {len(given.seeds)} seeds, methods {', '.join(given.methods)})"
            )
    return 2 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
