"""What every stage that trains a student leaves: the model, its curves and its metrics."""

from accelerate import Accelerator

from models.classifier import Classifier
from tasks.datasets import TokenisedDataset
from tasks.model_output import write_model
from tasks.networks import parameter_count
from tasks.stage import Stage, spent
from training.joint import JointRun
from training.loop import score


def write_student(
    stage: Stage, model: Classifier, dataset: TokenisedDataset, run: JointRun, accelerator: Accelerator
) -> None:
    """model, curves.jsonl, influence.jsonl (lgtm) and metrics.json; sets the headline."""
    given = stage.parameters
    scores = score(
        model,
        dataset.split("selection"),
        dataset.target,
        batch_size=given.evaluate.batch_size,
        device=accelerator.device,
    )
    write_model(stage, model, dataset)
    stage.write_rows(run.curves)
    if run.influence:
        stage.write_rows(run.influence, "influence.jsonl")
    stage.write_metrics(
        {
            "selection": scores,
            "selected_on": dataset.selected_on,
            "parameters": parameter_count(model, dataset.spec.name),
            "updates": {"student": run.student_updates, "teacher": run.teacher_updates},
            "rows_seen": given.student.epochs * len(dataset.split("train")),
            **spent(),
        }
    )
    stage.headline = f"{dataset.spec.metrics[0]} {scores[dataset.spec.metrics[0]]:.3f} on {dataset.selected_on}"
