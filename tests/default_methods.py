"""Methods with the defaults of their sections of params.yaml, but for the parameters that a test names.

A method's defaults stand in config/method_parameters.py alone: its class in methods/ has none.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from config import method_parameters
from methods import (
    annealing_kd,
    ckd,
    dist,
    dml,
    kd,
    lgtm,
    metadistil,
    mse_kd,
    pesf_kd,
    pkd,
    prokd,
    prokt,
    rco,
    sftn,
    skd,
    takd,
    tinybert,
)

Made = TypeVar("Made")


def with_defaults(method: Callable[..., Made]) -> Callable[..., Made]:
    """A maker of a method's class; what is not given is its section's default, `layers` are none."""
    names = [field.name for field in fields(method)]  # ty: ignore[invalid-argument-type]
    given = defaults_of(method.__name__)  # ty: ignore[missing-attribute]

    def make(*values: Any, **named: Any) -> Made:
        parameters = {"layers": (), **given} | dict(zip(names, values, strict=False)) | named
        return method(**{name: parameters[name] for name in {*names, *named}})

    return make


def defaults_of(name: str) -> dict[str, Any]:
    """Defaults of a method's section; of a weight that goes with the student's start the papers' own."""
    section = getattr(method_parameters, name)()
    found = {key: getattr(section, key) for key in type(section).model_fields if key not in ("layers", "influence")}
    weights = getattr(section, "with_start", {})
    return found | {key: weights[key][0] for key in weights if found[key] is None}


AnnealingKd = with_defaults(annealing_kd.AnnealingKd)
Ckd = with_defaults(ckd.Ckd)
Dist = with_defaults(dist.Dist)
Dml = with_defaults(dml.Dml)
Influence = with_defaults(lgtm.Influence)
Kd = with_defaults(kd.Kd)
MetaDistil = with_defaults(metadistil.MetaDistil)
MseKd = with_defaults(mse_kd.MseKd)
PesfKd = with_defaults(pesf_kd.PesfKd)
Pkd = with_defaults(pkd.Pkd)
ProKd = with_defaults(prokd.ProKd)
ProKt = with_defaults(prokt.ProKt)
Rco = with_defaults(rco.Rco)
Sftn = with_defaults(sftn.Sftn)
Skd = with_defaults(skd.Skd)
Takd = with_defaults(takd.Takd)
TinyBert = with_defaults(tinybert.TinyBert)


def Lgtm(**named: Any) -> lgtm.Lgtm:
    """The same of lgtm, whose section holds another."""
    return with_defaults(lgtm.Lgtm)(**{"influence": Influence(), **named})


def FriendlyTeacher(*values: Any) -> sftn.FriendlyTeacher:
    """The same of sftn's teacher, whose parameters stand in sftn's section."""
    own = method_parameters.Sftn()
    return sftn.FriendlyTeacher(*(values or (own.branch_weight, own.agreement_weight, own.branch_temperature)))
