"""Output of a training stage: a stock Hugging Face folder with the tokenizer of its dataset's tokens, epochs run."""

from collections.abc import Sequence

from config.stages import Training
from models.classifier import Classifier
from models.store import save_model
from records.trained import Epochs
from tasks.runtime.stage import Stage
from tasks.runtime.stage_datasets import TokenisedDataset


def write_model(stage: Stage, model: Classifier, dataset: TokenisedDataset) -> None:
    """<stage's folder>/model, written by the main process."""
    if stage.writes:
        save_model(
            stage.folder / "model",
            model,
            tokenizer_folder=dataset.tokenizer_folder,
            tokenizer_fingerprint=dataset.manifest.tokenizer_fingerprint,
        )


def epochs_run(stage: Stage, curves: Sequence[object], section: Training) -> Epochs:
    """Count the epochs run, and print a remark if `patience` ended the training."""
    if len(curves) < section.epochs:
        stage.say(
            f"ended after {len(curves)} of {section.epochs} epochs: {section.patience} without a better one on selection"
        )
    return Epochs(run=len(curves), asked=section.epochs)
