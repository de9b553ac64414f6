"""Runs a grid (MPDistil's variants, methods with one budget, or papers' grids) x datasets x seeds; a row for each.

    python -m experiments.grid profiles/superglue-minilm.yaml docs/results/runs.jsonl \
        --cells all --datasets cb copa --seeds 42 43 44 --set source.folder=/data/superglue
    python -m experiments.grid profiles/superglue-minilm.yaml docs/results/runs.jsonl \
        --methods finetune kd prokd --variant prokd-without-temperature prokd.temperature=false \
        --updates 200 --batch-size 16 --datasets cb --seeds 42 --work outputs/methods
    python -m experiments.grid profiles/superglue-minilm.yaml docs/results/runs.jsonl \
        --grids profiles/grids/kd.yaml profiles/grids/pkd.yaml --points 12 --datasets cb --seeds 42

A point is a run of the pipeline: what its stages share with other points, teachers above all, comes from DVC's cache. A
point whose row is in the file is left out, so the same command goes on where it was interrupted. Of a paper's grid, drawn
by --points, the point with the lowest loss on selection becomes a row. A method that refuses a dataset is named and left
out. `cd WORK && PYTHONPATH=$OLDPWD python -m reporting.compare --params all.yaml --methods all` compares methods.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from config.methods import METHODS, SUFFIXES, method_of
from errors import UserError
from experiments.cells import VARIANTS, Cells
from experiments.decoy import Decoy
from experiments.decoy_rows import DecoyRows
from experiments.grid_files import draw_points, read_grid
from experiments.grid_types import Point, Setting
from experiments.methods_grid import Budget, Entry, MethodsGrid, entries_of
from experiments.pipeline_runs import Pipeline, RunFailed

Grid = Cells | Decoy | MethodsGrid
# Where somebody keeps rows and weights is of no use to the next reader of the command.
FOLDER = re.compile(r"(?<=[=\[, ])/[^\],\s]*")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the grid: 0, 1 if a stage failed, 2 with one line if it can't be run, 130 after Ctrl-C."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _arguments(given)
    pipeline = Pipeline(options.profile.absolute(), tuple(options.set))
    try:
        entries = _entries(options)
        if options.list:
            cells = [] if entries else VARIANTS[options.cells]
            print(*map(", ".join, cells), *(f"{entry.name}: {dict(entry.values)}" for entry in entries), sep="\n")
            return 0
        grid = _grid(options, pipeline, entries, "python -m experiments.grid " + FOLDER.sub("FOLDER", " ".join(given)))
        grid.prepare()
        _run(grid, pipeline, [(dataset, seed) for seed in options.seeds for dataset in options.datasets], options)
        grid.conclude()
    except (UserError, ValueError) as error:
        print(f"grid: {error}", file=sys.stderr)
        return 1 if isinstance(error, RunFailed) else 2
    except KeyboardInterrupt:
        print("grid: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"{options.runs}: {', '.join(options.datasets)}, seeds {', '.join(map(str, options.seeds))}")
    return 0


def _run(grid: Grid, pipeline: Pipeline, pairs: Sequence[tuple[str, int]], options: argparse.Namespace) -> None:
    """Run all points, datasets and seeds side by side; raises the first error, and ends what runs then."""

    def chain(dataset: str, seed: int) -> None:
        for point in grid.points(dataset, seed):
            _run_point(grid, pipeline, point, goes_on=bool(options.grids))

    pool = ThreadPoolExecutor(options.workers)
    try:
        for outcome in [pool.submit(chain, *pair) for pair in pairs]:
            outcome.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        pipeline.stop()
        pool.shutdown()


def _run_point(grid: Grid, pipeline: Pipeline, point: Point, *, goes_on: bool) -> None:
    """Run one point; of a paper's grid one that fails, as by a learning rate too high, is said and not counted."""
    print(f"{point.dataset} {point.seed}: {point.name}", flush=True)
    try:
        with pipeline.run(point.values, point.targets) as tree:
            grid.finish(point, tree)
    except RunFailed as error:
        if not goes_on or pipeline.stopping.is_set():
            raise
        print(f"{point.dataset} {point.seed}: {point.name} failed ({error})", file=sys.stderr, flush=True)


