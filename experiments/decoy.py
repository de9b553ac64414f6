"""Does the policy find the dataset that helps, and leave the decoy? Points of the one runner, and their table.

    python -m experiments.grid profiles/superglue-minilm.yaml outputs/decoy/runs.jsonl --decoy /data/glue \
        --shares 0.02 0.1 1 --datasets rte --seeds 42 43 44 --set models.search=[/data/checkpoints] \
        curriculum.actions_rows=train curriculum.heads=warmed --work outputs/decoy

Of each share of RTE's train rows: gain and alignment on the probe, an even draw and the target alone, by turns from the
same student; actions are RTE, MNLI, QNLI, MRPC, STS-B, SST-2 and SST-2 with labels shuffled. A row each, with the share of
each action in the second half of the episodes and its mean reward, and a table at the end, with intervals on dev.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from data.records import DatasetSpec
from experiments.cells import Cells
from experiments.decoy_rows import DecoyRows
from experiments.grid_types import Point, Setting
from experiments.result_rows import CellRow, latest, read_rows
from outputs import evaluate_folder, read_json, tokens_folder
from records.evaluated import PREDICTIONS
from reporting.evaluations import read_predictions
from reporting.statistics import LEVEL, mean_sd, paired_interval
from reporting.tables import Table, markdown_table

Cell = tuple[str, str, str]
MISSING = "\N{EN DASH}"


@dataclass(frozen=True)
class Decoy:
    """The grid: shares of the target's rows x cells."""

    setting: Setting
    rows: DecoyRows
    cells: Sequence[Cell]
    shares: Sequence[float]

    def prepare(self) -> None:
        """Write the rows of every share."""
        for share in self.shares:
            self.rows.write(self._folder(share) / "rows", share)

    def points(self, dataset: str, seed: int) -> list[Point]:
        """The cells of each share that have no row yet."""
        return [point for share in self.shares for point in self._of(share).points(dataset, seed)]

    def finish(self, point: Point, tree: Path) -> None:
        """Append the row; keep the answers on dev, from which the intervals are made."""
        share = next(one for one in self.shares if str(self._folder(one) / "rows") == point.values["source.folder"])
        kept = self._kept(share, point.name, point.seed)
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tree / evaluate_folder(point.dataset, "mpdistil", point.seed) / PREDICTIONS, kept / PREDICTIONS)
        shutil.copyfile(tree / tokens_folder(point.dataset) / "spec.json", kept / "spec.json")
        self._of(share).finish(point, tree)

    def conclude(self) -> None:
        """Print a table for each share."""
        every = latest(read_rows(self.setting.rows))
        for share in self.shares:
            own = [row for row in every if row.dataset == self.rows.target and self._of(share).has(row)]
            print(self._table(share, own))

    def _of(self, share: float) -> Cells:
        values = {
            "benchmark": "glue",
            "datasets": self.rows.datasets,
            "source.folder": str(self._folder(share) / "rows"),
        }
        return Cells(self.setting, self.cells, values, {"target_share": share})

    def _folder(self, share: float) -> Path:
        return self.setting.work / f"share-{share:g}"

    def _kept(self, share: float, name: str, seed: int) -> Path:
        return self._folder(share) / name.replace(", ", "-") / str(seed)

    def _table(self, share: float, rows: Sequence[CellRow]) -> str:
        """Shares, rewards and dev of each cell as Markdown."""
        body = []
        for cell in self.cells:
            own = [row for row in rows if _cell_of(row) == cell]
            if own:
                against = [self._against(share, own, sampler) for sampler in ("uniform", "target")]
                actions = [self._action(own, name) for name in self.rows.datasets]
                body.append([f"{cell[2]} ({cell[1]})", str(len(own)), _spread(own, "mpdistil"), *against, *actions])
        heading = ["sampler (reward)", "seeds", "dev", "to uniform", "to target", *self.rows.datasets]
        before = ", ".join(f"{name} {_spread(_one_a_seed(rows), name)}" for name in ("teacher", "finetune", "mse_kd"))
        title = f"### {self.rows.target} with {100 * share:g} % of its rows\n\nBefore it, on dev: {before or MISSING}."
        note = "Of each action: its share in the second half of the episodes, and its mean reward in all of them."
        return f"{title}\n{note}\n\n{markdown_table(Table(heading, body))}"

    def _against(self, share: float, own: Sequence[CellRow], sampler: str) -> str:
        """Difference on dev to the cell of a fixed sampler, in points, with its interval over rows and seeds."""
        other = next((cell for cell in self.cells if cell[2] == sampler), None)
        if other is None or other == _cell_of(own[0]):
            return MISSING
        kept = [[self._kept(share, ", ".join(cell), row.seed) for row in own] for cell in (_cell_of(own[0]), other)]
        pairs = [pair for pair in zip(*kept, strict=True) if all((one / PREDICTIONS).exists() for one in pair)]
        if not pairs:
            return MISSING
        spec = DatasetSpec.from_json(read_json(pairs[0][0] / "spec.json"))
        dev = [[read_predictions(one / PREDICTIONS, spec.kind)["dev"] for one in pair] for pair in pairs]
        sides = [[pair[side].student for pair in dev] for side in (0, 1)]
        found = paired_interval(spec.metrics[0], spec.kind, dev[0][0].labels, *sides, LEVEL)
        ends = "" if found.low is None else f" [{100 * found.low:+.1f}, {100 * cast(float, found.high):+.1f}]"
        return f"{100 * found.difference:+.1f}{ends}"

    def _action(self, rows: Sequence[CellRow], name: str) -> str:
        """Share and mean reward of one action, means over the seeds."""
        shares = [row.late_share[name] for row in rows if name in row.late_share]
        rewards = [row.mean_reward[name] for row in rows if name in row.mean_reward]
        share = f"{mean_sd(shares).mean:.2f}" if shares else MISSING
        return f"{share}, {mean_sd(rewards).mean:+.4f}" if rewards else share


def _cell_of(row: CellRow) -> Cell:
    return row.cell.meta_loss, row.cell.reward, row.cell.sampler


def _one_a_seed(rows: Sequence[CellRow]) -> list[CellRow]:
    """One row of each seed: what came before the curriculum is the same in all."""
    return list({row.seed: row for row in rows}.values())


def _spread(rows: Sequence[CellRow], name: str) -> str:
    """Mean and deviation over the seeds, in points of 100."""
    scores = [row.scores[name] for row in rows if name in row.scores]
    if not scores:
        return MISSING
    found = mean_sd(scores)
    return f"{found.mean:.1f}" if found.sd is None else f"{found.mean:.1f} ± {found.sd:.1f}"
