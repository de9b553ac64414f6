"""A method that is made without parameters is the one that its section of params.yaml describes."""

from dataclasses import fields, is_dataclass

import pytest

from config import method_parameters
from methods.annealing_kd import AnnealingKd
from methods.ckd import Ckd
from methods.dist import Dist
from methods.dml import Dml
from methods.kd import Kd
from methods.lgtm import Influence, Lgtm
from methods.metadistil import MetaDistil
from methods.mse_kd import MseKd
from methods.pesf_kd import PesfKd
from methods.pkd import Pkd
from methods.prokd import ProKd
from methods.prokt import ProKt
from methods.rco import Rco
from methods.sftn import Sftn
from methods.skd import Skd
from methods.takd import Takd
from methods.tinybert import TinyBert

METHODS: list[type] = [AnnealingKd, Ckd, Dist, Dml, Influence, Kd, Lgtm, MetaDistil, MseKd]
METHODS += [PesfKd, Pkd, ProKd, ProKt, Rco, Sftn, Skd, Takd, TinyBert]


@pytest.mark.parametrize("method", METHODS, ids=lambda one: one.__name__)
def test_defaults_of_a_loss_are_those_of_its_section(method: type):
    section = getattr(method_parameters, method.__name__)()
    made = method()
    shared = {one.name for one in fields(made)} & set(type(section).model_fields) - {"layers"}
    assert shared
    for name in shared:
        own, given = getattr(made, name), getattr(section, name)
        if given is None:  # goes with the student's start; the loss has the paper's, for one of the teacher's layers
            given, _ = section.with_start[name]
        if not is_dataclass(own):
            assert own == given, name
