"""The sections of params.yaml that belong to a stage each, or to all of them; those of single methods: config/method_parameters.py, config/mpdistil.py."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from config.sections import Count, Rate, Section, TrainedMethod, known_depth

# dvc.yaml puts `launch` into commands that DVC passes to a shell. So only words that no shell expands are allowed, and only
# options that choose where a stage runs, none that names another program. A list of words would be safer; DVC can't render one.
_VALUE = (
    r"[A-Za-z0-9][A-Za-z0-9_:@=,+-]*([./][A-Za-z0-9_:@=,+-]+)*"  # a number, a name, an address, a path without `..`
)
_ACCELERATE = "config_file|num_processes|num_machines|machine_rank|main_process_ip|main_process_port|mixed_precision|gpu_ids|num_cpu_threads_per_process|rdzv_backend"  # fmt: skip
_TORCHRUN = "nnodes|nproc[_-]per[_-]node|node[_-]rank|master[_-]addr|master[_-]port|rdzv[_-]backend|rdzv[_-]endpoint|rdzv[_-]id|max[_-]restarts"  # fmt: skip
LAUNCH = (
    "^(python -m( hardware [A-Za-z0-9_]+)?"
    f"|accelerate launch( --(cpu|multi_gpu)| --({_ACCELERATE}) {_VALUE})* -m"
    f"|torchrun( --standalone| --({_TORCHRUN}) {_VALUE})* -m)$"
)


def _launches_stages_only(value: str) -> str:
    if re.fullmatch(LAUNCH, value) is None:
        raise ValueError(
            f"{value!r} is not allowed: write 'python -m', 'python -m hardware NAME' for a file of hardware/, or 'accelerate "
            "launch ... -m' or 'torchrun ... -m' with options of theirs that say where to run, each value a plain word; "
            "what else accelerate has goes into the file that --config_file names"
        )
    return value


Launch = Annotated[str, AfterValidator(_launches_stages_only), Field(json_schema_extra={"pattern": LAUNCH})]


class Source(Section):
    """The source of rows."""

    folder: str = Field(description="One sub-folder per dataset: rows and dataset.yaml.")
    search: tuple[str, ...] = Field((), description="Folders searched for rows before the Hub.")

    @field_validator("folder")
    @classmethod
    def _on_this_machine(cls, value: str) -> str:
        if "://" in value:  # DVC would fetch what is there
            raise ValueError(f"{value!r} is an address; name a folder of this machine")
        return value


class Split(Section):
    """The split of rows into train, quiz, selection and dev, and the tokenizer."""

    seed: int = Field(0, ge=0, description="Seed of the hash that ranks rows.")
    quiz: float = Field(
        0.1, gt=0, lt=0.5, description="Share of train for the meta-teacher, the curriculum, metadistil and lgtm."
    )
    selection: Literal["held_out", "dev"] = Field(
        "held_out",
        description="Rows that choose epochs and episodes: a part of train, or dev as in the paper (every number is then labelled).",
    )
    selection_fraction: float = Field(0.1, gt=0, lt=0.5, description="Share of train held out for selection.")
    selection_minimum: int = Field(64, ge=1, description="Minimum number of selection rows.")
    selection_maximum: float = Field(0.2, gt=0, lt=0.5, description="Maximum size of selection as a share of train.")
    dev_fraction: float = Field(0.15, gt=0, lt=0.5, description="Share held out if there are no dev rows.")
    quiz_joins_train: bool = Field(
        description="Students of methods that need no quiz train on its rows too; those of metadistil and lgtm do not, "
        "nor that of quiz_kept_from.",
    )
    quiz_kept_from: TrainedMethod | None = Field(
        description="With quiz_joins_train: mpdistil.base, whose curriculum needs a quiz it was not trained on; null without mpdistil."
    )
    tokenizer: str = Field(description="Checkpoint (folder or Hub id) whose tokenizer is used, or 'quickstart'.")
    max_length: int = Field(128, ge=8, le=8192, description="Maximum tokens of an input.")


class Models(Section):
    """Settings that all models of the pipeline share."""

    search: tuple[str, ...] = Field((), description="Folders searched for a checkpoint before the Hub.")
    revision: str | None = Field(None, description="Hub revision of the checkpoints.")
    attention: Literal["sdpa", "eager"] = Field("sdpa", description="Attention implementation.")

    @property
    def folders(self) -> list[Path]:
        """The folders of `search`."""
        return [Path(path) for path in self.search]


class Training(Section):
    """One supervised training run."""

    epochs: int = Field(ge=1, le=10_000, description="Passes over train; the best on selection is kept.")
    batch_size: Count = Field(8, description="Rows per step.")
    learning_rate: Rate = Field(2e-5, description="AdamW's peak learning rate.")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's weight decay.")
    warmup: float = Field(0.0, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    clip_norm: float | None = Field(1.0, gt=0, description="Maximum gradient norm; null: not clipped.")
    # Without a default, as dvc.yaml names it: DVC asks for what the file leaves out.
    patience: Count | None = Field(
        description="Epochs without improvement on selection after which training ends; null: never. The learning rate decays as over all epochs.",
    )


class Teacher(Training):
    """The large model: trained here, or supplied."""

    origin: str = Field("train", alias="from", description="'train', or a folder or Hub id; {dataset} is replaced.")
    checkpoint: str | None = Field(None, description="Checkpoint to train from (folder or Hub id).")
    config: dict[str, int | float | str | bool] | None = Field(
        None, description="Sizes of a random teacher (model_type, ...)."
    )
    no_better_than_majority: Literal["warn", "error"] = Field(
        "warn", description="Reaction if it is within noise of the majority class (or the mean label) on selection."
    )
    trajectory: bool = Field(False, description="Store its train logits after every epoch (prokd, rco).")

    @property
    def depth(self) -> int | None:
        """Its layers; None: a checkpoint's own."""
        return known_depth(None, self.config)

    @model_validator(mode="after")
    def _one_origin(self) -> "Teacher":
        if self.origin == "train" and (self.checkpoint is None) == (self.config is None):
            raise ValueError(
                "give exactly one of teacher.checkpoint and teacher.config (or supply a teacher with teacher.from)"
            )
        return self


