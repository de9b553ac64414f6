"""Runs MPDistil's variants on a profile's datasets and appends a row for each to docs/results/runs.jsonl.

    python -m experiments.grid profiles/superglue-minilm.yaml docs/results/runs.jsonl \
        --cells all --datasets cb copa --seeds 42 43 44 --set source.folder=/data/superglue --workers 2

Teacher, signals and the two students are made once for each dataset and seed and shared by all cells. A cell whose row
is in the file already is left out, so an interrupted grid goes on where it stopped. It runs the stages' own commands,
in a folder of its own (`--work`), where nothing else's outputs are touched.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from benchmarks.stage_commands import (
    FOLDER,
    Work,
    commit,
    machine,
    prepare,
    read_metrics,
    read_values,
    run_stage_command,
    write_params,
)
from experiments.result_rows import append_row

LOSSES = ("collaborative", "competitive", "competitive_probability")
# gain and alignment never read the meta-teacher, and the fixed samplers (uniform, target, kd_only) learn from no reward: one
# row of each stands for all losses, or for all rewards. The cheapest reward is logged with them.
VARIANTS = {
    "default": [("collaborative", "alignment", "policy")],
    "rewards": [
        *((loss, reward, "policy") for loss in LOSSES for reward in ("binary", "real")),
        ("collaborative", "gain", "policy"),
        ("collaborative", "alignment", "policy"),
    ],
    "samplers": [("collaborative", "real", sampler) for sampler in ("policy", "uniform", "target", "kd_only")],
}
VARIANTS["all"] = list(dict.fromkeys([*VARIANTS["rewards"], *VARIANTS["samplers"]]))


@dataclass(frozen=True)
class Grid:
    """What is run, and where."""

    profile: str
    runs: Path
    work: Work
    cells: Sequence[tuple[str, str, str]]
    command: str


def main() -> None:
    """Run the grid; the exit status is that of the first stage that failed."""
    options = _arguments()
    grid = Grid(
        profile=options.profile.stem,
        runs=options.runs.absolute(),
        work=Work(options.work.absolute(), read_values(options.profile, options.set)),
        cells=VARIANTS[options.cells],
        command="python -m experiments.grid " + FOLDER.sub("FOLDER", " ".join(sys.argv[1:])),
    )
    prepare(grid.work.folder)
    _make_inputs(grid, options.datasets)
    pairs = [(dataset, seed) for seed in options.seeds for dataset in options.datasets]
    with ThreadPoolExecutor(options.workers) as pool:
        for outcome in [pool.submit(_chain, grid, dataset, seed) for dataset, seed in pairs]:
            outcome.result()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.grid", description=__doc__)
    parser.add_argument("profile", type=Path)
    parser.add_argument("runs", type=Path, help="the JSON lines file that rows are appended to")
    parser.add_argument("--cells", choices=VARIANTS, default="default")
    parser.add_argument("--datasets", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, required=True)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values over the profile's")
    parser.add_argument("--work", type=Path, default=Path("outputs/grid"))
    parser.add_argument("--workers", type=int, default=1, help="datasets and seeds side by side, one thread each")
    return parser.parse_args()


def _make_inputs(grid: Grid, datasets: Sequence[str]) -> None:
    """Splits of all the profile's datasets: each is an action of every curriculum."""
    for dataset in dict.fromkeys([*_actions(grid), *datasets]):
        params = write_params(grid.work, f"split-{dataset}", {})
        for stage in ("source", "split"):
            run_stage_command(grid.work, params, stage, dataset)


