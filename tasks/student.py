"""student: the small model of one dataset, trained by one method on the teacher's signals.

    python -m tasks.student --dataset rte --method mse_kd --seed 42

Reads: the dataset's tokens, the teacher's signals, and the teacher itself where `student.init: teacher_layers` asks
for it. Writes: outputs/student/<dataset>/<method>/<seed>/model (a stock Hugging Face folder), metrics.json,
curves.jsonl (one row an epoch, with the parts of the loss), run.json.
"""

import torch

from data.batches import Batch
from methods.seam import Method
from models.classifier import Classifier
from models.outputs import Outputs
from models.store import save_model
from tasks.chosen_method import make_method
from tasks.datasets import TokenisedDataset, open_dataset
from tasks.layout import signals_folder, teacher_model
from tasks.networks import depth_of, parameter_count, start_student
from tasks.settings import training_settings
from tasks.stage import Stage, run_stage
from tasks.torch_runtime import start_torch
from training.loop import BatchLoss, score, train
from training.signals import Signals, open_signals


def student(stage: Stage) -> None:
    """Train one student by one method."""
    given, dataset = stage.parameters, open_dataset(stage, stage.dataset)
    accelerator = start_torch(stage)
    teacher = stage.read(teacher_model(stage.dataset, stage.seed))
    start = start_student(stage, dataset, teacher)
    for note in start.notes:
        stage.say(note)
    model = start.classifier
    method = make_method(given, stage.method, student_layers=model.num_layers, teacher_layers=depth_of(teacher))
    signals = _signals(stage, dataset, method)
    _project_if_needed(model, signals, method, stage.seed)
    model.to(accelerator.device)
    # Weights and projection are drawn: what follows must not depend on how many numbers that took.
    torch.manual_seed(stage.seed)
    curves = train(
        model,
        dataset.split("train"),
        dataset.split("selection"),
        dataset.target,
        batch_loss(method, signals, model, dataset),
        training_settings(given.student, stage.seed, given.evaluate.batch_size),
        accelerator=accelerator,
        layers=method.needs.student_layers,
        title=stage.title,
    )
    scores = score(
        model,
        dataset.split("selection"),
        dataset.target,
        batch_size=given.evaluate.batch_size,
        device=accelerator.device,
    )
    save_model(
        stage.folder / "model",
        model,
        tokenizer_folder=dataset.tokenizer_folder,
        tokenizer_fingerprint=dataset.tokenizer_fingerprint,
    )
    stage.write_rows(curves)
    parameters = parameter_count(model, dataset.spec.name)
    stage.write_metrics({"selection": scores, "selected_on": dataset.selected_on, "parameters": parameters})
    stage.headline = f"{dataset.spec.metrics[0]} {scores[dataset.spec.metrics[0]]:.3f} on {dataset.selected_on}"


def batch_loss(method: Method, signals: Signals | None, model: Classifier, dataset: TokenisedDataset) -> BatchLoss:
    """The method's loss of one batch, the teacher's outputs looked up by row."""
    layers = method.needs.teacher_layers

    def loss(outputs: Outputs, batch: Batch) -> dict[str, torch.Tensor]:
        said = signals.of_rows(batch.rows, layers) if signals is not None else None
        return method.loss(outputs, said, batch.labels, dataset.spec.kind, projection=model.projection)

    return loss


def _signals(stage: Stage, dataset: TokenisedDataset, method: Method) -> Signals | None:
    if method.needs.teacher == "none":
        return None
    folder = stage.read(signals_folder(stage.dataset, stage.seed))
    return open_signals(folder, "train", rows=len(dataset.split("train")))


def _project_if_needed(model: Classifier, signals: Signals | None, method: Method, seed: int) -> None:
    """Give a student of another width than the teacher's the learned projection that its method trains."""
    if signals is None or not method.needs.pooled:
        return
    width = signals.pooled.shape[-1]
    if width != model.hidden_size:
        model.add_projection(width, seed)


if __name__ == "__main__":
    run_stage(
        "student",
        student,
        keys=("dataset", "method", "seed"),
        sections=("threads", "models", "teacher", "student", "finetune", "mse_kd", "split", "source"),
    )
