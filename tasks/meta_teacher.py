"""meta_teacher: stage 3 of MPDistil, a head on the pooled vectors of teacher and student.

    python -m tasks.meta_teacher --dataset rte --seed 42

Reads: the dataset's tokens, the teacher's signals and head, the student of `mpdistil.base` and what it said. Writes:
outputs/meta_teacher/<dataset>/<seed>/head (the head, its logits on the quiz rows, and the true-class scores that it gives
teacher and student there), metrics.json, curves.jsonl (one row an epoch, from 0: the teacher's own head), run.json.
"""

import numpy as np
import torch
from safetensors.torch import save_file

from methods.meta_teacher import MetaTeacher
from metrics import compute_metrics
from models.classifier import Classifier
from outputs import signals_folder, student_model, student_seen, teacher_model
from records.trained import CurveRow, MetaTeacherMetrics
from tasks.runtime.stage import Stage, run_stage
from tasks.runtime.stage_datasets import TokenisedDataset, open_dataset
from tasks.runtime.torch_setup import start_torch
from training.meta_teacher import MetaTeacherResult, MetaTeacherSettings, PooledRows, train_meta_teacher
from training.predict import predict
from training.teacher_signals import TeacherSignals, open_signals


def meta_teacher(stage: Stage) -> None:
    """Train the meta-teacher of one dataset on its quiz rows."""
    given, dataset = stage.parameters, open_dataset(stage, stage.dataset)
    accelerator = start_torch(stage)
    attention = given.models.attention
    teacher = dataset.load(stage.read(teacher_model(stage.dataset, stage.seed)), attention=attention)
    student = dataset.load(
        stage.read(student_model(stage.dataset, given.mpdistil.base, stage.seed)), attention=attention
    ).to(accelerator.device)
    folder = stage.read(signals_folder(stage.dataset, stage.seed))
    signals = {
        name: open_signals(folder, name, rows=len(dataset.split(name)))
        for name in ("quiz", "selection", *dataset.spec.dev_sets)
    }
    # Its own stage has run the student on the selection rows, with these weights and in these batches.
    seen = open_signals(
        stage.read(student_seen(stage.dataset, given.mpdistil.base, stage.seed)),
        "selection",
        rows=len(dataset.split("selection")),
    )
    head = teacher.head_of(stage.dataset)
    result = train_meta_teacher(
        _pooled(student, dataset, "quiz", signals["quiz"], _run(stage, student, dataset, accelerator.device)),
        _pooled(student, dataset, "selection", signals["selection"], seen.pooled.to(accelerator.device)),
        head.weight.detach(),
        head.bias.detach() if head.bias is not None else None,
        kind=dataset.spec.kind,
        choices=dataset.spec.choices,
        settings=meta_teacher_settings(stage, label_range=dataset.spec.label_range),
        accelerator=accelerator,
    )
    module = result.module.cpu()
    scores = {name: _score(module, signals[name], dataset, name) for name in signals if name != "quiz"}
    if stage.writes:
        _save(stage, module, signals["quiz"], result)
    stage.write_rows(CurveRow, result.curves)
    stage.write(
        MetaTeacherMetrics(
            **scores,
            loss=given.meta_teacher.loss,
            best_epoch=result.best_epoch,
            parameters=sum(value.numel() for value in module.parameters()),
            selected_on=dataset.selected_on,
        )
    )
    stage.headline = f"{dataset.headline(scores['selection'])}, epoch {result.best_epoch}"


def meta_teacher_settings(stage: Stage, *, label_range: tuple[float, float] | None) -> MetaTeacherSettings:
    """Settings of the training code from the stage's section."""
    values = stage.parameters.meta_teacher.model_dump()
    values["max_grad_norm"] = values.pop("clip_norm")
    return MetaTeacherSettings(**values, label_range=label_range, seed=stage.seed_of("training"))


def _run(stage: Stage, student: Classifier, dataset: TokenisedDataset, device: torch.device) -> torch.Tensor:
    """The student's pooled vectors of the quiz rows."""
    batch_size = stage.parameters.evaluate.batch_size
    said = predict(student, dataset.split("quiz"), dataset=stage.dataset, batch_size=batch_size, device=device)
    return torch.from_numpy(said.pooled).to(device)


@torch.no_grad()
def _pooled(
    student: Classifier, dataset: TokenisedDataset, name: str, signals: TeacherSignals, own: torch.Tensor
) -> PooledRows:
    """Both models' pooled vectors of a split's rows; the student's are projected if it has a projection."""
    projected = own if student.projection is None else student.projection(own)
    return PooledRows(signals.pooled, projected, torch.from_numpy(np.array(dataset.split(name).labels)))


@torch.no_grad()
def _score(module: MetaTeacher, signals: TeacherSignals, dataset: TokenisedDataset, name: str) -> dict[str, float]:
    logits = module(signals.pooled).numpy()
    return compute_metrics(("loss", *dataset.spec.metrics), logits, dataset.split(name).labels, dataset.spec.kind)


@torch.no_grad()
def _save(stage: Stage, module: MetaTeacher, quiz: TeacherSignals, result: MetaTeacherResult) -> None:
    folder = stage.folder / "head"
    folder.mkdir()
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, folder / "head.safetensors")
    said = {"scores": result.quiz_scores, "student_scores": result.student_scores, "logits": module(quiz.pooled)}
    save_file({name: value.contiguous() for name, value in said.items()}, folder / "quiz.safetensors")


if __name__ == "__main__":
    run_stage("meta_teacher", meta_teacher)
