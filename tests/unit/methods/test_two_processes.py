"""Two processes, each with half of a step's rows, train both networks as one process does with all of them."""

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from pairs import Rows, endless, rows
from small_networks import RTE, small
from torch import Tensor, nn

from methods.joint import Learner, MovingTeacher, Pair, Seen, alone
from methods.layers import match_layers
from methods.lgtm import Lgtm
from methods.metadistil import MetaDistil

METHODS: dict[str, MovingTeacher] = {
    "metadistil": MetaDistil(beta=5.0, layers=tuple(match_layers("uniform", 2, 3)), analysis_every=10**9),
    "lgtm": Lgtm(kept_rows=0),
}
TRAIN, QUIZ = rows([9, 5, 7, 4], [0, 1, 1, 0]), rows([6, 8, 3, 5], [1, 0, 0, 1], seed=4)


def part(whole: Rows, number: int, of: int) -> Rows:
    """The rows of one process."""
    mine = slice(number * len(whole.labels) // of, (number + 1) * len(whole.labels) // of)
    return Rows({name: value[mine] for name, value in whole.inputs.items()}, whole.labels[mine], 1, whole.rows[mine])


def mean_over_processes(tensors: Sequence[Tensor]) -> None:
    for tensor in tensors:
        dist.all_reduce(tensor)
        tensor /= dist.get_world_size()


def learner(layers: int, seed: int, *, processes: int) -> Learner:
    seen = Seen(small("bert", RTE, layers=layers, seed=seed).train())
    for module in seen.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    average = alone if processes == 1 else mean_over_processes
    return Learner(seen, torch.optim.SGD(seen.parameters(), lr=0.5), clip_norm=1.0, average=average)


def step_on(name: str, train: Rows, quiz: Rows, *, processes: int = 1) -> list[Tensor]:
    """What one step changes in every parameter of both networks."""
    torch.set_num_threads(1)
    own = Pair(learner(2, 11, processes=processes), learner(3, 5, processes=processes), RTE.dataset, RTE.kind)
    parameters = [value for one in (own.student, own.teacher) for value in one.parameters().values()]
    before = [value.detach().clone() for value in parameters]
    METHODS[name].step(own, train, endless(quiz))
    return [value.detach() - old for value, old in zip(parameters, before, strict=True)]


def one_of(number: int, processes: int, port: int, folder: str) -> None:
    """A process's share of the work; the folder gets what changed."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=number, world_size=processes)
    try:
        assert dist.get_world_size() == processes
        mine = part(TRAIN, number, processes), part(QUIZ, number, processes)
        found = {name: step_on(name, *mine, processes=processes) for name in METHODS}
        torch.save(found, Path(folder) / f"{number}.pt")
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[Tensor]]]:
    """What changed in each of two processes."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(one_of, args=(2, port, str(folder)), nprocs=2)
    return [torch.load(folder / f"{number}.pt") for number in range(2)]


@pytest.mark.xdist_group("two_processes")
@pytest.mark.parametrize("name", METHODS)
def test_half_the_rows_in_each_of_two_processes_is_one_step_of_one(name, found) -> None:
    wanted = step_on(name, TRAIN, QUIZ)
    assert all(torch.equal(*both) for both in zip(found[0][name], found[1][name], strict=True)), "they part company"
    scale = torch.cat([value.flatten() for value in wanted]).norm()
    difference = torch.cat([(a - b).flatten() for a, b in zip(found[0][name], wanted, strict=True)]).norm()
    assert difference < 1e-5 * scale


@pytest.mark.parametrize("name", METHODS)
def test_half_the_rows_alone_would_be_another_step(name) -> None:
    """So the comparison above is one that can fail."""
    whole, half = step_on(name, TRAIN, QUIZ), step_on(name, part(TRAIN, 0, 2), part(QUIZ, 0, 2))
    assert not torch.allclose(whole[0], half[0], rtol=1e-2)
