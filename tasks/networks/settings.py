"""From sections of params.yaml to the plain settings of the training code."""

from stage_sections import Training
from training.running.loop import TrainingSettings


def training_settings(section: Training, seed: int, eval_batch_size: int) -> TrainingSettings:
    """Settings of one supervised run."""
    own = section.model_dump(include=set(Training.model_fields))
    return TrainingSettings(**own, seed=seed, eval_batch_size=eval_batch_size)
