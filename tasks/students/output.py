"""What every stage that trains a student leaves: the model, its curves and its metrics."""

from dataclasses import asdict

from accelerate import Accelerator

from models.classifier import Classifier
from tasks.networks.building import parameter_count
from tasks.networks.output import epochs_run, write_model
from tasks.running.datasets import TokenisedDataset
from tasks.running.stage import Stage, spent
from tasks.running.torch_runtime import as_it_is_used
from training.joint import JointRun
from training.running.metrics import compute_metrics
from training.running.predict import predict
from training.running.signals import save_signals


def write_student(
    stage: Stage,
    model: Classifier,
    dataset: TokenisedDataset,
    run: JointRun,
    accelerator: Accelerator,
    splits: tuple[str, ...] = ("train",),
) -> None:
    """model, seen (its outputs on selection), curves, influence (lgtm) and metrics; sets the headline."""
    as_it_is_used(model)
    given, selection = stage.parameters, dataset.split("selection")
    said = predict(
        model,
        selection,
        dataset=stage.dataset,
        batch_size=given.evaluate.batch_size,
        device=accelerator.device,
    )
    if stage.writes:
        save_signals(stage.folder / "seen", "selection", said)
    scores = compute_metrics(("loss", *dataset.spec.metrics), said.logits, selection.labels, dataset.spec.kind)
    write_model(stage, model, dataset)
    stage.write_rows(run.curves)
    if run.influence:
        stage.write_rows(run.influence, "influence.jsonl")
    stage.write_metrics(
        {
            "selection": scores,
            "selected_on": dataset.selected_on,
            "parameters": parameter_count(model, dataset.spec.name),
            "updates": {
                "student": run.student_updates,
                "student_kept": run.kept_updates,
                "teacher": run.teacher_updates,
            },
            "trained_on": list(splits),
            "train_rows": run.train_rows,
            "other_rows": 0,
            "feedback_rows": run.feedback_rows,
            "rows_seen": len(run.curves) * run.train_rows,
            "selected_by": given.selected_by,
            "epochs": epochs_run(stage, run.curves, given.student),
            **({"schedule": [asdict(part) for part in run.schedule]} if run.schedule else {}),
            **spent(),
        }
    )
    stage.headline = f"{dataset.spec.metrics[0]} {scores[dataset.spec.metrics[0]]:.3f} on {dataset.selected_on}"
