"""params.yaml as frozen pydantic classes, one per section: the only reader of that file.

    python -m config [FILE ...]        check params files, print every error of each
    python -m config --schema          print the JSON schema that editors use

Every stage gets its values from here and nowhere else. A key that no class knows is an error with the nearest known one.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from method_sections import (
    AnnealingKd,
    Count,
    Curriculum,
    Dist,
    Dml,
    Finetune,
    Kd,
    Lgtm,
    MetaDistil,
    MetaTeacher,
    MpDistil,
    MseKd,
    Name,
    Pkd,
    ProKd,
    ProKt,
    Rate,
    Rco,
    Section,
    Skd,
    StudentMethod,
)
from params_file import ConfigError, explain, read_yaml

Method = Literal[StudentMethod, "mpdistil"]
ALWAYS_TRACKED = ("mse_kd", "pkd")  # dvc.yaml names a key of theirs in every pipeline
PRESETS = Path(__file__).parent / "profiles" / "presets" / "mpdistil.yaml"


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
    trajectory: bool = Field(False, description="Keep its train logits after every epoch (prokd, rco).")

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

    @model_validator(mode="after")
    def _methods_have_what_they_need(self) -> "Parameters":
        for method in ("prokd", "rco"):
            if method in self.methods and not self.teacher.trajectory:
                raise ValueError(f"{method} learns from the teacher's epochs; set teacher.trajectory: true")
        if self.teacher.trajectory and self.teacher.origin != "train":
            raise ValueError(
                f"teacher.trajectory: a supplied teacher ({self.teacher.origin}) has no epochs to keep; set it to false"
            )
        if self.lgtm.feedback == "dev" and self.split.selection != "dev":
            raise ValueError("lgtm.feedback: dev is the paper's protocol, which needs split.selection: dev; use quiz")
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
    lines = _missing_sections(content)
    try:
        given = Parameters.model_validate(content)
        if not lines:
            return _with_preset(given)
    except ValidationError as failure:
        lines += explain(failure.errors(), Parameters)
    count = f"{len(lines)} error{'s' * (len(lines) > 1)}"
    raise ConfigError("\n  ".join([f"{path}: {count}", *lines])) from None


def _missing_sections(content: Mapping[str, object]) -> list[str]:
    """Sections that DVC tracks by name: those of the methods used, and of those whose layers the signals hold."""
    named = content.get("methods")
    used = [str(name) for name in named] if isinstance(named, list) else []
    wanted = [name for name in (*ALWAYS_TRACKED, *used) if name in get_args(StudentMethod)]
    return [
        f"{name}: the section is missing; write `{name}: {{}}` for its defaults"
        for name in dict.fromkeys(wanted)
        if name not in content
    ]


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
