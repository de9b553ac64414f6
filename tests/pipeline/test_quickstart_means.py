"""The quickstart benchmark does what it is for, at params.yaml's own settings: each step of MPDistil has something to give.

The benchmark is planted: its noise, its few epochs and its large quiz are chosen so that a distilled student beats a
fine-tuned one, and a learned curriculum both the student that came in and an even draw. It is no evidence for a method.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import pytest
from stages import ROOT, run_main_job, run_stage_here, write_params

from config.parameters import load

SEEDS = (1, 2, 3, 4, 5)
METHODS = ("finetune", "mse_kd", "mpdistil")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Means:
    """Over the seeds, each dataset's: the primary metric on dev of each model, and the largest share of an action at the end."""

    scores: Mapping[str, Mapping[str, float]]
    largest_share: Mapping[str, float]

    def of(self, model: str) -> float:
        """The mean over datasets."""
        return fmean(one[model] for one in self.scores.values())


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory) -> Means:
    folder = tmp_path_factory.mktemp("quickstart")
    given = load(ROOT / "params.yaml")
    datasets = list(given.datasets)
    shutil.copytree(ROOT / given.source.folder, folder / given.source.folder)
    write_params(folder, seeds=list(SEEDS))
    run_main_job(folder, datasets, METHODS, SEEDS)
    found = {name: _scores(folder, name, METHODS) for name in datasets}
    shares = {name: fmean(_largest_share(folder, name, datasets, seed) for seed in SEEDS) for name in datasets}
    _draw_evenly(folder, datasets)
    for name in datasets:
        found[name]["uniform"] = _scores(folder, name, ("mpdistil",))["mpdistil"]
    for name, models in found.items():
        shown = ", ".join(f"{model} {fmean(values):.3f} ± {stdev(values):.3f}" for model, values in models.items())
        print(f"{name}: {shown}; largest share at the end {shares[name]:.2f}")
    scores = {name: {model: fmean(values) for model, values in models.items()} for name, models in found.items()}
    return Means(scores, shares)


def test_the_student_loses_to_its_teacher_and_distillation_gives_some_of_it_back(means: Means) -> None:
    assert all(one["finetune"] < one["teacher"] for one in means.scores.values())
    assert means.of("finetune") < means.of("mse_kd") < means.of("teacher")


def test_the_learned_curriculum_beats_the_student_that_came_in_and_an_even_draw(means: Means) -> None:
    assert means.of("mse_kd") < means.of("mpdistil")
    assert means.of("uniform") < means.of("mpdistil")


def test_the_policy_learns_which_dataset_to_choose(means: Means) -> None:
    even = 1 / len(means.scores)
    assert min(means.largest_share.values()) > even + 0.15


def _draw_evenly(folder: Path, datasets: list[str]) -> None:
    """Run the curricula again from the same students, with an even draw in the policy's place."""
    write_params(folder, seeds=list(SEEDS), curriculum={"sampler": "uniform"})
    for name in datasets:
        for seed in SEEDS:
            for stage, options in (("curriculum", ()), ("evaluate", ("--method", "mpdistil"))):
                ended = run_stage_here(folder, stage, "--dataset", name, "--seed", str(seed), *options)
                assert ended.status == 0, ended.errors


def _scores(folder: Path, name: str, methods: tuple[str, ...]) -> dict[str, list[float]]:
    """The primary metric on dev of the teacher and of each method's student -> one value a seed."""
    spec = json.loads((folder / "outputs/split" / name / "tokens/spec.json").read_text(encoding="utf-8"))
    found: dict[str, list[float]] = {model: [] for model in ("teacher", *methods)}
    for seed in SEEDS:
        for method in methods:
            path = folder / "outputs/evaluate" / name / method / str(seed) / "metrics.json"
            scores = json.loads(path.read_text(encoding="utf-8"))
            found[method].append(scores["dev"][spec["metrics"][0]])
        found["teacher"].append(scores["teacher_dev"][spec["metrics"][0]])
    return found


def _largest_share(folder: Path, name: str, datasets: list[str], seed: int) -> float:
    """The largest share of one action in the last quarter of the episodes."""
    path = folder / "outputs/student" / name / "mpdistil" / str(seed) / "episodes.jsonl"
    episodes = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][1:]
    last = episodes[-len(episodes) // 4 :]
    return max(fmean(row[f"share_{action}"] for row in last) for action in datasets)
