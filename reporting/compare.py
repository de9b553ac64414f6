"""compare: all evaluated methods side by side, from the pipeline's outputs.

    python -m reporting.compare
    python -m reporting.compare --methods finetune kd prokd prokd-without-temperature --baseline kd --output outputs/compare

Reads: evaluations, and the records of training. Prints two tables; writes them with all numbers into the output folder:
comparison.txt, comparison.md, comparison.json, *.png. What did not run is a gap, with its reason. It trains nothing and
is no stage: the report stage has the same comparison of everything that params.yaml lists.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from broken_pipe import without_readers
from config.parameters import Parameters, load
from data.atomic_files import whole_file
from errors import UserError
from outputs import OUTPUTS, read_file
from records.reported import ChosenPoints
from reporting.chosen import points_of
from reporting.comparison import Comparison, compare
from reporting.findings import untaught
from reporting.gather import gather_evaluated
from resource_errors import disk_error


@without_readers()
def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and write; return 2 with one line on stderr if there is nothing to compare, or a file is damaged."""
    options = _arguments(arguments)
    try:
        comparison = _compared(options, load(options.params))
        _write(options.output, comparison)
    except UserError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        reason = disk_error(error)
        if reason is None:
            raise
        print(f"compare: {reason}", file=sys.stderr)
        return 2
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m reporting.compare", description="Compare methods.")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="params file (params.yaml)")
    parser.add_argument("--datasets", nargs="+", help="those of the params file")
    parser.add_argument("--methods", nargs="+", help="those of the params file; 'all': every evaluated one")
    parser.add_argument("--seeds", nargs="+", type=int, help="those of the params file")
    parser.add_argument("--baseline", help="baseline of wins and losses (kd, else finetune)")
    parser.add_argument("--points", type=Path, help="points.json of `python -m experiments.grid --grids`")
    parser.add_argument("--output", type=Path, default=OUTPUTS / "compare", help="folder to write into")
    return parser.parse_args(arguments)


def _compared(options: argparse.Namespace, given: Parameters) -> Comparison:
    datasets = options.datasets or given.datasets
    methods = options.methods or given.methods.names
    if methods == ["all"]:
        methods = evaluated_methods(datasets)
    seeds = options.seeds or given.seeds
    points = points_of(datasets, methods, seeds)
    if options.points:
        points |= read_file(ChosenPoints, options.points).points
    outputs = gather_evaluated(datasets, methods, seeds)
    return compare(
        outputs,
        methods,
        benchmark=given.benchmark,
        baseline=options.baseline,
        points=points,
        level=given.report.level,
        left_out=untaught(outputs, methods, seeds, given.registry),
    )


def evaluated_methods(datasets: Sequence[str]) -> list[str]:
    """All methods and variants evaluated on any of the datasets."""
    folders = [OUTPUTS / "evaluate" / dataset for dataset in datasets]
    found = sorted({path.name for folder in folders if folder.is_dir() for path in folder.iterdir()})
    if not found:
        raise UserError(f"{OUTPUTS / 'evaluate'}: nothing was evaluated; run `dvc repro` first")
    return found


def _write(folder: Path, comparison: Comparison) -> None:
    """Print the comparison and write it to the folder."""
    from reporting.comparison_figures import draw_comparison  # matplotlib: imported once the numbers stand
    from reporting.comparison_text import comparison_tree, markdown_text, terminal_text

    text = terminal_text(comparison)
    tree = json.dumps(comparison_tree(comparison), indent=2, allow_nan=False) + "\n"
    files = {f"{name}.png": picture for name, picture in draw_comparison(comparison).items()}
    files |= {
        "comparison.txt": f"{text}\n".encode(),
        "comparison.md": markdown_text(comparison).encode(),
        "comparison.json": tree.encode(),
    }
    for name, content in files.items():
        with whole_file(folder / name) as file:
            file.write(content)
    print(text)
    print(f"compare: {len(comparison.lines)} methods on {len(comparison.datasets)} datasets, {folder}")


if __name__ == "__main__":
    raise SystemExit(main())
