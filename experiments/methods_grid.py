"""Runs methods on a profile's datasets with one budget for all, and appends a row for each to docs/results/runs.jsonl.

    python -m experiments.methods_grid profiles/superglue-minilm.yaml docs/results/runs.jsonl \
        --methods finetune kd mse_kd pkd prokt prokd metadistil lgtm --datasets cb copa --seeds 42 43 44 \
        --updates 200 --batch-size 16 --set source.folder=/data/superglue --work outputs/methods
    cd outputs/methods && PYTHONPATH=$OLDPWD python -m reporting.compare --params all.yaml --methods all

Teacher (its epochs kept) and signals are made once for each dataset and seed and shared. A method trains for as many
whole epochs as reach `--updates` updates of its student. `--variant prokd-without-temperature prokd.temperature=false`
is a method with other values, in a folder of its own. mpdistil spends half of the updates on its base and half on its
curriculum. A row that is in the file already is left out, a method that refuses a dataset is named and skipped.
"""

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
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
from config.methods import refusal
from experiments.method_runs import append_method_row, read_method_rows
from experiments.method_training import CURRICULUM, Entry, Grid, actions, lists_of, train
from kinds import KINDS
from reporting.effort import effort_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; the exit status is that of the first stage that failed, and a later call goes on there."""
    grid = _grid(_arguments(arguments))
    try:
        _run(grid)
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(f"{grid.runs}: {', '.join(e.name for e in grid.entries)} on {', '.join(grid.datasets)}")
    return 0


def _run(grid: Grid) -> None:
    prepare(grid.work.folder)
    lists = {"datasets": list(grid.datasets), "seeds": list(grid.seeds)}
    write_params(grid.work, "all", {**lists_of("finetune"), **lists})
    _make_splits(grid)
    for dataset in grid.datasets:
        for seed in grid.seeds:
            for entry in grid.entries:
                reason = _refused(grid, entry, dataset)
                if reason is not None:
                    print(f"left out: {reason}", flush=True)
                elif not _is_done(grid, entry, dataset, seed):
                    work = train(grid, entry, dataset, seed)
                    append_method_row(grid.runs, _row(grid, work, entry, dataset, seed))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.methods_grid", description=__doc__)
    parser.add_argument("profile", type=Path)
    parser.add_argument("runs", type=Path, help="the JSON lines file that rows are appended to")
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--variant", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE"))
    parser.add_argument("--datasets", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, required=True)
    parser.add_argument("--updates", type=int, default=200, help="of the student, at least")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values over the profile's")
    parser.add_argument("--work", type=Path, default=Path("outputs/methods"))
    options = parser.parse_args(arguments)
    if taught := [name for name in options.methods if name.endswith("_meta")]:
        parser.error(f"{', '.join(taught)}: its teacher comes out of mpdistil's stages; run it by `dvc repro`")
    if later := [name for name in options.methods if name.endswith("_multi")]:
        parser.error(f"{', '.join(later)}: has MPDistil's updates, not those of this grid; run it by `dvc repro`")
    options.shown = " ".join(sys.argv[1:] if arguments is None else arguments)
    return options


def _grid(options: argparse.Namespace) -> Grid:
    values = read_values(options.profile, options.set)
    entries = [Entry(name, {}) for name in options.methods]
    for name, *assignments in options.variant:
        given = dict(assignment.partition("=")[::2] for assignment in assignments)
        entries.append(Entry(name, {key: json.loads(value) for key, value in given.items()}))
    for section in {entry.method for entry in entries}:
        values.setdefault(section, {})
    return Grid(
        profile=options.profile.stem,
        work=Work(options.work.absolute(), values),
        runs=options.runs.absolute(),
        entries=entries,
        datasets=options.datasets,
        seeds=options.seeds,
        updates=options.updates,
        batch_size=options.batch_size,
        command="python -m experiments.methods_grid " + FOLDER.sub("FOLDER", options.shown),
    )


def _make_splits(grid: Grid) -> None:
    """Splits of the datasets; of all the profile's where a curriculum picks among them."""
    curricula = any(entry.method == CURRICULUM for entry in grid.entries)
    names = [*(actions(grid) if curricula else []), *grid.datasets]
    params = write_params(grid.work, "splits", lists_of("finetune"))
    for dataset in dict.fromkeys(names):
        for stage in ("source", "split"):
            run_stage_command(grid.work, params, stage, dataset)


def _refused(grid: Grid, entry: Entry, dataset: str) -> str | None:
    spec = _spec(grid, dataset)
    kind, names = spec["kind"], cast(list[str], spec["label_names"])
    return refusal(entry.method, dataset, kind, KINDS[kind].columns(names))


def _spec(grid: Grid, dataset: str) -> dict:
    path = grid.work.folder / "outputs/split" / dataset / "tokens/spec.json"
    return json.loads(path.read_text(encoding="utf-8"))


def _is_done(grid: Grid, entry: Entry, dataset: str, seed: int) -> bool:
    if not grid.runs.exists():
        return False
    budget = json.dumps(_budget(grid), sort_keys=True)
    return any(
        (row.experiment.profile, row.experiment.budget) == (grid.profile, budget)
        and (row.dataset, row.method, row.seed) == (dataset, entry.name, seed)
        for row in read_method_rows(grid.runs)
    )


def _budget(grid: Grid) -> dict[str, object]:
    values = cast(Mapping[str, Mapping[str, object]], grid.work.values)
    return {
        "student_updates": grid.updates,
        "batch_size": grid.batch_size,
        "teacher_epochs": values["teacher"]["epochs"],
        "student_learning_rate": values["student"]["learning_rate"],
    }


def _row(grid: Grid, work: Work, entry: Entry, dataset: str, seed: int) -> dict[str, object]:
    """One line of the runs file; scores in points of 100."""
    metrics = read_metrics(work, "evaluate", dataset, entry.method, str(seed))
    headline = cast(list[str], _spec(grid, dataset)["metrics"])[0]
    with contextlib.chdir(work.folder):
        effort = effort_of(dataset, entry.method, seed)
    record = work.folder / "outputs/student" / dataset / entry.method / str(seed) / "run.json"
    params = json.loads(record.read_text(encoding="utf-8"))["params"]
    sections = (CURRICULUM, "meta_teacher", "curriculum", "mse_kd") if entry.method == CURRICULUM else (entry.method,)

    def scores(split: str) -> dict[str, float]:
        both = (("student", split), ("teacher", f"teacher_{split}"))
        return {who: round(100 * cast(Mapping[str, float], metrics[name])[headline], 4) for who, name in both}

    if effort is None:
        raise ValueError(f"{record.parent}: no record of the training that was just run")
    return {
        "profile": grid.profile,
        "dataset": dataset,
        "method": entry.name,
        "seed": seed,
        "metric": headline,
        "dev": scores("dev"),
        "selection": scores("selection"),
        "selection_loss": cast(Mapping[str, float], metrics["selection"])["loss"],
        "dev_rows": cast(Mapping[str, int], metrics["rows"])["dev"],
        "selected_on": metrics["selected_on"],
        "updates": {"student": effort.student_updates, "teacher": effort.teacher_updates},
        "cpu_s": round(effort.cpu_s, 1),
        "peak_memory_mb": effort.peak_memory_mb,
        "points": 1,
        "parameters": {name: params[name] for name in sections if name in params},
        "budget": _budget(grid),
        "machine": machine(grid.work.values),
        "commit": commit(),
        "command": grid.command,
    }


if __name__ == "__main__":
    raise SystemExit(main())
