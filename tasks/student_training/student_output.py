"""Training of a student, shared by the stages that do it: initial model, training, search; model, curves, metrics."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from accelerate import Accelerator

from metrics import compute_metrics
from models.classifier import Classifier
from records.trained import CurveRow, InfluenceRow, PhaseRecord, StudentMetrics, Updates
from tasks.runtime.stage import Stage, resource_usage
from tasks.runtime.stage_datasets import TokenisedDataset
from tasks.runtime.torch_setup import as_it_is_used
from tasks.student_training.initial_models import parameter_count, start_student
from tasks.student_training.model_folder import epochs_run, write_model
from tasks.student_training.search import BestTrial, searched
from training.co_training import JointRun
from training.predict import predict
from training.teacher_signals import save_signals


def write_student(
    stage: Stage,
    found: BestTrial[tuple[Classifier, JointRun]],
    dataset: TokenisedDataset,
    accelerator: Accelerator,
    splits: tuple[str, ...] = ("train",),
) -> None:
    """model, seen (its outputs on selection), curves, influence (lgtm) and metrics; sets the headline."""
    model, run = found.trained
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
    stage.write_rows(CurveRow, run.curves)
    if run.influence:
        stage.write_rows(InfluenceRow, run.influence)
    stage.write(
        StudentMetrics(
            selection=scores,
            selected_on=dataset.selected_on,
            selected_by=given.selected_by,
            parameters=parameter_count(model, dataset.spec.name),
            updates=Updates(student=run.student_updates, student_kept=run.kept_updates, teacher=run.teacher_updates),
            train_rows=run.train_rows,
            other_rows=0,
            feedback_rows=run.feedback_rows,
            trained_on=splits,
            rows_seen=len(run.curves) * run.train_rows,
            epochs=epochs_run(stage, run.curves, given.student),
            schedule=tuple(PhaseRecord(**asdict(part)) for part in run.schedule),
            search=found.record,
            **resource_usage(),
        )
    )
    stage.headline = dataset.headline(scores) + found.headline


def best_student(
    stage: Stage, dataset: TokenisedDataset, teacher: Path, train: Callable[[Stage, Classifier], JointRun]
) -> BestTrial[tuple[Classifier, JointRun]]:
    """Train a student from `student.init`; with a search, keep the best one.

    Args:
        teacher: the teacher's model folder.
        train: in place, with the parameters of the stage that it is given.
    """

    def trained(own: Stage) -> tuple[Classifier, JointRun]:
        start = start_student(own, dataset, teacher)
        for note in start.notes if own.point < 2 else ():
            own.say(note)
        return start.classifier, train(own, start.classifier)

    return searched(stage, "student", dataset.target, trained, lambda made: made[1].curves)
