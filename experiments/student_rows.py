"""Rows of students in a file of results, made of what a grid kept of their runs; the budget is told with each."""

from collections.abc import Mapping
from typing import cast

from config.methods import method_of, row_of
from experiments.answers import answers_of
from experiments.grid_types import Setting, points_of_100
from experiments.kept_outputs import KeptOutputs
from experiments.teachers import rates_text, teacher_budget
from records.evaluated import PREDICTIONS
from reporting.evaluations import read_predictions

DEV = "dev"


def budget_of(values: Mapping[str, object], updates: int | None, batch_size: int) -> dict[str, object]:
    """The field `budget`: what every student of a grid gets, and its teacher.

    Args:
        values: the whole params file that the grid starts from.
        updates: of a student, at least; None: the file's epochs.
    """
    sections = cast(Mapping[str, Mapping[str, object]], values)
    student = sections["student"]
    rates = cast(list[float] | None, sections["search"]["student_rates"])
    return {
        **({"student_epochs": student["epochs"]} if updates is None else {"student_updates": updates}),
        "batch_size": batch_size,
        "student_rates": rates_text(rates, student["learning_rate"]),
        "student_start": str(student["init"]),
        "student_layers": student["layers"],
        **teacher_budget(values),
    }


def student_row(
    setting: Setting, name: str, dataset: str, seed: int, *, shown_as: str, points: int, budget: Mapping[str, object]
) -> dict[str, object]:
    """One line of the file of results; scores in points of 100.

    Args:
        name: method or variant, as its outputs were kept.
        shown_as: the name in the row: that of the method, if it stands for a paper's grid.
        points: settings that it was chosen from.
    """
    outputs, method = KeptOutputs(setting.work), method_of(name)
    metrics, spec = outputs.evaluated(name, dataset, seed), outputs.spec(dataset)
    params, trained = outputs.parameters(name, dataset, seed), outputs.training(name, dataset, seed)
    effort, metric = outputs.effort(name, dataset, seed), spec.metrics[0]
    predictions = read_predictions(outputs.evaluation(name, dataset, seed) / PREDICTIONS, spec.kind)
    return {
        "dataset": dataset,
        "method": shown_as,
        "seed": seed,
        "metric": metric,
        "dev": _both(metrics.dev[metric], metrics.teacher_dev[metric]),
        "selection": _both(metrics.selection[metric], metrics.teacher_selection[metric]),
        "selection_loss": metrics.selection["loss"],
        "dev_rows": metrics.rows[DEV],
        "selected_on": metrics.selected_on,
        "updates": {"student": effort.student_updates, "teacher": effort.teacher_updates},
        "train_rows": effort.train_rows,
        "other_rows": effort.other_rows,
        "feedback_rows": effort.feedback_rows,
        "cpu_s": round(effort.cpu_s, 1),
        "peak_memory_mb": effort.peak_memory_mb,
        "network_size": metrics.parameters.by_name,
        "latency_ms": metrics.latency_ms.medians.by_name,
        "points": points,
        "tried": trained.tried,
        "curve": trained.curve,
        "answers": answers_of(predictions[DEV], spec.kind),
        "parameters": {section: params[section] for section in (method, *row_of(method).sections) if section in params},
        "budget": dict(budget),
        **setting.provenance(),
    }


def _both(student: float, teacher: float) -> dict[str, float]:
    return {"student": points_of_100(student), "teacher": points_of_100(teacher)}
