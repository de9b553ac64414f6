"""params.yaml as frozen pydantic classes, one per section: the only reader of that file.

Every stage gets its values from here and nowhere else. A key that no class knows is an error with the nearest known one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from config import upgrade
from config.method_lists import Methods
from config.method_parameters import Answering, MethodSections
from config.methods import ROWS, TRAINED, MethodRow, full_name, row_of
from config.presets import with_preset
from config.reading import explain, read_yaml
from config.sections import OF_THE_TEACHER, Name, Section
from config.stages import (
    Checkpoint,
    Evaluate,
    Launch,
    Models,
    Registry,
    Report,
    Search,
    Signals,
    Source,
    Split,
    Student,
    Teacher,
)
from errors import UserError


class Parameters(MethodSections):
    """A whole params file."""

    benchmark: Name = Field(description="The group; glue and superglue are built in.")
    datasets: tuple[Name, ...] = Field(
        min_length=1, description="The pipeline's datasets, and the curriculum's actions."
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(min_length=1, description="Seeds of training.")
    methods: Methods
    launch: Launch = Field("python -m", description="'python -m', or 'python -m hardware NAME' for a file of hardware/; also 'accelerate launch ... -m'.")  # fmt: skip
    threads: int = Field(2, ge=1, le=1024, description="CPU threads; they change the last bits of a result.")
    precision: Literal["float32", "bf16"] = Field("float32", description="Precision of training passes; bf16 by autocast, weights stay float32.")  # fmt: skip
    selected_by: Literal["loss", "metric", "metric_then_loss"] = Field(description="Rule that chooses epochs and episodes on selection: the mean task loss, the primary metric, or that with its ties settled by the loss.")  # fmt: skip
    compile: bool = Field(False, description="Train through torch.compile; see docs/performance.md.")
    source: Source
    split: Split
    models: Models = Models()
    teacher: Teacher
    signals: Signals = Signals()
    student: Student
    search: Search
    checkpoint: Checkpoint = Checkpoint()
    evaluate: Evaluate = Evaluate()
    registry: Registry = Registry()
    report: Report = Report()

    @model_validator(mode="after")
    def _lists_agree(self) -> "Parameters":
        for key in ("datasets", "seeds"):
            repeated = [str(value) for value in getattr(self, key) if getattr(self, key).count(value) > 1]
            if repeated:
                raise ValueError(f"{key}: {repeated[0]} is named twice")
        if self.student.init == "pretrained_teacher_layers" and self.teacher.checkpoint is None:
            raise ValueError(
                "student.init: pretrained_teacher_layers takes the layers of teacher.checkpoint, which is null; name it, "
                "or use teacher_layers, checkpoint or config"
            )
        self._students_start_from_others()
        kept = self.mpdistil.base if self.split.quiz_joins_train and self.methods.curriculum else None
        if self.split.quiz_kept_from != kept:
            raise ValueError(
                f"split.quiz_kept_from must be {kept or 'null'}: mpdistil.base where split.quiz_joins_train is true and "
                "mpdistil is among `methods`, because its curriculum needs a fresh quiz; else null"
            )
        return self

    def _students_start_from_others(self) -> None:
        """Raise ValueError where a method goes on from a student, or learns from a meta-teacher, that nothing makes."""
        methods = self.methods
        if methods.curriculum and self.mpdistil.base not in methods:
            raise ValueError(f"mpdistil.base: {self.mpdistil.base} must be among `methods`")
        if methods.curriculum and self.curriculum.target_steps > 0:
            base = row_of(self.mpdistil.base)
            if base.family != "student" or base.teacher not in ("none", "signals"):
                raise ValueError(
                    f"curriculum.target_steps: {self.curriculum.target_steps} are by the loss of mpdistil.base, but that of "
                    f"{base.name} reads more than the teacher's stored signals; use kd or mse_kd as base, or target_steps: 0"
                )
        if methods.meta_taught and not methods.curriculum:
            raise ValueError("methods.meta_taught: the meta-teacher is made for mpdistil, which is not among `methods`")
        if alone := [name for name in methods.multi_task if name not in methods]:
            raise ValueError(
                f"methods.multi_task: {full_name('multi_task', alone[0])} goes on from {alone[0]}, which must be in "
                "methods.student"
            )

    @model_validator(mode="after")
    def _methods_have_what_they_need(self) -> "Parameters":
        rows = [row_of(name) for name in self.methods.names]
        if (along := [row.name for row in rows if row.teacher == "trajectory"]) and not self.teacher.trajectory:
            raise ValueError(f"{along[0]} learns from the teacher's epochs; set teacher.trajectory: true")
        self._methods_fit_both_networks(rows)
        if self.teacher.trajectory and self.teacher.patience is not None:
            raise ValueError(
                f"teacher.patience: {self.teacher.patience}, but teacher.trajectory keeps every epoch for prokd and rco, which "
                "learn from as many as teacher.epochs says; set teacher.patience to null, or teacher.trajectory to false"
            )
        if self.teacher.trajectory and self.teacher.origin != "train":
            raise ValueError(
                f"teacher.trajectory: a supplied teacher ({self.teacher.origin}) has no epochs to keep; set it to false"
            )
        underivable = [row.name for row in rows if row.forward_derivatives]
        if self.compile and underivable:
            raise ValueError(
                f"compile: true, but {underivable[0]} takes forward-mode derivatives, which compiled code does not support; "
                "set it to false, or train this method in a params file of its own"
            )
        if self.precision == "bf16" and underivable:
            raise ValueError(
                f"precision: bf16, but {underivable[0]} repeats the dropout masks of a bf16 pass in float32, and no GPU "
                "test has shown yet that they agree; set it to float32, or train this method in a params file of its own"
            )
        for row in rows:
            section = self.of_method(row.name)
            if self.compile and isinstance(section, Answering) and section.same_masks:
                raise ValueError(
                    f"compile: true, but {row.name}.same_masks repeats dropout masks, which compiled code draws in an order "
                    "of its own; set one of the two to false"
                )
        if self.lgtm.feedback == "dev" and self.split.selection != "dev":
            raise ValueError("lgtm.feedback: dev is the paper's protocol, which needs split.selection: dev; use quiz")
        return self

    def _methods_fit_both_networks(self, rows: Sequence[MethodRow]) -> None:
        """Raise ValueError where a method compares what is not stored, or needs other networks or epochs."""
        for row in rows:
            if row.stored_layers and self.signals.layers == "none":
                raise ValueError(
                    f"signals.layers: none, but {row.name} compares the teacher's layers; set it to compared"
                )
            if self.student.depth is not None and self.student.depth < row.least_depth:
                raise ValueError(
                    f"{row.name} needs a student of {row.least_depth} layers or more, but it has {self.student.depth}; use kd"
                )
            self.of_method(row.name).check(self.student, self.teacher)


def load(path: Path = Path("params.yaml")) -> Parameters:
    """The parameters in a file, presets filled in. Raises UserError with every error of the file."""
    content = read_yaml(path)
    advice, content = upgrade.advice(content, path), upgrade.modern(content)
    lines = advice + _missing_sections(content)
    try:
        given = Parameters.model_validate(with_preset(content))
        if not lines:
            return _with_hidden_weights(given)
    except ValidationError as failure:
        lines += explain(failure.errors(), Parameters)
    raise UserError(listed(path, lines)) from None


def listed(path: Path, lines: Sequence[str]) -> str:
    """All errors of a file, as a person reads them."""
    count = f"{len(lines)} error{'s' * (len(lines) > 1)}"
    return "\n  ".join([f"{path}: {count}", *lines])


def _missing_sections(content: Mapping[str, object]) -> list[str]:
    """Sections that DVC tracks by name: those of the methods used, and of those whose layers the signals hold."""
    lists = content.get("methods")
    lists = lists.values() if isinstance(lists, Mapping) else ()
    named = [name for names in lists if isinstance(names, tuple) for name in names]
    wanted = [*(row.name for row in ROWS if row.stored_layers), *(name for name in named if name in TRAINED)]
    return [
        f"{name}: the section is missing; write `{name}: {{}}` for its defaults"
        for name in dict.fromkeys(wanted)
        if name not in content
    ]


def _with_hidden_weights(given: Parameters) -> Parameters:
    """Fill the null weights of hidden terms from where the student starts."""
    place, filled = int(given.student.init not in OF_THE_TEACHER), dict[str, Section]()
    for row in ROWS:
        section = given.of_method(row.name)
        null = {key: weights[place] for key, weights in section.with_start.items() if getattr(section, key) is None}
        filled[row.name] = section.model_copy(update=null)
    return given.model_copy(update=filled)
