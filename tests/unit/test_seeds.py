"""Every random number has a name: what shares a stream, what never does, and that nothing else seeds a generator."""

import itertools
import re
from pathlib import Path
from typing import cast

import pytest
import torch
from small_networks import FAMILY_NAMES, RTE, batch, small
from source_imports import ROOT
from torch import Tensor, nn

import seeds
from config.mpdistil import Curriculum, MetaTeacher
from config.parameters import Parameters, load
from methods.task_loss import task_loss
from models.classifier import Classifier
from models.heads import HeadSpec
from models.initialise import from_checkpoint, from_pretrained_layers, from_teacher_layers
from tasks.curriculum import curriculum_settings
from tasks.runtime.stage import Stage
from tests.planted import plant, run
from training.supervised import Target

GIVEN = load(ROOT / "params.yaml")
SEEDING = re.compile(
    r"manual_seed|default_rng|random\.Random\(|random\.RandomState|Generator\(\)|set_seed|random\.seed"
)
# The quickstart's rows have older names of their own: to change those would change everybody's rows.
ALLOWED = {"data/quickstart.py": 3}
PRODUCT = ("data", "models", "methods", "training", "tasks", "flows", "hardware")
ANOTHER = HeadSpec("boolq", "pair", ("yes", "no"))
DRAWS = range(10)


def stage(name: str, dataset: str, seed: int = 42, method: str = "", given: Parameters = GIVEN) -> Stage:
    return Stage(name, given, dataset=dataset, method=method, seed=seed)


def test_nothing_in_the_product_seeds_a_generator_but_one_module() -> None:
    files = [*ROOT.glob("*.py"), *(path for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))]
    found = {str(path.relative_to(ROOT)): len(SEEDING.findall(path.read_text(encoding="utf-8"))) for path in files}
    assert found.pop("seeds.py") > 0
    assert {name: count for name, count in found.items() if count} == ALLOWED


def test_a_stream_is_named_by_seed_stage_dataset_and_purpose() -> None:
    names = itertools.product((1, 2), ("teacher", "student"), ("rte", "cb"), ("start", "dropout"))
    numbers = [stage(name, dataset, seed).seed_of(purpose) for seed, name, dataset, purpose in names]
    assert len(set(numbers)) == len(numbers) == 16
    assert all(0 <= number < 2**63 for number in numbers)
    # Joined names are not taken for one another, nor is a number for its digits.
    assert (
        len(
            {seeds.named(1, "a", "bc"), seeds.named(1, "ab", "c"), seeds.named(1, "a", "b", "c"), seeds.named(1, "abc")}
        )
        == 4
    )
    assert seeds.named(1, 2) != seeds.named(1, "2")


def test_the_numbers_behind_the_names_never_change() -> None:
    """Golden: with other ones, every result of every run would be another."""
    assert seeds.named(42, "student", "rte", "start") == 8114558242337365616
    assert seeds.numpy_generator(42, "a").integers(1000, size=3).tolist() == [270, 96, 804]
    assert torch.randint(1000, (3,), generator=seeds.torch_generator(42, "a")).tolist() == [7, 90, 222]


def test_students_of_one_dataset_and_seed_draw_alike_by_whatever_method() -> None:
    made = [
        stage("student", "rte", method="kd"),
        stage("student", "rte", method="lgtm"),
        stage("assisted_student", "rte"),
        stage("meta_student", "rte"),
    ]
    assert len({one.seed_of("training") for one in made}) == 1
    both = [stage(name, "rte").seed_of("curriculum") for name in ("curriculum", "multi_task")]
    assert both[0] == both[1]
    assert stage("assistant", "rte").seed_of("start", of="student") == made[0].seed_of("start")
    assert stage("assistant", "rte").seed_of("training") != made[0].seed_of("training")


def test_another_dataset_in_the_benchmark_changes_no_stream() -> None:
    more = GIVEN.model_copy(update={"datasets": (*GIVEN.datasets, "bargain")})
    assert stage("teacher", "worth", given=more).seed_of("start") == stage("teacher", "worth").seed_of("start")


def test_global_generators_start_by_name_and_are_left_alone_by_draws_in_between() -> None:
    seeds.start_all(1, "dropout")
    first = torch.rand(3)
    seeds.start_all(1, "dropout")
    with seeds.drawing_from(1, "weights"):
        assert not torch.equal(torch.rand(3), first)
    assert torch.equal(torch.rand(3), first)


def test_processes_have_dropout_of_their_own() -> None:
    drawn = []
    for number in range(3):
        seeds.start_all(1, "dropout")
        if number:
            seeds.start_own_process(number)
        drawn.append(tuple(torch.rand(3).tolist()))
    assert len(set(drawn)) == 3


