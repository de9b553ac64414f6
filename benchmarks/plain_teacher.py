"""A teacher as a plain loop of torch and transformers trains it: what the product's teachers are held against.

    python -m benchmarks.plain_teacher /data/glue/mrpc outputs/split/mrpc/tokens all-MiniLM-L6-v2 docs/results/plain.jsonl \
        --texts sentence1 sentence2 --metric f1 --seeds 1 2 --rate 5e-5

Nothing of the product runs in it. It reads the raw rows, and of the product's splits only which row ids they hold; every
batch is drawn without regard to lengths. Same rows, batches of the same size, epochs, schedule and choice on selection (the
primary metric, ties by the loss). A line a seed is appended, with the standard error that dev's rows alone give.
"""

import argparse
import gzip
import json
import random
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

METRICS = {
    "accuracy": accuracy_score,
    "f1": f1_score,
    "matthews": matthews_corrcoef,
    "pearson": lambda labels, said: pearsonr(labels, said).statistic,
}
SPLITS = ("train", "selection", "dev")
DECAY, WARMUP, CLIP = 0.01, 0.1, 1.0
DRAWS = 1000


@dataclass(frozen=True)
class Rows:
    """Texts, a tuple a row, and labels of one split."""

    texts: list[tuple[str, ...]]
    labels: np.ndarray


def read_split(raw: Path, tokens: Path, split: str, texts: Sequence[str]) -> Rows:
    """The rows of a split of the product's, from the raw files, found by their ids."""
    file = "validation" if split == "dev" else "train"
    rows = {str(row["idx"]): row for row in _lines(raw, file)}
    with pa.memory_map(str(tokens / f"{split}.arrow")) as source:
        ids = pa.ipc.open_file(source).read_all().column("row_id").to_pylist()
    own = [rows[one] for one in ids]
    return Rows([tuple(str(row[name]) for name in texts) for row in own], np.array([row["label"] for row in own]))


def _lines(raw: Path, name: str) -> list[dict[str, str | int | float]]:
    plain, packed = raw / f"{name}.jsonl", raw / f"{name}.jsonl.gz"
    text = plain.read_text("utf-8") if plain.exists() else gzip.decompress(packed.read_bytes()).decode("utf-8")
    return [json.loads(line) for line in text.splitlines()]


class Loop:
    """One network and its training."""

    def __init__(self, options: argparse.Namespace, rows: Mapping[str, Rows], seed: int) -> None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        self.options, self.rows = options, rows
        self.number = options.metric == "pearson"
        outputs = 1 if self.number else len(set(rows["train"].labels.tolist()))
        self.tokenizer = AutoTokenizer.from_pretrained(options.checkpoint)
        self.model = AutoModelForSequenceClassification.from_pretrained(options.checkpoint, num_labels=outputs)

    def epochs(self) -> Iterable[dict[str, float]]:
        """Train; the scores after each epoch."""
        own, size = self.rows["train"], self.options.batch_size
        steps = self.options.epochs * -(-len(own.labels) // size)
        optimizer = torch.optim.AdamW(self._groups(), lr=self.options.rate)
        schedule = get_linear_schedule_with_warmup(optimizer, round(WARMUP * steps), steps)
        for epoch in range(1, self.options.epochs + 1):
            self.model.train()
            order = torch.randperm(len(own.labels)).tolist()
            for start in range(0, len(order), size):
                picked = order[start : start + size]
                loss = self._loss(self._logits(own, picked), own.labels[picked])
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
                optimizer.step()
                schedule.step()
            yield {"epoch": epoch, **self.scores("selection")}

    def scores(self, split: str) -> dict[str, float]:
        """Metric and loss on a split."""
        said, labels = self.said(split), self.rows[split].labels
        loss = self._loss(torch.from_numpy(said), labels).item()
        return {"metric": self.metric(labels, said), "loss": loss}

    @torch.no_grad()
    def said(self, split: str) -> np.ndarray:
        """Logits (N, C)."""
        self.model.eval()
        own = self.rows[split]
        parts = [
            self._logits(own, range(start, min(start + 64, len(own.labels)))) for start in range(0, len(own.labels), 64)
        ]
        return torch.cat(parts).numpy()

    def metric(self, labels: np.ndarray, said: np.ndarray) -> float:
        """The primary metric of logits (N, C)."""
        return float(METRICS[self.options.metric](labels, said[:, 0] if self.number else said.argmax(axis=1)))

    def _logits(self, own: Rows, picked: Iterable[int]) -> torch.Tensor:
        columns = zip(*(own.texts[row] for row in picked), strict=True)
        assert self.tokenizer is not None
        encoded = self.tokenizer(
            *map(list, columns), padding=True, truncation=True, max_length=self.options.max_length, return_tensors="pt"
        )
        return self.model(**encoded).logits

    def _loss(self, logits: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
        if self.number:
            return functional.mse_loss(logits[:, 0], torch.as_tensor(labels, dtype=torch.float32))
        return functional.cross_entropy(logits, torch.as_tensor(labels))

    def _groups(self) -> list[dict[str, object]]:
        named = list(self.model.named_parameters())
        return [
            {"params": [value for _, value in named if (value.ndim > 1) is decays], "weight_decay": DECAY * decays}
            for decays in (True, False)
        ]


def run(options: argparse.Namespace, rows: Mapping[str, Rows], seed: int) -> dict[str, object]:
    """Train one network; its line."""
    started, loop = time.process_time(), Loop(options, rows, seed)
    best: tuple[float, float] | None = None
    curve, kept, said, waited = [], 0, np.zeros(0), 0
    for row in loop.epochs():
        curve.append(row)
        rank = (row["metric"], -row["loss"])
        print(f"seed {seed}: {row}", flush=True)
        waited += 1
        if best is None or rank > best:
            best, kept, said, waited = rank, int(row["epoch"]), loop.said("dev"), 0
        if waited == options.patience:
            break
    labels = rows["dev"].labels
    draw = np.random.default_rng(0)
    picked = [draw.integers(0, len(labels), len(labels)) for _ in range(DRAWS)]
    error = float(np.std([loop.metric(labels[one], said[one]) for one in picked]))
    return {
        "dataset": options.raw.name,
        "seed": seed,
        "metric": options.metric,
        "learning_rate": options.rate,
        "epochs": options.epochs,
        "patience": options.patience,
        "batch_size": options.batch_size,
        "rows": {name: len(one.labels) for name, one in rows.items()},
        "epoch_kept": kept,
        "selection": round(100 * (best or (0.0, 0.0))[0], 4),
        "dev": round(100 * loop.metric(labels, said), 4),
        "dev_standard_error": round(100 * error, 4),
        "curve": curve,
        "cpu_s": round(time.process_time() - started, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every seed, a line each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain_teacher", description="A plain loop's teacher.")
    parser.add_argument("raw", type=Path, help="folder with train.jsonl and validation.jsonl of a GLUE dataset")
    parser.add_argument("tokens", type=Path, help="outputs/split/DATASET/tokens, whose row ids are taken")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("results", type=Path, help="the JSON lines file that is appended to")
    parser.add_argument("--texts", nargs="+", required=True)
    parser.add_argument("--metric", choices=METRICS, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--patience", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=128)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = {split: read_split(options.raw, options.tokens, split, options.texts) for split in SPLITS}
    for seed in options.seeds:
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(run(options, rows, seed), sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