def _grid(options: argparse.Namespace, pipeline: Pipeline, entries: Sequence[Entry], command: str) -> Grid:
    values = pipeline.values()
    setting = Setting(pipeline, values, options.runs.absolute(), options.work.absolute(), command)
    for dataset in options.datasets:
        if options.decoy is None and dataset not in setting.actions:
            raise UserError(f"--datasets {dataset}: not in {options.profile}, which has {', '.join(setting.actions)}")
    setting.work.mkdir(parents=True, exist_ok=True)
    if options.decoy is not None:
        rows = DecoyRows(options.decoy.absolute(), options.datasets[0])
        return Decoy(setting, rows, VARIANTS[options.cells], options.shares)
    if not entries:
        return Cells(setting, VARIANTS[options.cells])
    return MethodsGrid(setting, entries, options.datasets, options.seeds, Budget(options.updates, options.batch_size))


def _entries(options: argparse.Namespace) -> list[Entry]:
    """The requested methods and variants, and the points of the papers' grids."""
    found = entries_of(options.methods, options.variant)
    for grid in map(read_grid, options.grids):
        found += [
            Entry(point.name, point.values, grid.name) for point in draw_points(grid, options.points, options.seed)
        ]
    return found


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.grid", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("profile", type=Path)
    parser.add_argument("runs", type=Path, help="JSON lines file to append rows to")
    parser.add_argument(
        "--cells", choices=VARIANTS, help="MPDistil's variants, unless there are methods (default; decoy with --decoy)"
    )
    parser.add_argument("--decoy", type=Path, help="a folder of GLUE's rows: see experiments/decoy.py")
    parser.add_argument("--shares", nargs="+", type=float, default=[1.0], help="of the target's train rows (--decoy)")
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--variant", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE"))
    parser.add_argument("--grids", nargs="+", type=Path, default=[], help="files of profiles/grids")
    parser.add_argument(
        "--points", type=int, help="number of points drawn from each paper's grid by --seed (default: all)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    parser.add_argument("--list", action="store_true", help="print the points, and run nothing")
    parser.add_argument("--datasets", nargs="+", default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[])
    parser.add_argument(
        "--updates", type=int, help="minimum updates of the student (200; papers' grids: the profile's epochs)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=16, help="batch size of methods, and of papers' grids without one"
    )
    parser.add_argument(
        "--profile-epochs", action="store_true", help="methods train for the profile's student.epochs, not by --updates"
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values over the profile's")
    parser.add_argument(
        "--work", type=Path, default=Path("outputs/grid"), help="folder of the kept outputs, for compare"
    )
    parser.add_argument("--workers", type=int, default=1, help="datasets and seeds in parallel, one thread each")
    options = parser.parse_args(arguments)
    _check(parser, options)
    return options


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with status 2 for what can't be run together; give --updates and --cells their defaults."""
    if not options.list and not (options.datasets and options.seeds):
        parser.error("--datasets and --seeds: name at least one each")
    if options.cells is None:
        options.cells = "default" if options.decoy is None else "decoy"
    if options.decoy is not None and (options.grids or options.methods or options.variant or len(options.datasets) > 1):
        parser.error("--decoy: has one target in --datasets, and cells only")
    if any(not 0 < share <= 1 for share in options.shares):
        parser.error("--shares: each is above 0 and at most 1")
    if options.grids and (options.methods or options.variant):
        parser.error("--grids: papers' grids run apart from --methods and --variant, in a work folder of their own")
    for name in [*options.methods, *(name for name, *_ in options.variant)]:
        if (method := method_of(name)) not in METHODS:
            parser.error(f"{name}: no method; those are {', '.join(METHODS)}")
        if method.endswith(SUFFIXES["meta_taught"]):
            parser.error(f"{name}: its teacher comes out of mpdistil's stages; run it by `dvc repro`")
        if method.endswith(SUFFIXES["multi_task"]):
            parser.error(f"{name}: has MPDistil's updates, not those of this grid; run it by `dvc repro`")
    if options.profile_epochs and options.updates is not None:
        parser.error("--updates and --profile-epochs: one of them")
    if options.updates is None and not (options.grids or options.profile_epochs):
        options.updates = 200


if __name__ == "__main__":
    raise SystemExit(main())
