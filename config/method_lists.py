"""The section `methods` of params.yaml: lists of methods by family."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator, model_validator

from config.methods import LISTED, METHODS, SUFFIXES, family_of, full_names, row_of
from config.sections import OneOf, Section


class Methods(Section):
    """Methods that are trained, evaluated and reported: each once, under its family."""

    student: tuple[Annotated[str, OneOf(LISTED["student"])], ...] = Field(
        description="Trained on the teacher's signals, or with the teacher; finetune without one."
    )
    assisted: tuple[Annotated[str, OneOf(LISTED["assisted"])], ...] = Field(
        description="Methods whose teacher is made by the assistant stage."
    )
    meta_taught: tuple[Annotated[str, OneOf(LISTED["meta_taught"])], ...] = Field(
        description="Trained with mpdistil's meta-teacher as teacher: kd here is the method kd_meta."
    )
    multi_task: tuple[Annotated[str, OneOf(LISTED["multi_task"])], ...] = Field(
        description="Students continued with MPDistil's rows and steps, without a curriculum: kd here is kd_multi."
    )
    curriculum: tuple[Annotated[str, OneOf(LISTED["curriculum"])], ...] = Field(
        description="Students that continue from mpdistil.base with a curriculum over the datasets."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _in_its_family(cls, value: object, info: ValidationInfo) -> object:
        here = str(info.field_name)
        for name in value if isinstance(value, tuple) else ():
            if name not in METHODS or name in LISTED[here]:
                continue
            family, short = family_of(name)
            if family == here:
                raise ValueError(f"{name}: write {short}, without {SUFFIXES[here]}")
            if here == "meta_taught" and row_of(name).teacher != "signals":
                raise ValueError(f"{name} reads no stored signals, so no meta-teacher can teach it")
            if here in SUFFIXES and name == short:  # moved to its own family it would be there twice, or not be meant
                raise ValueError(
                    f"{name} has no variant {name}{SUFFIXES[here]}; allowed here: {', '.join(LISTED[here])}"
                )
            to_do = f"move it to methods.{family}" if short == name else f"write {short} into methods.{family}"
            raise ValueError(f"{name} is of another family; {to_do}")
        return value

    @model_validator(mode="after")
    def _each_once(self) -> "Methods":
        if not self.names:
            raise ValueError("name one method at least")
        for family in type(self).model_fields:
            listed: tuple[str, ...] = getattr(self, family)
            if repeated := [name for name in listed if listed.count(name) > 1]:
                raise ValueError(f"{family}: {repeated[0]} is named twice")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Full names of all methods, family by family."""
        return full_names({family: getattr(self, family) for family in type(self).model_fields})

    def __contains__(self, method: object) -> bool:
        return method in self.names