class Signals(Section):
    """The teacher's outputs for every row, stored once."""

    batch_size: Count = Field(32, description="Rows per forward pass.")
    layers: Literal["compared", "none"] = Field(
        "compared",
        description="Layers whose vectors of train are stored: those that mse_kd and pkd compare, listed or not, or none.",
    )


class Student(Training):
    """The small model."""

    init: Literal["pretrained_teacher_layers", "teacher_layers", "checkpoint", "config"] = Field(
        "pretrained_teacher_layers", description="Initial weights of the student."
    )
    layers: int | tuple[int, ...] | None = Field(
        None, description="Layers of the teacher: a number (spread evenly), or a list from 1."
    )
    checkpoint: str | None = Field(None, description="With init: checkpoint; folder or Hub id.")
    config: dict[str, int | float | str | bool] | None = Field(
        None, description="With init: config: sizes of a random student."
    )

    @property
    def depth(self) -> int | None:
        """Its layers; None: a checkpoint's own."""
        return known_depth(self.layers, self.config)

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


Rates = tuple[Rate, ...]


class Search(Section):
    """A search over learning rate and main weight, on selection, for every teacher and student."""

    points: int = Field(ge=1, le=64, description="Settings tried for each, the best kept; 1: no search.")
    # Two lists, so that other rates of students train no teacher again. Without a default, as dvc.yaml names them.
    teacher_rates: Rates | None = Field(
        description="Learning rates that every teacher is trained at, instead of points; null: by points."
    )
    student_rates: Rates | None = Field(
        description="Learning rates that every student is trained at, instead of points; null: by points."
    )

    def rates(self, section: Literal["teacher", "student"]) -> Rates | None:
        """The learning rates that are tried of it, and nothing else; None: the points."""
        return self.teacher_rates if section == "teacher" else self.student_rates

    def settings(self, section: Literal["teacher", "student"]) -> int:
        """Number of settings that it is trained at."""
        rates = self.rates(section)
        return self.points if rates is None else len(rates)

    @model_validator(mode="after")
    def _rates_are_several(self) -> "Search":
        for section in ("teacher", "student"):
            rates = self.rates(section)
            if rates is not None and (len(rates) < 2 or len(set(rates)) < len(rates)):
                raise ValueError(
                    f"search.{section}_rates: give two rates or more, each once; or null, and the one as "
                    f"{section}.learning_rate"
                )
        return self


class Checkpoint(Section):
    """The interval at which a training stage stores its resume state. It affects no result."""

    minutes: float | None = Field(5.0, gt=0, description="Minutes between two checkpoints; null: never by time.")
    steps: Count | None = Field(None, description="Updates between two checkpoints; null: never by step.")


class Evaluate(Section):
    """Scoring and timing of models."""

    batch_size: Count = Field(32, description="Rows per forward pass.")
    latency_batch: Count = Field(1, description="Rows in a timed forward pass.")
    latency_length: Count = Field(
        64, description="Tokens per row, at most split.max_length; also for throughput_batch."
    )
    latency_threads: Count = Field(1, description="CPU threads while timing.")
    latency_repeats: int = Field(30, ge=3, le=10_000, description="Timed passes.")
    throughput_batch: Count = Field(32, description="Rows of the pass for measuring throughput and memory.")


class Registry(Section):
    """The gate of the champion: tests of its dev rows, then a comparison with the present one. docs/registry.md."""

    level: float = Field(0.9, gt=0.5, lt=1, description="Coverage of the gate's intervals.")
    minimum_rows: Count = Field(
        100, description="Minimum dev rows of a champion, and minimum common with the previous one."
    )
    margin: float = Field(
        -10.0, ge=-200, le=200, description="Points to its own teacher; the interval's lower end must be above."
    )
    max_parameters: Count | None = Field(None, description="Maximum number of parameters of a champion.")
    max_latency_ms: float | None = Field(None, gt=0, description="Its maximum median latency (ms).")
    trials: bool = Field(False, description="Register the students of `dvc exp run` and `flows run --set`, too.")

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, given: object) -> object:
        if isinstance(given, dict) and "first_margin" in given:
            raise ValueError(
                f"first_margin: {given['first_margin']} is registry.margin now, and holds for every champion: the interval's "
                "lower end must stay above it; rename the key"
            )
        return given


class Report(Section):
    """Statistics of the report."""

    level: float = Field(0.95, gt=0.5, lt=1, description="Coverage of the interval.")