def _chain(grid: Grid, dataset: str, seed: int) -> None:
    """Everything for one dataset and seed: what the cells share, then the cells."""
    open_cells = [cell for cell in grid.cells if not _is_done(grid, dataset, seed, cell)]
    if not open_cells:
        return
    params = write_params(grid.work, f"{dataset}-{seed}", {})
    run_stage_command(grid.work, params, "teacher", dataset, seed=seed)
    run_stage_command(grid.work, params, "signals", dataset, seed=seed)
    for method in ("finetune", "mse_kd"):
        run_stage_command(grid.work, params, "student", dataset, method, seed)
        run_stage_command(grid.work, params, "evaluate", dataset, method, seed)
    for loss, reward, sampler in open_cells:
        started = time.monotonic()
        overrides = {"meta_teacher.loss": loss, "curriculum.reward": reward, "curriculum.sampler": sampler}
        params = write_params(grid.work, f"{dataset}-{seed}", overrides)
        run_stage_command(grid.work, params, "meta_teacher", dataset, seed=seed, again=True)
        run_stage_command(grid.work, params, "curriculum", dataset, "mpdistil", seed, again=True)
        run_stage_command(grid.work, params, "evaluate", dataset, "mpdistil", seed, again=True)
        append_row(grid.runs, _row(grid, dataset, seed, (loss, reward, sampler), time.monotonic() - started))


def _is_done(grid: Grid, dataset: str, seed: int, cell: tuple[str, str, str]) -> bool:
    return any(
        row["profile"] == grid.profile
        and row["budget"] == _budget(grid)
        and (row["dataset"], row["seed"]) == (dataset, seed)
        and tuple(row["cell"][key] for key in ("meta_loss", "reward", "sampler")) == cell
        for row in _rows(grid.runs)
    )


def _rows(path: Path) -> Iterator[dict]:
    """The file's rows that are cells of this grid; those of the comparison of methods have none."""
    if path.exists():
        yield from (row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()) if "cell" in row)


def _budget(grid: Grid) -> dict[str, object]:
    values = cast(dict[str, dict[str, object]], grid.work.values)
    return {
        "teacher_epochs": values["teacher"]["epochs"],
        "student_epochs": values["student"]["epochs"],
        "episodes": values["curriculum"]["episodes"],
        "steps_per_episode": values["curriculum"]["max_steps_per_episode"],
        "probe_rows": values["curriculum"]["probe_rows"],
        "actions": ", ".join(_actions(grid)),
    }


def _actions(grid: Grid) -> list[str]:
    return cast(list[str], grid.work.values["datasets"])


def _row(grid: Grid, dataset: str, seed: int, cell: tuple[str, str, str], duration: float) -> dict[str, object]:
    """One line of the runs file: scores on dev, and beside them those on selection, in points of 100."""

    def metrics(*parts: str) -> dict:
        return read_metrics(grid.work, *parts)

    evaluated = {name: metrics("evaluate", dataset, name, str(seed)) for name in ("finetune", "mse_kd", "mpdistil")}
    meta = metrics("meta_teacher", dataset, str(seed))
    spec = json.loads((grid.work.folder / "outputs/split" / dataset / "tokens/spec.json").read_text(encoding="utf-8"))
    headline = spec["metrics"][0]

    def scores(split: str) -> dict[str, float]:
        found = {"teacher": evaluated["mpdistil"][f"teacher_{split}"][headline], "meta_teacher": meta[split][headline]}
        found |= {name: content[split][headline] for name, content in evaluated.items()}
        return {name: round(100 * value, 4) for name, value in found.items()}

    curriculum = metrics("student", dataset, "mpdistil", str(seed))
    return {
        "profile": grid.profile,
        "dataset": dataset,
        "seed": seed,
        "metric": headline,
        "cell": {"meta_loss": cell[0], "reward": cell[1], "sampler": cell[2], "preset": "default"},
        "scores": scores("dev"),
        "selection_scores": scores("selection"),
        "selection_loss": {name: content["selection"]["loss"] for name, content in evaluated.items()},
        "best_episode": curriculum["best_episode"],
        "cumulative_share": curriculum["cumulative_share"],
        "dev_rows": evaluated["mpdistil"]["rows"]["dev"],
        "selected_on": curriculum["selected_on"],
        "budget": _budget(grid),
        "machine": machine(grid.work.values),
        "commit": commit(),
        "command": grid.command,
        "duration_s": round(duration, 1),
    }


if __name__ == "__main__":
    main()
