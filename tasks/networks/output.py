"""The model that a stage leaves: a stock Hugging Face folder with the tokenizer of its dataset's tokens."""

from models.classifier import Classifier
from models.store import save_model
from tasks.running.datasets import TokenisedDataset
from tasks.running.stage import Stage


def write_model(stage: Stage, model: Classifier, dataset: TokenisedDataset) -> None:
    """<stage's folder>/model, by the process that writes."""
    if stage.writes:
        save_model(
            stage.folder / "model",
            model,
            tokenizer_folder=dataset.tokenizer_folder,
            tokenizer_fingerprint=dataset.tokenizer_fingerprint,
        )
