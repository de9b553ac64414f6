"""Parameters in parts: when they are, and what needs them whole. tests/processes has two processes that train so."""

from contextlib import nullcontext

import pytest
import torch
from small_networks import small
from tiny_problem import accelerator

import tasks.runtime.torch_setup
from errors import UserError
from tasks.runtime.torch_setup import check_whole_parameters, start_torch
from training.fsdp import ASKED, gathered, is_asked, load_optimizer, split_while_training
from training.resume_files import State
from training.supervised import make_optimizer


def test_one_process_trains_the_network_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ASKED, "true")
    network, state = small("bert", layers=1), State()
    with split_while_training(network, accelerator()) as own:
        assert own is network
    assert not is_asked() and gathered(state) is state


def test_an_optimiser_gets_its_state_back() -> None:
    network = small("bert", layers=1)
    before, after = (make_optimizer(network, 1e-3, 0.01) for _ in range(2))
    for value in network.parameters():
        value.grad = torch.full_like(value, 0.5)
    before.step()
    load_optimizer(after, before.state_dict())
    old, new = (one.state_dict()["state"] for one in (before, after))
    assert old.keys() == new.keys()
    assert all(torch.equal(old[index][key], new[index][key]) for index in old for key in old[index])


@pytest.mark.parametrize("asked", [True, False])
def test_what_needs_whole_parameters_names_itself_and_another_hardware_file(
    asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.runtime.torch_setup, "is_asked", lambda: asked)
    refused = pytest.raises(UserError, match=r"^lgtm needs whole parameters .*hardware/multi_gpu\.yaml")
    with refused if asked else nullcontext():
        check_whole_parameters("lgtm")


@pytest.mark.parametrize("name", ["DEEPSPEED", "MEGATRON_LM"])
def test_other_ways_to_split_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from config.parameters import load
    from tasks.runtime.stage import ROOT, Stage

    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    with pytest.raises(UserError, match=rf"\({name}\); use hardware/fsdp\.yaml"):
        start_torch(Stage("teacher", load(ROOT / "params.yaml")))
