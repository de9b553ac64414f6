"""params.yaml as frozen pydantic classes, one per section: the only reader of that file.

    python -m config [FILE ...]        check params files and what they name, print every error of each
    python -m config --schema          print the JSON schema that editors use

Every stage gets its values from here and nowhere else. A key that no class knows is an error with the nearest known one.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from config.method_parameters import (
    HIDDEN_WEIGHTS,
    OF_THE_TEACHER,
    AnnealingKd,
    AssistedMethod,
    Ckd,
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
    MultiMethod,
    Name,
    PesfKd,
    Pkd,
    ProKd,
    ProKt,
    Rco,
    Section,
    Sftn,
    Skd,
    StudentMethod,
    Takd,
    TaughtMethod,
    TinyBert,
)
from config.reading import explain, read_yaml
from config.stages import (
    Assisted,
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
    check_epochs,
    check_sizes,
)
from errors import UserError

Method = Literal[StudentMethod, AssistedMethod, TaughtMethod, MultiMethod, "mpdistil"]
META = "_meta"
"""`kd_meta` is kd with the meta-teacher as its teacher."""
MULTI = "_multi"
"""`kd_multi` is kd's student after as many steps on all quizzes as a curriculum takes."""
FORWARD_MODE = ("metadistil", "lgtm")
ANSWERING = ("dml", "prokt")
"""Methods with `same_masks` that may be compiled."""
ALWAYS_TRACKED = ("mse_kd", "pkd")  # dvc.yaml names a key of theirs in every pipeline
SHARES = {
    "student.methods": "`methods` without mpdistil, takd, sftn and those that end in _meta or _multi",
    "assisted.methods": "what `methods` names of takd and sftn",
    "mpdistil.teaches": "what `methods` names with _meta behind it, without that",
    "mpdistil.multi_task": "what `methods` names with _multi behind it, without that",
}
PRESETS = Path(__file__).parents[1] / "profiles" / "presets" / "mpdistil.yaml"


