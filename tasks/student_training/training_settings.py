"""From sections of params.yaml to the plain settings of the training code."""

from config.parameters import Parameters
from config.stages import Training
from training.supervised import TrainingSettings


def training_settings(given: Parameters, section: Training, seed: int) -> TrainingSettings:
    """Settings of one supervised run; `section` is the teacher's or the student's."""
    own = section.model_dump(include=set(Training.model_fields))
    return TrainingSettings(**own, seed=seed, eval_batch_size=given.evaluate.batch_size, selected_by=given.selected_by)
