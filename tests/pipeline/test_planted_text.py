"""The planted problem on text: does the curriculum find the dataset that helps, and leave the one that does not?

RTE-like rows of the quickstart's world (can she pay for it?). The target has 200 of them: too few to learn it, and ten for
its curriculum to draw from. The *friend* is the same question under other label names, the *decoys* are the same with their
labels shuffled; each has 300 rows to draw from. By the project's own stages, from raw rows to predictions on dev; five seeds.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import pytest
import yaml
from stages import run_stage_here, write_params

from data.quickstart_rows import payment_row

SEEDS = (1, 2, 3, 4, 5)
ANSWERS = ("entailment", "not_entailment")
RENAMED = {"not_entailment": "too_dear", "entailment": "affordable"}  # in the other order, too
TARGET = "entails"
DECOYS = ("decoy0", "decoy1", "decoy2")
NAMES = (TARGET, "friend", *DECOYS)
SAMPLERS = {
    "gain": {"sampler": "policy", "reward": "gain"},
    "alignment": {"sampler": "policy", "reward": "alignment"},
    "uniform": {"sampler": "uniform", "reward": "real"},
}
Row = dict[str, object]

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Arm:
    """Means over the seeds: accuracy on dev, and the share of each dataset in the second half of the episodes."""

    accuracy: float
    shares: Mapping[str, float]


@pytest.fixture(scope="module")
def incoming_and_arms(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, dict[str, Arm]]:
    folder = tmp_path_factory.mktemp("planted")
    make_rows(folder / "rows")
    settings(folder, "gain")
    for name in NAMES:
        run(folder, "source", "--dataset", name)
        run(folder, "split", "--dataset", name)
    for seed in SEEDS:
        own = ("--dataset", TARGET, "--seed", str(seed))
        for stage in ("teacher", "signals", "student", "meta_teacher"):
            run(folder, stage, *own, *(("--method", "mse_kd") if stage == "student" else ()))
        run(folder, "evaluate", *own, "--method", "mse_kd")
    incoming = fmean(accuracy(folder, "mse_kd", seed) for seed in SEEDS)
    arms = {name: play(folder, name) for name in SAMPLERS}
    for name, arm in arms.items():
        shares = ", ".join(f"{dataset} {share:.2f}" for dataset, share in arm.shares.items())
        print(f"\n{name}: {arm.accuracy:.3f} on dev, {incoming:.3f} before it; {shares}", end="")
    return incoming, arms


@pytest.mark.parametrize("reward", ["gain", "alignment"])
def test_the_policy_chooses_the_friend_and_leaves_the_decoys(
    incoming_and_arms: tuple[float, dict[str, Arm]], reward: str
) -> None:
    shares = incoming_and_arms[1][reward].shares
    assert shares["friend"] > 2 / len(NAMES)
    assert max(shares[name] for name in DECOYS) < 0.5 / len(NAMES)


def test_the_student_is_better_for_it_than_it_was_and_than_by_an_even_draw(
    incoming_and_arms: tuple[float, dict[str, Arm]],
) -> None:
    incoming, arms = incoming_and_arms
    assert min(arms[reward].accuracy for reward in ("gain", "alignment")) > incoming + 0.2
    assert arms["gain"].accuracy > arms["uniform"].accuracy
    # Measured: 0.887 against 0.884, which is no difference over five seeds.
    assert arms["alignment"].accuracy > arms["uniform"].accuracy - 0.02


def play(folder: Path, arm: str) -> Arm:
    """The curricula of all seeds with one sampler and reward, from the same students."""
    settings(folder, arm)
    for seed in SEEDS:
        own = ("--dataset", TARGET, "--seed", str(seed))
        run(folder, "curriculum", *own, "--method", "mpdistil")
        run(folder, "evaluate", *own, "--method", "mpdistil")
    halves = [second_half(folder, seed) for seed in SEEDS]
    shares = {name: fmean(row[f"share_{name}"] for half in halves for row in half) for name in NAMES}
    return Arm(fmean(accuracy(folder, "mpdistil", seed) for seed in SEEDS), shares)


def make_rows(folder: Path) -> None:
    """Rows of all datasets; no input comes twice."""
    drawn, seen = random.Random("planted"), set[tuple[object, object]]()
    write(folder / TARGET, draw(drawn, 200, seen), draw(drawn, 1000, seen), {name: name for name in ANSWERS})
    write(folder / "friend", draw(drawn, 6000, seen), draw(drawn, 100, seen), RENAMED)
    for name in DECOYS:
        decoy = draw(drawn, 6000, seen)
        labels = [row["label"] for row in decoy]
        drawn.shuffle(labels)
        shuffled = [{**row, "label": label} for row, label in zip(decoy, labels, strict=True)]
        write(folder / name, shuffled, draw(drawn, 100, seen), RENAMED)


def draw(drawn: random.Random, count: int, seen: set[tuple[object, object]]) -> list[Row]:
    """Rows of `payment` without the neutral ones, with RTE's label names."""
    rows: list[Row] = []
    while len(rows) < count:
        row = payment_row(drawn)
        texts = (row["premise"], row["hypothesis"])
        if row["label"] != "neutral" and texts not in seen:
            seen.add(texts)
            rows.append({**row, "label": ANSWERS[row["label"] != "entailment"]})
    return rows


def write(folder: Path, train: list[Row], dev: list[Row], names: Mapping[str, str]) -> None:
    folder.mkdir(parents=True)
    description = {"kind": "pair", "text": ["premise", "hypothesis"], "label": "label", "metrics": ["accuracy"]}
    content = yaml.safe_dump({**description, "labels": list(names.values())})
    (folder / "dataset.yaml").write_text(content, encoding="utf-8")
    for split, rows in (("train", train), ("dev", dev)):
        lines = (json.dumps({**row, "label": names[str(row["label"])]}) for row in rows)
        (folder / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def settings(folder: Path, arm: str) -> None:
    write_params(
        folder,
        benchmark="planted",
        datasets=list(NAMES),
        seeds=list(SEEDS),
        methods=["mse_kd", "mpdistil"],
        source={"folder": "rows"},
        split={"quiz": 0.05, "selection_minimum": 80, "selection_maximum": 0.45},
        student={"epochs": 15},
        # The probe is the whole of selection. With one seed of five either policy settles on the target alone.
        curriculum={
            "episodes": 150,
            "batch_size": 4,
            "student_learning_rate": 3.0e-4,
            "probe_rows": 80,
            **SAMPLERS[arm],
        },
    )


def run(folder: Path, stage: str, *options: str) -> None:
    ended = run_stage_here(folder, stage, *options)
    assert ended.status == 0, ended.errors


def accuracy(folder: Path, method: str, seed: int) -> float:
    path = folder / "outputs/evaluate" / TARGET / method / str(seed) / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8"))["dev"]["accuracy"]


def second_half(folder: Path, seed: int) -> list[dict[str, float]]:
    path = folder / "outputs/student" / TARGET / "mpdistil" / str(seed) / "episodes.jsonl"
    episodes = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][1:]
    return episodes[len(episodes) // 2 :]