def start(init: str, family: str, folder: Path, seed: int) -> Classifier:
    """A student for RTE as a stage makes it by `student.init`."""
    own = seeds.named(seed, "student", "rte", "start")
    if init == "config":
        return small(family, seed=own)
    source = small(family, seed=seeds.named(seed, "teacher", "rte", "start"))
    if init == "teacher_layers":
        return from_teacher_layers(source, 2).classifier
    if not folder.exists():
        source.export().save_pretrained(folder)
    if init == "checkpoint":
        return from_checkpoint(folder, RTE, seed=own).classifier
    return from_pretrained_layers(folder, RTE, 2, seed=own).classifier


@pytest.mark.parametrize("init", ["config", "checkpoint", "teacher_layers", "pretrained_teacher_layers"])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_no_two_heads_of_a_network_start_alike(family: str, init: str, tmp_path: Path) -> None:
    student = start(init, family, tmp_path / "checkpoint", 42)
    for name in ("cb", "boolq", "wic"):
        student.add_head(name, 2, stage("curriculum", "rte").seed_of("heads"))
    heads = [head.weight.detach().flatten() for head in cast("list[nn.Linear]", list(student.heads.values()))]
    assert len(heads) == 4
    for one, other in itertools.combinations(heads, 2):
        assert abs(torch.cosine_similarity(one, other, dim=0).item()) < 0.5  # 64 numbers each: 0.125 is usual


def test_a_teachers_and_a_students_new_head_differ(tmp_path: Path) -> None:
    small("bert").export().save_pretrained(tmp_path)
    made = [from_checkpoint(tmp_path, RTE, seed=stage(name, "rte").seed_of("start")) for name in ("teacher", "student")]
    one, other = (start.classifier.head_of("rte").weight for start in made)
    assert not torch.equal(one, other)


def gradient(network: Classifier, dataset: str, labels: Tensor, seed: int) -> Tensor:
    """Of the task loss on a batch of a dataset through its own head, by the weights that all datasets share."""
    rows = batch([8] * len(labels), seed=seed)
    loss = task_loss(network(rows, dataset=dataset).logits, labels, "pair")
    return torch.cat(
        [
            part.flatten()
            for part in torch.autograd.grad(loss, list(network.backbone.parameters()), allow_unused=True)
            if part is not None
        ]
    )


def test_a_gradient_through_one_fresh_head_says_nothing_of_that_through_another() -> None:
    """Heads that were copies of one another gave +0.6, and made every dataset look useful (docs/papers.md)."""
    plain, exchanged = [], []
    for seed in DRAWS:
        network = small("bert", hidden=128, seed=seeds.named(seed, "student", "rte", "start"))
        network.add_head("boolq", 2, seeds.named(seed, "curriculum", "rte", "heads"))
        labels = (torch.arange(32) % 3 == 0).long()
        own = gradient(network, "rte", labels, 2 * seed)
        for found, others in ((plain, labels), (exchanged, 1 - labels)):
            other = gradient(network, "boolq", others, 2 * seed + 1)
            found.append(torch.cosine_similarity(own, other, dim=0))
    one, two = torch.stack(plain), torch.stack(exchanged)
    assert abs(one.mean().item()) < 0.1 and abs(two.mean().item()) < 0.1
    noise = torch.cat([one, two]).std().item() / len(one) ** 0.5
    assert abs(one.mean() - two.mean()).item() < 3 * noise


def actions(dataset: str, seed: int = 42, episodes: int = 2, **changes: object) -> list[object]:
    """The first actions of a curriculum with the settings that its stage makes of params.yaml."""
    own = {key: value for key, value in changes.items() if key in Curriculum.model_fields}
    meta = {key: value for key, value in changes.items() if key in MetaTeacher.model_fields}
    given = GIVEN.model_copy(
        update={
            "curriculum": GIVEN.curriculum.model_copy(update={"episodes": episodes, **own}),
            "meta_teacher": GIVEN.meta_teacher.model_copy(update=meta),
        }
    )
    torch.manual_seed(0)
    settings = curriculum_settings(
        stage("curriculum", dataset, seed, given=given), Target(dataset, "pair", ("accuracy",))
    )
    return [row["action"] for row in run(plant(0, passes=1), settings).steps]


@pytest.mark.parametrize("sampler", ["uniform", "policy"])
def test_three_targets_of_one_seed_have_different_actions(sampler: str) -> None:
    one, two, three = (actions(name, sampler=sampler) for name in ("standing", "payment", "worth"))
    assert len(one) == 16
    for first, second in itertools.combinations((one, two, three), 2):
        assert sum(a == b for a, b in zip(first, second, strict=True)) < 10  # 1 in 6 by chance
    assert actions("standing", sampler=sampler) == one != actions("standing", 43, sampler=sampler)


def test_losses_and_rewards_share_their_draws_while_the_policy_is_the_same() -> None:
    wanted = actions("standing", sampler="uniform", reward="real", loss="collaborative")
    for reward in ("real", "binary", "gain", "alignment"):
        assert actions("standing", sampler="uniform", reward=reward, loss="competitive") == wanted
    # A policy has learnt nothing before its first episode has ended.
    first = [actions("standing", episodes=1, sampler="policy", reward=reward) for reward in ("real", "binary", "gain")]
    assert first[0] == first[1] == first[2]
