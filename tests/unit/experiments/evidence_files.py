"""Made-up rows of a page of evidence: teachers, students that know more or less, and the plain loop's teachers."""

import json
from pathlib import Path

import numpy as np
from method_rows import method_row

from experiments.answers import packed
from metrics import compute_metrics

SKILL = {"teacher": 0.85, "finetune": 0.74, "kd": 0.81, "mse_kd": 0.74, "mpdistil": 0.80}
ROWS = 1000


def evidence_row(
    method: str, dataset: str, seed: int, start: str = "pretrained_teacher_layers", **changes: object
) -> dict:
    """A student whose answers go together with those of the other methods; by its teacher's layers it knows more."""
    common = np.random.default_rng(len(dataset) + sum(map(ord, dataset)))
    labels, hard = common.integers(0, 2, ROWS), common.random(ROWS)

    def said(skill: float, who: str) -> np.ndarray:
        own = np.random.default_rng([seed, *map(ord, who + dataset)])
        known = np.where(own.random(ROWS) < 0.8, hard, own.random(ROWS)) < skill
        return np.where(known, labels, 1 - labels)

    student = said(SKILL[method] + 0.04 * (start == "teacher_layers"), method)
    teacher = said(SKILL["teacher"], "teacher")
    scores = {
        who: round(100 * compute_metrics(["accuracy"], np.eye(2)[one], labels, "pair")["accuracy"], 4)
        for who, one in (("student", student), ("teacher", teacher))
    }
    curve = [
        {
            "epoch": epoch,
            "selection_loss": 0.6 + 0.02 * (epoch - 2) ** 2,
            "selection_accuracy": 0.6 + 0.03 * epoch,
            "best": 0,
        }
        for epoch in range(1, 7)
    ]
    shares = np.random.default_rng(seed).dirichlet([3, 2, 1], size=40)
    episodes = [
        {"episode": number, "best": 0, **{f"share_{name}": float(share) for name, share in zip(("mnli", "rte", "decoy"), one, strict=True)}}
        for number, one in enumerate(shares, 1)
    ]  # fmt: skip
    own = {
        "profile": "glue-minilm",
        "dev": scores,
        "selection": scores,
        "dev_rows": ROWS,
        "latency_ms": {"student": 3.1 + 0.1 * len(method), "teacher": 6.0},
        "network_size": {"student": 17_000_000, "teacher": 22_000_000},
        "train_rows": 2934,
        "other_rows": 0,
        "feedback_rows": 0,
        "curve": episodes if method == "mpdistil" else curve,
        "budget": {"student_epochs": 6, "student_start": start, "student_layers": 3},
        "answers": {
            "kind": "pair",
            "classes": 2,
            "labels": packed(labels),
            "student": packed(student),
            "teacher": packed(teacher),
        },
    }
    return method_row(method, dataset, seed, **own | changes)


def teacher_row(dataset: str, left_out: str = "", **changes: object) -> dict:
    """A teacher of three rates."""
    tried = [{"teacher.learning_rate": rate, "selection": {"accuracy": 0.8 + rate}} for rate in (2e-5, 5e-5, 1e-4)]
    own = {
        "row": "teacher",
        "dev": 85.2,
        "selection": 84.0,
        "rows": {"train": 2934, "dev": ROWS},
        "tried": tried,
        "curve": [],
        "left_out": left_out,
        "budget": {"teacher_epochs": 6, "teacher_rates": "2e-05, 5e-05, 0.0001"},
    }
    whole = method_row("kd", dataset, 42, profile="glue-minilm", dev_rows=ROWS, **own)
    return {name: value for name, value in whole.items() if name != "method"} | changes


def plain_row(dataset: str, seed: int, dev: float) -> dict:
    """A teacher of the plain loop."""
    own = {"dataset": dataset, "seed": seed, "metric": "accuracy", "learning_rate": 5e-5, "selection": 84.5, "dev": dev}
    return own | {"dev_standard_error": 1.1}


def write(path: Path, rows: list[dict]) -> Path:
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
