"""The scorer of a registered student: raw columns in; label, score, class probabilities and truncation out.

A registered version holds one file of code, made by package.py: data/rendering.py and then this file. So nothing
else of ours may be imported here, and torch and transformers only when a student is loaded: logging one needs neither.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel, PythonModelContext

from data.rendering import Render, TextPair, columns_of, render

if TYPE_CHECKING:
    from tokenizers import Encoding
    from torch import Tensor

BATCH_SIZE = 32
SHOWN_PROBLEMS = 5
TRUNCATED = "truncated"
"""Output column: whether the row's text was truncated."""
STRATEGIES = {"longest": "longest_first", "first": "only_first", "second": "only_second"}
KEPT_WHOLE = {"first": 1, "second": 0}
"""`truncate` -> position of the text that is never cut, if there is one."""


class Scoring(TypedDict):
    """scoring.json: everything that a student needs besides its weights and its tokenizer."""

    format: int
    dataset: str
    kind: str
    label_names: list[str]
    """Names of the classes, or of the candidates of a choice, in order; empty for regression."""
    render: Render
    max_length: int
    pad_id: int


class StudentScorer(PythonModel):
    """Renders, tokenises and classifies exactly as in the student's evaluation."""

    scoring: Scoring

    def load_context(self, context: PythonModelContext) -> None:
        """Load the tokenizer and the network; on a GPU if torch has one, in float32 there too."""
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModelForSequenceClassification
        from transformers.utils import logging

        folder = Path(context.artifacts["student"])
        self.scoring = json.loads(Path(context.artifacts["scoring"]).read_text(encoding="utf-8"))
        self._whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._whole.no_padding()
        self._whole.no_truncation()
        self._cutting = Tokenizer.from_str(self._whole.to_str())
        self._cutting.enable_truncation(
            self.scoring["max_length"], strategy=STRATEGIES[self.scoring["render"]["truncate"]]
        )
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        bars = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # a bar over the weights of a small model is noise in a server's log
        try:
            network = AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
            )
        finally:
            if bars:
                logging.enable_progress_bar()
        self._network = network.eval().to(self._device)
        self._typed = getattr(network.config, "type_vocab_size", 0) > 1

    def predict(
        self,
        context: PythonModelContext | None,
        model_input: pd.DataFrame,
        params: dict[str, object] | None = None,
    ) -> pd.DataFrame:
        """Score every row; the result has the input's index. Extra columns are ignored.

        `params`: batch_size, rows of a forward pass. Raises MlflowException (an invalid parameter, so that a server
        answers 400) for a missing column, and for rows that can't be read, naming row and field.
        """
        size = int(str((params or {}).get("batch_size", BATCH_SIZE)))
        if size < 1:
            raise MlflowException.invalid_parameter_value(f"batch_size is {size}; must be 1 or more")
        frame = as_frame(self.scoring, model_input)
        texts = self.texts(frame)
        encodings = self._cutting.encode_batch_fast(
            [first if second is None else (first, second) for first, second in texts]
        )
        choices = len(self.scoring["render"]["choices"]) or 1
        # What does not fit is in `overflowing`; a choice is cut where one of its candidates is.
        cut = [bool(one.overflowing) for one in encodings]
        truncated = [any(cut[start : start + choices]) for start in range(0, len(cut), choices)]
        return answers(self.scoring, self._logits(encodings, size), frame.index, truncated)

    def texts(self, model_input: pd.DataFrame) -> list[TextPair]:
        """Render the rows' texts, K candidates each; raises as `predict` does, at almost no cost."""
        frame = as_frame(self.scoring, model_input)
        columns = columns_of(self.scoring["render"])
        texts: list[TextPair] = []
        problems: list[str] = []
        for position, values in enumerate(zip(*(frame[column] for column in columns), strict=True)):
            try:
                own = row_texts(self.scoring["render"], dict(zip(columns, values, strict=True)))
                self._check_room(own)
                texts += own
            except ValueError as error:
                problems.append(f"{row_name(frame.index, position)}: {error}")
        if problems:
            raise MlflowException.invalid_parameter_value(listed(problems))
        return texts

    def _check_room(self, texts: Sequence[TextPair]) -> None:
        """Raise ValueError for an uncuttable text that leaves no room for the other."""
        truncate = self.scoring["render"]["truncate"]
        if truncate == "longest":
            return
        limit = self.scoring["max_length"]
        room = limit - self._whole.num_special_tokens_to_add(is_pair=True) - 1
        for pair in texts:
            length = len(self._whole.encode(pair[KEPT_WHOLE[truncate]] or "", add_special_tokens=False))
            if length > room:
                raise ValueError(
                    f"the {('first', 'second')[KEPT_WHOLE[truncate]]} text has {length} tokens and is never cut; "
                    f"this student reads {limit} tokens, which leaves room for {room}: shorten it"
                )

    def _logits(self, encodings: Sequence[Encoding], size: int) -> np.ndarray:
        """(N, C) float64 for N rows; batches of rows of about one length, results in the rows' order."""
        import torch

        choices = len(self.scoring["render"]["choices"]) or 1
        rows = [encodings[start : start + choices] for start in range(0, len(encodings), choices)]
        longest_first = sorted(range(len(rows)), key=lambda i: -max(len(one) for one in rows[i]))
        classes = len(self.scoring["label_names"]) or 1
        logits = np.zeros((len(rows), classes))
        for start in range(0, len(rows), size):
            chosen = longest_first[start : start + size]
            with torch.inference_mode():
                output = self._network(**self._tensors([one for i in chosen for one in rows[i]]))
            logits[chosen] = output.logits.double().cpu().numpy().reshape(len(chosen), classes)
        return logits

    def _tensors(self, encodings: Sequence[Encoding]) -> dict[str, Tensor]:
        """Pad on the right to the longest of the batch; token types only if the network has an embedding for them."""
        import torch

        width = max(len(one) for one in encodings)
        parts = {"input_ids": ([one.ids for one in encodings], self.scoring["pad_id"])}
        parts["attention_mask"] = ([[1] * len(one) for one in encodings], 0)
        if self._typed:
            parts["token_type_ids"] = ([one.type_ids for one in encodings], 0)
        return {
            name: torch.tensor([[*row, *[filling] * (width - len(row))] for row in rows], device=self._device)
            for name, (rows, filling) in parts.items()
        }