class Parameters(Section):
    """A whole params file."""

    benchmark: Name = Field(description="The group; glue and superglue are built in.")
    datasets: tuple[Name, ...] = Field(
        min_length=1, description="The pipeline's datasets, and the curriculum's actions."
    )
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(min_length=1, description="Seeds of training.")
    methods: tuple[Method, ...] = Field(min_length=1, description="What is evaluated and reported.")
    launch: Launch = Field("python -m", description="'python -m', or 'python -m hardware NAME' for a file of hardware/; also 'accelerate launch ... -m'.")  # fmt: skip
    threads: int = Field(2, ge=1, le=1024, description="CPU threads; they change the last bits of a result.")
    precision: Literal["float32", "bf16"] = Field("float32", description="Of training's passes; bf16 by autocast, weights stay float32.")  # fmt: skip
    selected_by: Literal["loss", "metric", "metric_then_loss"] = Field(description="What chooses epochs and episodes on selection: the mean task loss, the headline metric, or that with its ties settled by the loss.")  # fmt: skip
    compile: bool = Field(False, description="Train through torch.compile; docs/performance.md says when it pays.")
    source: Source
    split: Split
    models: Models = Models()
    teacher: Teacher
    signals: Signals = Signals()
    student: Student
    search: Search
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
    assisted: Assisted
    takd: Takd = Takd()
    sftn: Sftn = Sftn()
    mpdistil: MpDistil
    meta_teacher: MetaTeacher = MetaTeacher()
    curriculum: Curriculum = Curriculum()
    checkpoint: Checkpoint = Checkpoint()
    evaluate: Evaluate = Evaluate()
    registry: Registry = Registry()
    report: Report = Report()

    @model_validator(mode="after")
    def _lists_agree(self) -> "Parameters":
        for key in ("datasets", "seeds", "methods"):
            repeated = [str(value) for value in getattr(self, key) if getattr(self, key).count(value) > 1]
            if repeated:
                raise ValueError(f"{key}: {repeated[0]} is named twice")
        self._methods_are_shared_out()
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
        if "mpdistil" in self.methods and self.mpdistil.base not in self.methods:
            raise ValueError(f"mpdistil.base: {self.mpdistil.base} must be among `methods`")
        kept = self.mpdistil.base if self.split.quiz_joins_train and "mpdistil" in self.methods else None
        if self.split.quiz_kept_from != kept:
            raise ValueError(
                f"split.quiz_kept_from must be {kept or 'null'}: mpdistil.base where split.quiz_joins_train is true and "
                "mpdistil is among `methods`, because its curriculum needs a fresh quiz; else null"
            )
        return self

    def _methods_are_shared_out(self) -> None:
        """Raise ValueError where a list of methods of one stage is not what `methods` says."""
        shares: dict[str, tuple[tuple[str, ...], object]] = {
            "student.methods": (self.student.methods, StudentMethod),
            "assisted.methods": (self.assisted.methods, AssistedMethod),
            "mpdistil.teaches": (tuple(f"{name}{META}" for name in self.mpdistil.teaches), TaughtMethod),
            "mpdistil.multi_task": (tuple(f"{name}{MULTI}" for name in self.mpdistil.multi_task), MultiMethod),
        }
        for key, (listed, allowed) in shares.items():
            wanted = [name for name in self.methods if name in get_args(allowed)]
            if sorted(listed) != sorted(wanted):
                names = ", ".join(name.removesuffix(META).removesuffix(MULTI) for name in wanted)
                raise ValueError(f"{key} must be {SHARES[key]}: [{names}]")
        if self.mpdistil.teaches and "mpdistil" not in self.methods:
            raise ValueError("mpdistil.teaches: the meta-teacher is made for mpdistil, which is not among `methods`")
        if alone := [name for name in self.mpdistil.multi_task if name not in self.methods]:
            raise ValueError(
                f"mpdistil.multi_task: {alone[0]}{MULTI} goes on from {alone[0]}, which must be among `methods`"
            )

    @model_validator(mode="after")
    def _methods_have_what_they_need(self) -> "Parameters":
        check_sizes(self.methods, self.student, self.teacher, self.takd)
        for method in ("prokd", "rco"):
            if method in self.methods and not self.teacher.trajectory:
                raise ValueError(f"{method} learns from the teacher's epochs; set teacher.trajectory: true")
        check_epochs(self.methods, self.student, self.teacher, self.prokd, self.rco)
        if self.teacher.trajectory and self.teacher.patience is not None:
            raise ValueError(
                f"teacher.patience: {self.teacher.patience}, but teacher.trajectory keeps every epoch for prokd and rco, which "
                "learn from as many as teacher.epochs says; set teacher.patience to null, or teacher.trajectory to false"
            )
        if self.teacher.trajectory and self.teacher.origin != "train":
            raise ValueError(
                f"teacher.trajectory: a supplied teacher ({self.teacher.origin}) has no epochs to keep; set it to false"
            )
        underivable = [name for name in FORWARD_MODE if name in self.methods]
        if self.compile and underivable:
            raise ValueError(
                f"compile: true, but {underivable[0]} takes forward derivatives, which compiled code has none of; "
                "set it to false, or train this method in a params file of its own"
            )
        if self.precision == "bf16" and underivable:
            raise ValueError(
                f"precision: bf16, but {underivable[0]} repeats the dropout masks of a bf16 pass in float32, and no GPU "
                "test has shown yet that they agree; set it to float32, or train this method in a params file of its own"
            )
        for name in (name for name in ANSWERING if self.compile and name in self.methods):
            if getattr(self, name).same_masks:
                raise ValueError(
                    f"compile: true, but {name}.same_masks repeats dropout masks, which compiled code draws in an order of "
                    "its own; set one of both to false"
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
    """The parameters in a file, presets filled in. Raises UserError with every error of the file."""
    content = read_yaml(path)
    lines = _missing_sections(content)
    try:
        given = Parameters.model_validate(content)
        if not lines:
            return _with_hidden_weights(_with_preset(given))
    except ValidationError as failure:
        lines += explain(failure.errors(), Parameters)
    raise UserError(listed(path, lines)) from None


def listed(path: Path, lines: Sequence[str]) -> str:
    """All errors of a file, as a person reads them."""
    count = f"{len(lines)} error{'s' * (len(lines) > 1)}"
    return "\n  ".join([f"{path}: {count}", *lines])


def _missing_sections(content: Mapping[str, object]) -> list[str]:
    """Sections that DVC tracks by name: those of the methods used, and of those whose layers the signals hold."""
    named = content.get("methods")
    used = (
        [str(name).removesuffix(META).removesuffix(MULTI) for name in named] if isinstance(named, list | tuple) else []
    )
    wanted = [name for name in (*ALWAYS_TRACKED, *used) if name in get_args(Literal[StudentMethod, AssistedMethod])]
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


def _with_hidden_weights(given: Parameters) -> Parameters:
    """Fill the null weights of hidden terms from where the student starts."""
    of_the_teacher, filled = given.student.init in OF_THE_TEACHER, dict[str, Section]()
    for method, weights in HIDDEN_WEIGHTS.items():
        section: Section = getattr(given, method)
        null = {
            key: ours if of_the_teacher else others
            for key, (ours, others) in weights.items()
            if getattr(section, key) is None
        }
        filled[method] = section.model_copy(update=null)
    return given.model_copy(update=filled)


def _over(preset: Section, own: Section) -> dict[str, object]:
    """The preset's values, and over them those that are not null."""
    return {**preset.model_dump(), **{key: value for key, value in own.model_dump().items() if value is not None}}


def main(arguments: list[str] | None = None) -> int:
    """Check files, or print the schema; 2 if a file can't be used."""
    parser = argparse.ArgumentParser(
        prog="python -m config",
        description="Check params files and what they name: folders, rows, checkpoints. Print every error of each.",
    )
    parser.add_argument("files", nargs="*", type=Path, default=[Path("params.yaml")])
    parser.add_argument("--schema", action="store_true", help="print the JSON schema instead")
    options = parser.parse_args(arguments)
    if options.schema:
        print(json.dumps(Parameters.model_json_schema(), indent=2))
        return 0
    from tasks.preflight import (
        named_files,  # only here: a stage that reads its parameters needs none of what that imports
    )

    bad = 0
    for path in options.files:
        try:
            given = load(path)
            found = named_files.problems(given)
            if found:
                raise UserError(listed(path, found))
        except UserError as error:
            bad += 1
            print(error, file=sys.stderr)
        else:
            for note in named_files.notes(given):
                print(f"{path}: WARNING: {note}", file=sys.stderr)
            print(
                f"{path}: valid ({given.benchmark}: {len(given.datasets)} datasets, {len(given.seeds)} seeds, methods {', '.join(given.methods)})"
            )
    return 2 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
