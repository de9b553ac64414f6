"""The methods, a row each: what params.yaml, stages, report and registry know of a method without running it.

Mathematics are in methods/<name>.py, parameters in the section of that name (config/method_parameters.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

PAPER = 'MPDistil: "A Good Learner can Teach Better: Teacher-Student Collaborative Knowledge Distillation", ICLR 2024'
FAMILIES = ("student", "assisted", "meta_taught", "multi_task", "curriculum")
"""Keys of `methods` in params.yaml, in the order in which their methods are evaluated and reported."""
SUFFIXES = {"meta_taught": "_meta", "multi_task": "_multi"}
"""Family -> what is added to a name of its list: kd under `meta_taught` is the method kd_meta."""
BASELINE = "finetune"
"""The method that learns without a teacher: what distillation is measured against."""


@dataclass(frozen=True)
class MethodRow:
    """One method."""

    name: str
    family: Literal["student", "assisted", "curriculum"]
    teacher: Literal["none", "signals", "trajectory", "runs", "moves"]
    """Use of the teacher: none, its stored signals, those of its epochs, it runs, or it (or its head) is trained, too."""
    learns: str
    """What a student of the method has gone through, for model cards."""
    main_weight: str | None = None
    """Parameter that a search varies beside the learning rate; None: nothing. A weight of 0 stays 0."""
    stored_layers: bool = False
    """Whether it compares sequence vectors that the signals hold."""
    keeps_quiz: bool = False
    """Whether its teacher learns from the quiz, so that its student never trains on those rows."""
    forward_derivatives: bool = False
    """Whether it takes derivatives in forward mode, with the masks of a pass repeated in float32."""
    multi_task: bool = False
    """Whether its student can go on with MPDistil's rows and steps, without a curriculum."""
    refuses_regression: bool = False
    least_classes: int = 0
    least_depth: int = 1
    """Layers of a student, at least."""

    @property
    def meta_taught(self) -> bool:
        """Whether the meta-teacher's answers can stand in for its teacher's."""
        return self.family == "student" and self.teacher == "signals"


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
        stored_layers=True,
    ),
    MethodRow(
        "pkd",
        "student",
        "signals",
        "distilled from its teacher's softened probabilities and the vectors of middle layers (PKD, Sun et al., 2019)",
        main_weight="beta",
        stored_layers=True,
    ),
    MethodRow(
        "dist",
        "student",
        "signals",
        "distilled from how its teacher's probabilities correlate between and within classes (DIST, Huang et al., 2022)",
        main_weight="alpha",  # of the task loss, against both relations
        refuses_regression=True,
    ),
    MethodRow(
        "skd",
        "student",
        "signals",
        "distilled from the direction of its teacher's logits (spherical distillation, Guo et al., 2022)",
        main_weight="alpha",
        refuses_regression=True,
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
    ),
    MethodRow(
        "ckd",
        "student",
        "runs",
        "distilled from how its teacher relates words and layers (CKD, Park et al., 2021)",
        main_weight="alpha",
        least_depth=2,
    ),
    MethodRow(
        "takd",
        "assisted",
        "signals",
        "distilled from an assistant between it and its teacher in size (TAKD, Mirzadeh et al., 2020)",
        main_weight="alpha",
    ),
    MethodRow(
        "sftn",
        "assisted",
        "signals",
        "distilled from a teacher that was fine-tuned with student branches (SFTN, Park et al., 2021)",
        main_weight="alpha",
        least_depth=2,
    ),
    MethodRow(
        "mpdistil",
        "curriculum",
        "signals",
        f"distilled with a meta-teacher and a curriculum over datasets ({PAPER})",
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
CURRICULUM = LISTED["curriculum"][0]


def full_name(family: str, name: str) -> str:
    """The method that a name in a family's list stands for: kd under `meta_taught` is kd_meta."""
    return f"{name}{SUFFIXES.get(family, '')}"


METHODS = tuple(full_name(family, name) for family in FAMILIES for name in LISTED[family])
"""Full names of all methods."""


def family_of(method: str) -> tuple[str, str]:
    """(Family, name in its list) of a method by its full name. Raises KeyError for an unknown one."""
    for family in FAMILIES:
        for name in LISTED[family]:
            if full_name(family, name) == method:
                return family, name
    raise KeyError(method)


def row_of(method: str) -> MethodRow:
    """The row of a method by its full name: kd's for kd_meta and kd_multi. Raises KeyError for an unknown one."""
    return BY_NAME[family_of(method)[1]]


def by_family(methods: Iterable[str]) -> dict[str, list[str]]:
    """`methods` as params.yaml has it, for full names in any order. Raises KeyError for an unknown one."""
    lists: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for family, name in map(family_of, methods):
        lists[family].append(name)
    return lists


def full_names(lists: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The reverse of `by_family`: full names in the families' order."""
    return tuple(full_name(family, name) for family in FAMILIES for name in lists.get(family, ()))