def as_frame(scoring: Scoring, given: pd.DataFrame) -> pd.DataFrame:
    """The needed columns. Raises MlflowException naming missing ones."""
    columns = list(columns_of(scoring["render"]))
    frame = given if isinstance(given, pd.DataFrame) else pd.DataFrame(given)
    missing = [f"'{column}'" for column in columns if column not in frame.columns]
    if missing:
        raise MlflowException.invalid_parameter_value(
            f"column {', '.join(missing)} is missing; this student of {scoring['dataset']} needs {', '.join(columns)}, "
            f"and was given {', '.join(map(str, frame.columns)) or 'none'}"
        )
    frame = frame[columns]
    # MLflow makes one row of lists out of {"premise": ["...", ...], ...}.
    if len(frame) == 1 and all(isinstance(frame[column].iloc[0], (list, np.ndarray)) for column in columns):
        cells = {column: list(frame[column].iloc[0]) for column in columns}
        if len({len(cell) for cell in cells.values()}) > 1:
            counts = ", ".join(f"{column} {len(cell)}" for column, cell in cells.items())
            raise MlflowException.invalid_parameter_value(f"columns must have one length; rows given: {counts}")
        return pd.DataFrame(cells, dtype=object)
    return frame


def row_texts(spec: Render, row: dict[str, object]) -> list[TextPair]:
    """The texts of one row: one pair, or one per candidate. Raises ValueError naming the field."""
    for column, value in row.items():
        if pd.api.types.is_scalar(value) and pd.isna(cast(float, value)):
            raise ValueError(f"field '{column}' is missing (null)")
        if isinstance(value, str) and not value.strip():
            raise ValueError(f"field '{column}' is empty")
        if isinstance(value, str) and not value.isascii():
            unicode_or_error(column, value)
    return render(spec, row)


def unicode_or_error(column: str, value: str) -> None:
    """Refuse half surrogate pairs, which JSON allows and no tokenizer accepts."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"field '{column}': character {error.start} is not valid Unicode") from error


def row_name(index: pd.Index, position: int) -> str:
    """'line 17' if the index is named 'line'; else the position, from 1, with the index."""
    label = index[position]
    return f"row {position + 1} (index {label})" if index.name is None else f"{index.name} {label}"


def listed(problems: Sequence[str]) -> str:
    """The first problems and the number of the rest."""
    more = [f"... and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
    return "; ".join([*problems[:SHOWN_PROBLEMS], *more])


def answers(scoring: Scoring, logits: np.ndarray, index: pd.Index, truncated: Sequence[bool]) -> pd.DataFrame:
    """Turn logits (N, C) into label, score and the probability of each class; into the predicted value for regression.

    truncated: (N,) whether a row was longer than the student reads, so that the answer is about a part of it.
    """
    cut = pd.Series(truncated, index=index, dtype="bool")
    if not scoring["label_names"]:  # a regression: its one logit is the answer
        values = pd.Series(logits[:, 0], index=index, dtype="float64")
        return pd.DataFrame({"label": values, "score": values, TRUNCATED: cut}, index=index)
    names = scoring["label_names"]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    labels = [names[best] for best in probabilities.argmax(axis=1)]
    columns = {
        "label": pd.Series(labels, index=index, dtype="str"),
        "score": pd.Series(probabilities.max(axis=1, initial=0.0), index=index, dtype="float64"),
    }
    columns |= {f"probability_{name}": pd.Series(probabilities[:, k], index=index) for k, name in enumerate(names)}
    return pd.DataFrame({**columns, TRUNCATED: cut}, index=index)
