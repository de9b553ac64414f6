"""One dataset for the training stages: its description, its tokenised splits and its tokenizer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.records import DatasetSpec
from data.tokens import TokenSplit, joined, open_split
from errors import UserError
from models.classifier import Classifier
from models.heads import HeadSpec
from models.store import load_model, read_stored
from models.tokenizer import check_same_tokenizer
from outputs import read_json, read_record, tokens_folder
from records.prepared import SelectedOn, SplitManifest
from tasks.runtime.stage import Stage
from training.supervised import Target

SPEC, TOKENIZER = "spec.json", "tokenizer"


@dataclass(frozen=True)
class TokenisedDataset:
    """The split stage's output for one dataset."""

    spec: DatasetSpec
    folder: Path
    manifest: SplitManifest

    def split(self, name: str) -> TokenSplit:
        """One split, memory-mapped."""
        return open_split(self.folder, name)

    def rows_of(self, names: Sequence[str]) -> TokenSplit:
        """The rows of several splits, concatenated in that order."""
        return joined([self.split(name) for name in names])

    @property
    def splits(self) -> tuple[str, ...]:
        """All splits used for training and evaluation."""
        return ("train", "quiz", "selection", *self.spec.dev_sets)

    @property
    def tokenizer_folder(self) -> Path:
        """The tokenizer's files."""
        return self.folder / TOKENIZER

    @property
    def pad_id(self) -> int:
        """The padding id."""
        return self.split("train").pad_id

    def check(self, network: Classifier) -> None:
        """Raise UserError for a network that cannot read these tokens as they are meant."""
        limit = self.manifest.max_length
        if limit > network.max_length:
            raise UserError(
                f"split.max_length: {limit} tokens, but the model reads {network.max_length} at most; lower it to that"
            )
        network.check_tokenizer(self.manifest.vocabulary, self.pad_id, limit)

    def load(self, folder: Path, *, attention: str) -> Classifier:
        """Load the network of an earlier stage. Raises UserError if it was made for other tokens."""
        made_for = read_stored(folder).tokenizer_fingerprint
        if made_for:
            check_same_tokenizer(self.manifest.tokenizer_fingerprint, made_for)
        network = load_model(folder, attention=attention)
        self.check(network)
        return network

    @property
    def selected_on(self) -> SelectedOn:
        """'selection', or 'dev' under the paper's protocol; every number is then labelled."""
        return self.manifest.selected_on

    def headline(self, scores: Mapping[str, float]) -> str:
        """The primary metric of a model on selection, as a stage's last line has it."""
        metric = self.spec.metrics[0]
        return f"{metric} {scores[metric]:.3f} on {self.selected_on}"

    @property
    def head(self) -> HeadSpec:
        """Return the outputs of a head for this dataset."""
        return HeadSpec(self.spec.name, self.spec.kind, self.spec.label_names)

    @property
    def target(self) -> Target:
        """The dataset as a target of the training loop."""
        return Target(self.spec.name, self.spec.kind, self.spec.metrics)


def open_dataset(stage: Stage, dataset: str, *, record: bool = True) -> TokenisedDataset:
    """Return the split stage's output for a dataset, noted as an input of the stage; UserError if it has not run."""
    folder = tokens_folder(dataset)
    if record:
        stage.read(folder)
    elif not folder.exists():
        raise UserError(f"{folder}: missing; the split stage has not run for {dataset} (run `dvc repro`)")
    spec = DatasetSpec.from_json(read_json(folder / SPEC))
    return TokenisedDataset(spec, folder, read_record(SplitManifest, folder))
