"""The methods, one row each: everything that params.yaml, stages, report and registry need without running one.

Nobody else branches on a method's name. The mathematics is in methods/<name>.py, the parameters are in the section of that name
(config/method_parameters.py). Like all of config/, this module is no dependency of a stage: a use of the teacher or a main
weight that changes here changes results together with the method's own file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

PAPER = 'MPDistil: "A Good Learner can Teach Better: Teacher-Student Collaborative Knowledge Distillation", ICLR 2024'
FAMILIES = ("student", "assisted", "meta_taught", "multi_task", "curriculum")
"""Keys of `methods` in params.yaml, in the order in which their methods are evaluated and reported."""
SUFFIXES = {"meta_taught": "_meta", "multi_task": "_multi"}
"""Family -> suffix of its methods' full names: kd under `meta_taught` is the method kd_meta."""
BASELINE = "finetune"
"""The method without a teacher: the baseline of distillation."""


@dataclass(frozen=True)
class MethodRow:
    """One method."""

    name: str
    family: Literal["student", "assisted", "curriculum"]
    teacher: Literal["none", "signals", "trajectory", "runs", "moves"]
    """Use of the teacher: none, its stored signals, those of its epochs, it runs, or it (or its head) trains too."""
    learns: str
    """Training of a student in words, for model cards."""
    refuses: tuple[str, ...] = ()
    """Kinds of dataset for which the method is undefined."""
    least_classes: int = 0
    least_depth: int = 1
    """Minimum number of student layers."""
    main_weight: str | None = None
    """Parameter that a search varies beside the learning rate; None: nothing. A weight of 0 stays 0."""
    layers: Literal["none", "mapped", "patient", "all"] = "none"
    """Layers that are compared: those of its `mapping`, PKD's, or every one with the embeddings."""
    attention: bool = False
    """True if attention is compared head by head."""
    assistant: Literal["none", "between", "branched"] = "none"
    """Network that the assistant stage makes: one between both in size, or the teacher with student branches."""
    keeps_quiz: bool = False
    """True if its teacher learns from the quiz, so that its student never trains on those rows."""
    forward_derivatives: bool = False
    """True if it takes forward-mode derivatives, replaying the dropout masks of a pass in float32."""
    multi_task: bool = False
    """True if its student can go on with MPDistil's rows and steps, without a curriculum."""
    ablation: str | None = None
    """Parameter, true or false, whose two settings the report holds side by side where both were run."""
    sections: tuple[str, ...] = ()
    """Sections of params.yaml that it is trained with, beside that of its name."""

    @property
    def meta_taught(self) -> bool:
        """True if the meta-teacher's answers can stand in for its teacher's."""
        return self.family == "student" and self.teacher == "signals"

    @property
    def stored_layers(self) -> bool:
        """True if it compares sequence vectors that the signals hold."""
        return self.teacher == "signals" and self.layers != "none"


