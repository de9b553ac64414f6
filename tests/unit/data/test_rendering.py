"""Rendering of rows as text."""

import subprocess
import sys
from pathlib import Path

import pytest

from data import rendering
from data.rendering import Render, columns_of, render, repaired_marks

PLAIN = Render(text=["a", "b"], choices=[], connective=None, mark=None, truncate="longest")
COPA = Render(text=["premise"], choices=["choice1", "choice2"], connective="question", mark=None, truncate="longest")
WIC = Render(text=["sentence1", "sentence2"], choices=[], connective=None, mark="wic", truncate="longest")
WSC = Render(text=["text"], choices=[], connective=None, mark="wsc", truncate="longest")


def wsc_row(text: str, first: tuple[int, str], second: tuple[int, str]) -> dict[str, object]:
    return {
        "text": text,
        "span1_index": first[0],
        "span1_text": first[1],
        "span2_index": second[0],
        "span2_text": second[1],
    }


def test_a_pair_is_both_texts_as_they_are() -> None:
    assert render(PLAIN, {"a": "One.", "b": " two ", "other": 3}) == [("One.", " two ")]


def test_a_cause_follows_because_and_an_effect_follows_so() -> None:
    row = {"premise": "I was late.", "choice1": "I overslept.", "choice2": "I ran.", "question": "cause"}
    assert render(COPA, row) == [("I was late because", "I overslept."), ("I was late because", "I ran.")]
    assert render(COPA, row | {"question": "effect"})[0] == ("I was late so", "I overslept.")


def test_another_question_than_cause_or_effect_is_refused_by_name() -> None:
    row = {"premise": "p", "choice1": "c", "choice2": "d", "question": "why"}
    with pytest.raises(ValueError, match=r"'question' must be one of .*cause.*effect.*not 'why'"):
        render(COPA, row)


def test_the_word_of_wic_is_marked_at_its_characters_in_each_sentence() -> None:
    row = {"sentence1": "Come to my place later?", "sentence2": "Places, please.", "start1": 11, "end1": 16}
    rendered = render(WIC, row | {"start2": 0, "end2": 6})
    assert rendered == [("Come to my * place * later?", "* Places * , please.")]


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 3), (0, 99)])
def test_a_span_outside_its_sentence_is_refused(start: int, end: int) -> None:
    row = {"sentence1": "short", "sentence2": "short", "start1": start, "end1": end, "start2": 0, "end2": 1}
    with pytest.raises(ValueError, match="start1"):
        render(WIC, row)


def test_positions_may_be_digits_or_floats_but_not_words() -> None:
    row = {"sentence1": "a b", "sentence2": "a b", "start1": "0", "end1": 1.0, "start2": 2, "end2": "3"}
    assert render(WIC, row) == [("* a * b", "a * b *")]
    with pytest.raises(ValueError, match="'start1' must be a whole number, not 'two'"):
        render(WIC, row | {"start1": "two"})


def test_both_spans_of_wsc_are_marked_by_their_own_signs() -> None:
    row = wsc_row("Mark told Pete that he lied.", (0, "Mark"), (4, "he"))
    assert render(WSC, row) == [("* Mark * told Pete that # he # lied.", None)]
    assert repaired_marks(WSC, row) == 0


def test_a_wrong_index_takes_the_nearest_occurrence_and_is_counted() -> None:
    row = wsc_row("it fell , and it broke , said Ann", (7, "Ann"), (6, "it"))
    assert render(WSC, row) == [("it fell , and # it # broke , said * Ann *", None)]
    assert repaired_marks(WSC, row) == 2


def test_case_and_punctuation_around_a_span_do_not_count() -> None:
    row = wsc_row("(The bee) left because it could.", (0, "the bee."), (4, "It"))
    assert render(WSC, row) == [("( * The bee * ) left because # it # could.", None)]
    assert repaired_marks(WSC, row) == 0


def test_a_span_within_the_other_is_marked_inside_it() -> None:
    row = wsc_row("Now their mothers are here.", (1, "their mothers"), (1, "their"))
    assert render(WSC, row) == [("Now * # their # mothers * are here.", None)]


def test_a_span_is_never_found_inside_a_longer_word() -> None:
    row = wsc_row("The item and it differ", (1, "item"), (1, "it"))
    assert render(WSC, row) == [("The * item * and # it # differ", None)]


def test_two_things_named_apart_are_marked_from_the_first_to_the_last() -> None:
    row = wsc_row("Lev Kamenev and Grigory Zinoviev met; they talked", (1, "Kamenev and Zinoviev"), (6, "they"))
    assert render(WSC, row)[0][0].startswith("Lev * Kamenev and Grigory Zinoviev * met")
    assert repaired_marks(WSC, row) == 1


def test_a_span_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="'span1_text' is 'Eve'"):
        render(WSC, wsc_row("Mark told Pete", (0, "Eve"), (2, "Pete")))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="field 'b' is missing"):
        render(PLAIN, {"a": "text"})
    with pytest.raises(ValueError, match="field 'b' must be text, not 3"):
        render(PLAIN, {"a": "text", "b": 3})


def test_the_columns_of_a_rendering_are_all_that_it_reads() -> None:
    assert columns_of(COPA) == ("premise", "choice1", "choice2", "question")
    assert columns_of(WSC) == ("text", "span1_index", "span1_text", "span2_index", "span2_text")


def test_the_file_stands_alone_so_that_a_student_can_carry_it(tmp_path: Path) -> None:
    alone = tmp_path / "carried.py"
    alone.write_text(Path(rendering.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    code = f"import sys; sys.path = [p for p in sys.path if 'site-packages' not in p] + [{str(tmp_path)!r}]; import carried"
    subprocess.run([sys.executable, "-S", "-I", "-c", code], check=True)
