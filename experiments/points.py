"""The papers' grids through DVC's queue, and the best point of each on selection.

    python -m experiments.points list profiles/grids/kd.yaml profiles/grids/metadistil.yaml --points 12
    python -m experiments.points queue profiles/grids/kd.yaml profiles/grids/metadistil.yaml --points 12
    dvc queue start --jobs 1
    python -m experiments.points choose --output outputs/chosen
    cd outputs/chosen && python -m reporting.compare --points points.json     # PYTHONPATH: the repository

`--points N` draws as many points for every grid, by a seed. `choose` reads what DVC keeps of the experiments, takes for
each dataset and method the point with the lowest loss on selection (the earliest of equal ones), never dev, and fetches
its evaluation into one folder, so that the comparison is one of best points and says how many were tried.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from config.methods import by_family
from data.atomic_files import whole_file
from experiments.experiments import Chosen, Tried, choose, finished
from experiments.grid_files import draw_points, queue_arguments, read_grid

FETCHED = ("run.json", "metrics.json", "curves.jsonl", "steps.jsonl")


def main(arguments: Sequence[str] | None = None) -> int:
    """List, queue or choose; 2 with one line if that can't be done."""
    options = _arguments(arguments)
    try:
        if options.action == "choose":
            return _choose(options.output)
        commands = [
            queue_arguments(point)
            for path in options.grids
            for point in draw_points(read_grid(path), options.points, options.seed)
        ]
    except ValueError as error:
        print(f"points: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"points: {shlex.join(error.cmd)}: {error.stderr.strip()}", file=sys.stderr)
        return error.returncode
    if options.action == "list":
        print("\n".join(map(shlex.join, commands)))
        return 0
    return _queue(commands)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.points", description="The papers' grids.")
    actions = parser.add_subparsers(dest="action", required=True)
    for name, text in (("list", "print the commands"), ("queue", "queue the experiments")):
        one = actions.add_parser(name, help=text)
        one.add_argument("grids", nargs="+", type=Path, help="files of profiles/grids")
        one.add_argument("--points", type=int, help="as many points of every grid, drawn by --seed; all without it")
        one.add_argument("--seed", type=int, default=0)
    one = actions.add_parser("choose", help="the best point on selection, fetched for reporting.compare")
    one.add_argument("--output", type=Path, default=Path("outputs/chosen"))
    return parser.parse_args(arguments)


def _queue(commands: Sequence[Sequence[str]]) -> int:
    """Queue every experiment; stops at the first that DVC refuses, e.g. because one of that name is queued."""
    for command in commands:
        done = subprocess.run(command, check=False)
        if done.returncode:
            return done.returncode
    print(f"points: {len(commands)} experiments queued; `dvc queue start` runs them")
    return 0


def _choose(output: Path) -> int:
    """Choose among the finished experiments and fetch what the comparison reads."""
    shown = subprocess.run(["dvc", "exp", "show", "--json", "-A"], capture_output=True, text=True, check=True)
    tried = finished(json.loads(shown.stdout))
    if not tried:
        raise ValueError("no experiment of a grid has finished; queue some with `python -m experiments.points queue`")
    chosen = choose(tried)
    for one in chosen:
        _fetch(one, output)
        print(
            f"{one.dataset} {one.method}: {one.tried.name} of {one.points}, selection loss {one.loss:.4f}: {_values(one)}"
        )
    points = {one.method: one.points for one in chosen}
    content = {"points": points, "chosen_on": "selection", "chosen": [_record(one) for one in chosen]}
    _write(output / "points.json", json.dumps(content, indent=2) + "\n")
    _write(output / "params.yaml", _params(tried[0], chosen))
    short = [one.name for one in tried if one.failed]
    print(f"points: best of N on selection ({', '.join(f'{m} {n}' for m, n in points.items())}), {output}")
    if short:
        print(f"points: {len(short)} failed and were not counted: {', '.join(short)}", file=sys.stderr)
    return 0


def _values(one: Chosen) -> str:
    return ", ".join(f"{key} {value}" for key, value in one.tried.values.items())


def _record(one: Chosen) -> dict[str, object]:
    return {
        "dataset": one.dataset,
        "method": one.method,
        "experiment": one.tried.name,
        "selection_loss": one.loss,
        "values": dict(one.tried.values),
    }


def _fetch(one: Chosen, output: Path) -> None:
    """Evaluation, record of training and description of the dataset, as that experiment left them."""
    for seed in one.tried.seeds:
        _get(one.tried.revision, f"outputs/evaluate/{one.dataset}/{one.method}/{seed}", output)
        trained = [f"student/{one.dataset}/{one.method}/{seed}"]
        if one.method == "mpdistil":
            trained += [f"student/{one.dataset}/{one.base}/{seed}", f"meta_teacher/{one.dataset}/{seed}"]
        for folder in trained:
            for name in FETCHED:
                _get(one.tried.revision, f"outputs/{folder}/{name}", output, needed=False)
    for name in ("tokens/spec.json", "metrics.json"):
        _get(one.tried.revision, f"outputs/split/{one.dataset}/{name}", output)


def _get(revision: str, path: str, output: Path, *, needed: bool = True) -> None:
    target = output / path
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["dvc", "get", "--quiet", "--force", ".", path, "--rev", revision, "--out", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and needed:
        raise ValueError(f"{path} of {revision}: {done.stderr.strip() or 'dvc get failed'}")


def _params(first: Tried, chosen: Sequence[Chosen]) -> str:
    """The first experiment's params with the lists of what was chosen, for `reporting.compare` in that folder."""
    params = json.loads(json.dumps(first.params))
    params["methods"] = by_family(dict.fromkeys(one.method for one in chosen))
    params["datasets"] = list(dict.fromkeys(one.dataset for one in chosen))
    params["teacher"]["trajectory"] = True
    return json.dumps(params, indent=2) + "\n"  # JSON is YAML


def _write(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))


if __name__ == "__main__":
    raise SystemExit(main())