ROWS = (
    MethodRow("finetune", "student", "none", "fine-tuned on the labels alone", multi_task=True),
    MethodRow(
        "kd",
        "student",
        "signals",
        "distilled from its teacher's softened probabilities (Hinton et al., 2015)",
        main_weight="alpha",
        multi_task=True,
    ),
    MethodRow(
        "mse_kd",
        "student",
        "signals",
        f"distilled from its teacher's softened probabilities and hidden vectors (Eq. 1 of {PAPER})",
        main_weight="beta",
        layers="mapped",
    ),
    MethodRow(
        "pkd",
        "student",
        "signals",
        "distilled from its teacher's softened probabilities and the vectors of middle layers (PKD, Sun et al., 2019)",
        main_weight="beta",
        layers="patient",
    ),
    MethodRow(
        "dist",
        "student",
        "signals",
        "distilled from how its teacher's probabilities correlate between and within classes (DIST, Huang et al., 2022)",
        main_weight="alpha",  # of the task loss, against both relations
        refuses=("regression",),
    ),
    MethodRow(
        "skd",
        "student",
        "signals",
        "distilled from the direction of its teacher's logits (spherical distillation, Guo et al., 2022)",
        main_weight="alpha",
        refuses=("regression",),
        least_classes=3,
    ),
    MethodRow(
        "annealing_kd",
        "student",
        "signals",
        "distilled from its teacher's logits as they grow to their size, then labels (Annealing-KD, Jafari et al., 2021)",
    ),
    MethodRow(
        "rco",
        "student",
        "trajectory",
        "distilled from its teacher's epochs, one after the other (RCO, Jin et al., 2019)",
        main_weight="alpha",
    ),
    MethodRow(
        "prokd",
        "student",
        "trajectory",
        "distilled along its teacher's own training, then from labels (Pro-KD, Rezagholizadeh et al., 2022)",
        ablation="temperature",
    ),
    MethodRow(
        "dml",
        "student",
        "moves",
        "trained with a larger peer, each learning from the other (DML, Zhang et al., 2018)",
        main_weight="weight",
    ),
    MethodRow(
        "prokt",
        "student",
        "moves",
        "trained with a teacher that stays near it (ProKT, Shi et al., 2021)",
        main_weight="alpha",
    ),
    MethodRow(
        "pesf_kd",
        "student",
        "moves",
        "trained with its teacher's head, which follows it (PESF-KD, Rao et al., 2022)",
        main_weight="alpha",
    ),
    MethodRow(
        "metadistil",
        "student",
        "moves",
        "trained with a teacher that learns to teach it (MetaDistil, Zhou et al., 2022)",
        main_weight="alpha",
        layers="mapped",
        keeps_quiz=True,
        forward_derivatives=True,
    ),
    MethodRow(
        "lgtm",
        "student",
        "moves",
        "trained with a teacher that weighs rows by their influence on it (LGTM, Ren et al., 2023)",
        main_weight="alpha",
        keeps_quiz=True,
        forward_derivatives=True,
    ),
    MethodRow(
        "tinybert",
        "student",
        "runs",
        "distilled from its teacher's attention, hidden states, embeddings and logits (TinyBERT, Jiao et al., 2020)",
        layers="mapped",
        attention=True,
    ),
    MethodRow(
        "ckd",
        "student",
        "runs",
        "distilled from how its teacher relates words and layers (CKD, Park et al., 2021)",
        main_weight="alpha",
        layers="all",
        least_depth=2,
    ),
    MethodRow(
        "takd",
        "assisted",
        "signals",
        "distilled from an assistant between it and its teacher in size (TAKD, Mirzadeh et al., 2020)",
        main_weight="alpha",
        assistant="between",
    ),
    MethodRow(
        "sftn",
        "assisted",
        "signals",
        "distilled from a teacher that was fine-tuned with student branches (SFTN, Park et al., 2021)",
        main_weight="alpha",
        assistant="branched",
        least_depth=2,
    ),
    MethodRow(
        "mpdistil",
        "curriculum",
        "signals",
        f"distilled with a meta-teacher and a curriculum over datasets ({PAPER})",
        sections=("meta_teacher", "curriculum", "mse_kd"),
    ),
)
BY_NAME: Mapping[str, MethodRow] = {row.name: row for row in ROWS}
LISTED: Mapping[str, tuple[str, ...]] = {
    **{family: tuple(row.name for row in ROWS if row.family == family) for family in ("student", "assisted")},
    "meta_taught": tuple(row.name for row in ROWS if row.meta_taught),
    "multi_task": tuple(row.name for row in ROWS if row.multi_task),
    "curriculum": tuple(row.name for row in ROWS if row.family == "curriculum"),
}
"""Family -> the names that its list in params.yaml may hold."""
TRAINED = LISTED["student"] + LISTED["assisted"]
"""Methods whose student starts from no other student: a curriculum can go on from it."""
CURRICULA = LISTED["curriculum"]
"""Methods whose student comes out of a curriculum, after a meta-teacher."""
CURRICULUM = CURRICULA[0]


def full_name(family: str, name: str) -> str:
    """The method that a name in a family's list stands for: kd under `meta_taught` is kd_meta."""
    return f"{name}{SUFFIXES.get(family, '')}"


_FAMILY_OF = {full_name(family, name): (family, name) for family in FAMILIES for name in LISTED[family]}
METHODS = tuple(_FAMILY_OF)
"""Full names of all methods."""


def family_of(method: str) -> tuple[str, str]:
    """(Family, name in its list) of a method by its full name. Raises KeyError for an unknown one."""
    return _FAMILY_OF[method]


def method_of(variant: str) -> str:
    """The method of a variant: prokd of prokd-without-temperature."""
    return variant.partition("-")[0]


def row_of(method: str) -> MethodRow:
    """The row of a method by its full name: kd's for kd_meta and kd_multi. Raises KeyError for an unknown one."""
    return BY_NAME[family_of(method)[1]]


def training_of(method: str) -> str:
    """The training of a method's student in words, for its model card."""
    family, name = family_of(method)
    learns = BY_NAME[name].learns
    if family == "meta_taught":
        return f"{learns}, the teacher's head replaced by the meta-teacher's"
    if family == "multi_task":
        return f"{learns}, then as long as MPDistil's curriculum on the quizzes of all datasets, each as often"
    return f"{learns}, without a teacher: what distillation is measured against" if name == BASELINE else learns


def refusal(method: str, dataset: str, kind: str, classes: int) -> str | None:
    """Return the reason why a method can't be trained on a dataset; None if it can. Raises KeyError if it is unknown.

    Args:
        method: its full name.
    """
    row = row_of(method)
    if kind in row.refuses:
        return f"{method}: {dataset} is a {kind}, which has no classes to relate; use kd or mse_kd"
    if classes < row.least_classes:
        return (
            f"{row.name}: {dataset} has {classes} classes; with fewer than {row.least_classes} a centred unit vector of "
            "logits has no gradient. Use kd or dist"
        )
    return None


def by_family(methods: Iterable[str]) -> dict[str, list[str]]:
    """`methods` as params.yaml has it, for full names in any order. Raises KeyError for an unknown one."""
    lists: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for family, name in map(family_of, methods):
        lists[family].append(name)
    return lists


def full_names(lists: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The reverse of `by_family`: full names in the families' order."""
    return tuple(full_name(family, name) for family in FAMILIES for name in lists.get(family, ()))
