"""signals: the frozen teacher's outputs for every row, stored once, so that no student has to run the teacher.

    python -m tasks.signals --dataset rte --seed 42

Reads: the dataset's tokens and its teacher. Writes: outputs/signals/<dataset>/<seed>/signals (one safetensors file per
split: logits, pooled vectors, and for train the sequence vectors of the layers that a method's mapping names; with
`split.quiz_joins_train` for quiz, too), metrics.json, run.json.
"""

from outputs import teacher_model
from records.trained import SignalsMetrics
from tasks.runtime.resume_states import checkpoints_of
from tasks.runtime.stage import Stage, run_stage
from tasks.runtime.stage_datasets import open_dataset
from tasks.runtime.torch_setup import start_torch
from tasks.student_training.layer_pairs import stored_layers, student_depth
from tasks.student_training.signals_output import store_signals
from tasks.student_training.training_rows import taught_splits


def signals(stage: Stage) -> None:
    """Run the teacher over every split and store its outputs."""
    given, dataset = stage.parameters, open_dataset(stage, stage.dataset)
    accelerator = start_torch(stage)
    folder = stage.read(teacher_model(stage.dataset, stage.seed))
    model = dataset.load(folder, attention=given.models.attention).to(accelerator.device)
    layers = stored_layers(given, student_layers=student_depth(given), teacher_layers=model.num_layers)
    kept = checkpoints_of(stage, accelerator)
    scores = store_signals(
        stage,
        model,
        dataset,
        device=accelerator.device,
        layers=layers,
        taught=taught_splits(given),
        checkpoints=kept,
    )
    stage.write(SignalsMetrics(teacher=scores, layers=layers))
    stage.headline = f"{len(dataset.splits)} splits, layers {', '.join(map(str, layers)) or 'none'}"


if __name__ == "__main__":
    run_stage("signals", signals)
