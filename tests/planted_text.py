"""The planted problem on text: does the curriculum find the dataset that helps, and leave the one that does not?

    python -m tests.planted_text FOLDER                      # gain, alignment and uniform, as the slow test plays them
    python -m tests.planted_text FOLDER --seeds 1 2 3 --option actions_rows=train --option gain_steps=3 target_steps=1

RTE-like rows of the quickstart's world (can she pay for it?). The target has 200 of them: too few to learn it, and ten for
its curriculum to draw from. The *friend* is the same question under other label names, the *decoys* are the same with their
labels shuffled; each has 300 rows to draw from, or 5,400 of its train rows. By the project's own stages, from raw rows to
predictions on dev. FOLDER keeps the students that come in and every curriculum that was played; one process.
"""

import argparse
import json
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import yaml

from data.quickstart_rows import payment_row
from records.evaluated import PREDICTIONS
from records.trained import EpisodeRow
from reporting.evaluations import PairedPredictions, read_predictions
from reporting.statistics import paired_interval
from tests.stages import run_stage_here, write_params

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
OF_THE_POLICY = ("gain_steps", "probe_rows")
"""Options that an even draw has no use for."""
Row = dict[str, object]


@dataclass(frozen=True)
class Arm:
    """One sampler and reward: answers on dev by seed, the share of each dataset in the second half of the episodes."""

    dev: Sequence[PairedPredictions]
    shares: Mapping[str, float]
    """Means over the seeds."""

    @property
    def accuracies(self) -> list[float]:
        return [accuracy_of(one) for one in self.dev]

    @property
    def accuracy(self) -> float:
        return fmean(self.accuracies)

    def against(self, other: "Arm") -> str:
        """Difference in points, with its interval over rows and seeds."""
        logits = [[one.student for one in arm.dev] for arm in (self, other)]
        found = paired_interval("accuracy", "pair", self.dev[0].labels, *logits, 0.95)
        assert found.low is not None and found.high is not None
        return f"{100 * found.difference:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def come_in(folder: Path, seeds: Sequence[int]) -> float:
    """Make rows and students of these seeds, unless FOLDER has them; their mean accuracy on dev."""
    if not (folder / "rows").exists():
        make_rows(folder / "rows")
    settings(folder, "gain")
    for name in NAMES:
        if not (folder / "outputs/split" / name).exists():
            run(folder, "source", "--dataset", name)
            run(folder, "split", "--dataset", name)
    for seed in seeds:
        own = ("--dataset", TARGET, "--seed", str(seed))
        if not (folder / "outputs/evaluate" / TARGET / "mse_kd" / str(seed)).exists():
            for stage in ("teacher", "signals", "student", "meta_teacher"):
                run(folder, stage, *own, *(("--method", "mse_kd") if stage == "student" else ()))
            run(folder, "evaluate", *own, "--method", "mse_kd")
    return fmean(accuracy_of(on_dev(folder, "mse_kd", seed)) for seed in seeds)


def play(folder: Path, arm: str, seeds: Sequence[int] = SEEDS, option: Mapping[str, object] | None = None) -> Arm:
    """The curricula of all seeds with one sampler and reward, from the same students; those that FOLDER keeps are read."""
    chosen = dict(option or {})
    if arm == "uniform":  # it learns from nothing
        chosen = {key: value for key, value in chosen.items() if key not in OF_THE_POLICY}
    name = "-".join([arm, *(f"{key}-{value}" for key, value in sorted(chosen.items()))])
    kept = [folder / "played" / name / str(seed) for seed in seeds]
    for seed, place in zip(seeds, kept, strict=True):
        if not place.exists():
            _play_one(folder, arm, seed, chosen, place)
    halves = [second_half(place / EpisodeRow.FILE) for place in kept]
    shares = {name: fmean(row[f"share_{name}"] for half in halves for row in half) for name in NAMES}
    return Arm([read_predictions(place / PREDICTIONS, "pair")["dev"] for place in kept], shares)


def _play_one(folder: Path, arm: str, seed: int, option: Mapping[str, object], place: Path) -> None:
    settings(folder, arm, option)
    own = ("--dataset", TARGET, "--seed", str(seed))
    run(folder, "curriculum", *own, "--method", "mpdistil")
    run(folder, "evaluate", *own, "--method", "mpdistil")
    aside = place.with_suffix(".part")
    aside.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "outputs/student" / TARGET / "mpdistil" / str(seed) / EpisodeRow.FILE, aside)
    shutil.copy(folder / "outputs/evaluate" / TARGET / "mpdistil" / str(seed) / PREDICTIONS, aside)
    aside.rename(place)


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


def settings(folder: Path, arm: str, option: Mapping[str, object] | None = None) -> None:
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
            **(option or {}),
        },
    )


def run(folder: Path, stage: str, *options: str) -> None:
    ended = run_stage_here(folder, stage, *options)
    assert ended.status == 0, ended.errors


def on_dev(folder: Path, method: str, seed: int) -> PairedPredictions:
    path = folder / "outputs/evaluate" / TARGET / method / str(seed) / PREDICTIONS
    return read_predictions(path, "pair")["dev"]


def accuracy_of(dev: PairedPredictions) -> float:
    return float((dev.student.argmax(axis=1) == dev.labels).mean())


def second_half(path: Path) -> list[dict[str, float]]:
    episodes = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][1:]
    return episodes[len(episodes) // 2 :]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table: each option with every sampler, beside an even draw with the same option."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted_text", description="Curricula on planted text.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--option", nargs="*", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    print(f"came in: {come_in(given.folder, given.seeds):.3f} on dev, {len(given.seeds)} seeds", flush=True)
    print(
        "| option | sampler | dev | friend | target | most of a decoy | to uniform |",
        "|---|---|---|---|---|---|---|",
        sep="\n",
    )
    for pairs in given.option or [[]]:
        option = {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in pairs)}
        uniform = play(given.folder, "uniform", given.seeds, option)
        for name in given.samplers:
            if name == "alignment" and "gain_steps" in option:
                continue
            arm = play(given.folder, name, given.seeds, option)
            spread = f" ± {stdev(arm.accuracies):.3f}" if len(given.seeds) > 1 else ""
            decoy = max(arm.shares[decoy] for decoy in DECOYS)
            print(
                f"| {' '.join(pairs) or 'none'} | {name} | {arm.accuracy:.3f}{spread} | {arm.shares['friend']:.2f} | "
                f"{arm.shares[TARGET]:.2f} | {decoy:.2f} | {'' if name == 'uniform' else arm.against(uniform)} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
