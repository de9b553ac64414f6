"""Rendering of rows as text; standard library only, because a registered student carries this file.

A rendering is a small dictionary (`Render`), stored as JSON beside every model. A row is a dictionary of raw
columns. The result is a list of (first text, second text or None): one element, or one per candidate of a choice.

Marks: WiC's word and WSC's first span stand between asterisks, WSC's second span (the pronoun) between number
signs, each with a space around it. Quotation marks would be ambiguous (the texts hold quoted speech); the asterisk
and the number sign are one token in every family's vocabulary and next to never occur in these texts; the spaces
keep the marked word's usual token in vocabularies that tell " word" from "word".
"""

import re
from collections.abc import Mapping
from typing import Literal, TypedDict

Truncate = Literal["longest", "first", "second"]
TextPair = tuple[str, str | None]

CONNECTIVES = {"cause": "because", "effect": "so"}
"""COPA's two questions: the premise's cause follows "because", its effect follows "so"."""

MARK_COLUMNS: dict[str, tuple[str, ...]] = {
    "wic": ("start1", "end1", "start2", "end2"),
    "wsc": ("span1_index", "span1_text", "span2_index", "span2_text"),
}
"""Columns that a mark needs in addition to the text."""


class Render(TypedDict):
    """The rendering of one dataset's rows as text. JSON-able."""

    text: list[str]
    """One or two text columns; for a choice the context."""
    choices: list[str]
    """Columns of the candidates; empty where the dataset is no choice."""
    connective: str | None
    """Column that holds "cause" or "effect" (COPA)."""
    mark: Literal["wic", "wsc"] | None
    truncate: Truncate
    """The text that is truncated when a row is longer than the model takes."""


def render(spec: Render, row: Mapping[str, object]) -> list[TextPair]:
    """The texts of one row: [(first, second or None)], for a choice one pair per candidate.

    Raises ValueError where a column is missing or is no text, or a marked span is not in the text.
    """
    texts = [_text(row, column) for column in spec["text"]]
    if spec["mark"] == "wic":
        texts = [_marked(text, [_word_span(row, k, text)], "*") for k, text in enumerate(texts, start=1)]
    elif spec["mark"] == "wsc":
        texts = [_marked(texts[0], [_find_span(row, k, texts[0])[0] for k in (1, 2)], "*#")]
    if spec["choices"]:
        context = " ".join([*texts[:-1], _with_connective(texts[-1], spec["connective"], row)])
        return [(context, _text(row, column)) for column in spec["choices"]]
    return [(texts[0], texts[1] if len(texts) > 1 else None)]


def columns_of(spec: Render) -> tuple[str, ...]:
    """The raw columns that `render` reads, in order."""
    connective = [spec["connective"]] if spec["connective"] else []
    marks = MARK_COLUMNS[spec["mark"]] if spec["mark"] else ()
    return (*spec["text"], *spec["choices"], *connective, *marks)


def integer_columns(spec: Render) -> frozenset[str]:
    """Columns of `columns_of` that hold positions instead of text."""
    marks = MARK_COLUMNS[spec["mark"]] if spec["mark"] else ()
    return frozenset(column for column in marks if not column.endswith("_text"))


def repaired_marks(spec: Render, row: Mapping[str, object]) -> int:
    """Count this row's spans (0 to 2) that were not found at their index (WSC)."""
    if spec["mark"] != "wsc":
        return 0
    text = _text(row, spec["text"][0])
    return sum(_find_span(row, k, text)[1] for k in (1, 2))


def _text(row: Mapping[str, object], column: str) -> str:
    if column not in row:
        raise ValueError(f"field '{column}' is missing; this dataset needs it as input")
    value = row[column]
    if not isinstance(value, str):
        raise ValueError(f"field '{column}' must be text, not {ascii(value)[:60]}")
    return value


def _integer(row: Mapping[str, object], column: str) -> int:
    """A position; accepts number types of other libraries and digits from a CSV file."""
    if column not in row:
        raise ValueError(f"field '{column}' is missing; this dataset needs it as input")
    try:
        number = float(str(row[column]))
        if number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"field '{column}' must be a whole number, not {ascii(row[column])[:60]}")


def _with_connective(text: str, column: str | None, row: Mapping[str, object]) -> str:
    """ "I was late." -> "I was late because": drop the full stop, so that the choice continues the sentence."""
    if column is None:
        return text
    question = _text(row, column)
    if question not in CONNECTIVES:
        raise ValueError(f"field '{column}' must be one of {sorted(CONNECTIVES)}, not {ascii(question)[:60]}")
    return f"{text.rstrip().rstrip('.')} {CONNECTIVES[question]}"


def _word_span(row: Mapping[str, object], k: int, text: str) -> tuple[int, int]:
    """Characters [start, end) of the word in WiC's sentence k (1 or 2)."""
    start, end = _integer(row, f"start{k}"), _integer(row, f"end{k}")
    if not 0 <= start < end <= len(text):
        raise ValueError(
            f"fields 'start{k}', 'end{k}' must be a span within the {len(text)} characters of its text, "
            f"not {start}, {end}"
        )
    return start, end


def _marked(text: str, spans: list[tuple[int, int]], signs: str) -> str:
    """The text with a marker before and after each span of characters, and single spaces around every marker.

    A span may lie within another ("their" in "their mothers"): the outer one's sign stands outside.
    """
    signed = list(zip(spans, signs, strict=True))
    cuts = [(end, 0, -start, sign) for (start, end), sign in signed]
    cuts += [(start, 1, -end, sign) for (start, end), sign in signed]
    parts, position = [], 0
    for place, _, _, sign in sorted(cuts):
        parts += [text[position:place].strip(), sign]
        position = place
    return " ".join(part for part in [*parts, text[position:].strip()] if part)


def _find_span(row: Mapping[str, object], k: int, text: str) -> tuple[tuple[int, int], bool]:
    """Character range of WSC's span k, and whether it had to be searched for.

    The index counts words parted by white space. Where the text there agrees with the span's text (up to case and
    punctuation in front) it is taken; else the nearest occurrence, in words, is.
    """
    index, span = _integer(row, f"span{k}_index"), _text(row, f"span{k}_text").strip(" .,;:!?")
    words = [match.start() for match in re.finditer(r"\S+", text)]
    whole = _occurrences(span, text)
    found = whole or _occurrences(span, text, gaps=True)
    if not found:
        raise ValueError(f"field 'span{k}_text' is {ascii(span)[:60]}, which does not occur in the text")
    places = [sum(start <= begin for start in words) - 1 for begin, _ in found]
    nearest = min(range(len(found)), key=lambda i: (abs(places[i] - index), i))
    return found[nearest], not whole or places[nearest] != index


def _occurrences(span: str, text: str, gaps: bool = False) -> list[tuple[int, int]]:
    """Find the span's words in the text as whole words, whatever the case and the white space.

    With `gaps`, from its first to its last word: a few of WSC's spans ("Kamenev and Zinoviev") name two things that
    the text names apart.
    """
    words = [re.escape(word.strip(".,;:!?")) for word in span.split()]
    if not words or (gaps and len(words) < 2):
        return []
    inner = rf"{words[0]}\b.*?\b{words[-1]}" if gaps else r"\s+".join(re.escape(word) for word in span.split())
    pattern = rf"(?<!\w){inner}(?!\w)"
    return [match.span() for match in re.finditer(pattern, text, re.IGNORECASE | re.DOTALL)]
