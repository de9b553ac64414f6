"""Two processes that share the rows of a step train both networks as one process does with all of them."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from default_methods import Dml, Lgtm, MetaDistil, ProKt
from pairs import Rows, endless, rows
from small_networks import RTE, small
from torch import Tensor, nn

from methods.co_training import Learner, MovingTeacher, Pair, ProjectedModel
from methods.layer_mapping import match_layers
from training.data_parallel import average, run_shared

METHODS: dict[str, MovingTeacher] = {
    "metadistil": MetaDistil(beta=5.0, layers=tuple(match_layers("uniform", 2, 3)), analysis_every=10**9),
    "lgtm": Lgtm(),
    "dml": Dml(),
    "prokt": ProKt(),
}
# An odd number of rows, and a single one, for which the other process has none.
TRAIN, QUIZ = rows([9, 5, 7, 4, 6], [0, 1, 1, 0, 1]), rows([6], [1], seed=4)


def half(whole: Rows) -> Rows:
    """The first two rows."""
    return Rows({name: value[:2] for name, value in whole.inputs.items()}, whole.labels[:2], 1, whole.rows[:2])


def learner(layers: int, seed: int) -> Learner:
    seen = ProjectedModel(small("bert", RTE, layers=layers, seed=seed).train(), run_shared)
    for module in seen.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return Learner(seen, torch.optim.SGD(seen.parameters(), lr=0.5), clip_norm=1.0, average=average)


def step_on(name: str, train: Rows, quiz: Rows) -> list[Tensor]:
    """Return the change of every parameter of both networks in one step."""
    torch.set_num_threads(1)
    own = Pair(learner(2, 11), learner(3, 5), RTE.kind)
    parameters = [value for one in (own.student, own.teacher) for value in one.parameters().values()]
    before = [value.detach().clone() for value in parameters]
    METHODS[name].step(own, train, endless(quiz))
    return [value.detach() - old for value, old in zip(parameters, before, strict=True)]


def one_of(number: int, processes: int, folder: str) -> None:
    """A process's share of the work; the folder gets what changed."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=number, world_size=processes)
    try:
        assert dist.get_world_size() == processes
        found = {name: step_on(name, TRAIN, QUIZ) for name in METHODS}
        torch.save(found, Path(folder) / f"{number}.pt")
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[Tensor]]]:
    """The changes in each of two processes."""
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(one_of, args=(2, str(folder)), nprocs=2)
    return [torch.load(folder / f"{number}.pt") for number in range(2)]


@pytest.mark.xdist_group("two_processes")
@pytest.mark.parametrize("name", METHODS)
def test_the_rows_shared_by_two_processes_are_one_step_of_one(name, found) -> None:
    wanted = step_on(name, TRAIN, QUIZ)
    assert all(torch.equal(*both) for both in zip(found[0][name], found[1][name], strict=True)), "they part company"
    scale = torch.cat([value.flatten() for value in wanted]).norm()
    difference = torch.cat([(a - b).flatten() for a, b in zip(found[0][name], wanted, strict=True)]).norm()
    assert difference < 1e-5 * scale


@pytest.mark.parametrize("name", METHODS)
def test_half_the_rows_alone_would_be_another_step(name) -> None:
    """Check that the comparison above can fail."""
    whole, part = step_on(name, TRAIN, QUIZ), step_on(name, half(TRAIN), QUIZ)
    assert not torch.allclose(whole[0], part[0], rtol=1e-2)
