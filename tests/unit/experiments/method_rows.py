"""Rows of the comparison of methods, as the runner appends them."""


def method_row(method: str = "kd", dataset: str = "cb", seed: int = 42, **changes: object) -> dict[str, object]:
    """A whole row; `changes` replace fields."""
    row: dict[str, object] = {
        "profile": "superglue-minilm",
        "dataset": dataset,
        "method": method,
        "seed": seed,
        "metric": "accuracy",
        "dev": {"student": 70.0, "teacher": 72.0},
        "selection": {"student": 71.0, "teacher": 75.0},
        "selection_loss": 0.61,
        "dev_rows": 56,
        "selected_on": "selection",
        "updates": {"student": 209, "teacher": 0},
        "cpu_s": 61.5,
        "peak_memory_mb": 900.0,
        "points": 1,
        "parameters": {method: {"alpha": 0.5}},
        "budget": {"student_updates": 200, "batch_size": 16},
        "machine": "2 cores",
        "commit": "abc123",
        "commit_time": "2026-11-22T12:00:00+00:00",
        "command": "python -m experiments.grid FOLDER",
    }
    return row | changes
