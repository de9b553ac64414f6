"""strict_yaml.py: a params file says to us what it says to DVC, or it is refused; a description keeps names as written."""

from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.parameters import load
from config.reading import read_yaml
from errors import UserError
from strict_yaml import DescriptionLoader, StrictLoader

ROOT = Path(__file__).parents[3]
ALIKE = {
    "042": 42,
    "-042": -42,
    "08": 8,
    "+1": 1,
    "0o17": 15,
    "0x1F": 31,
    "1e3": 1000.0,
    "1.0e3": 1000.0,
    "1e-3": 0.001,
    "-.5": -0.5,
    ".inf": float("inf"),
    "True": True,
    "false": False,
    "yes": "yes",
    "off": "off",
    "~": None,
    "Null": None,
    ".": ".",
    "../x": "../x",
    "1.2.3": "1.2.3",
    "1,000": "1,000",
    "!!str 042": "042",
    "'1:30'": "1:30",
    "12345678901234567890": 12345678901234567890,
}
DISPUTED = (
    *("1:30", "1:30:00", "1:30.5", "10:20", "1_0", "1_000", "0b11", "-0o7", "+0x1f", "0x1_F", "1_0.5", "1_0e5", ".5e3"),
    *("2001-01-01", "2001-01-01T10:00:00Z", "2001-1-1 10:00:00", "!!int 1:30", "!!float 1:30"),
)


def ours(text: str) -> object:
    return yaml.load(text, Loader=StrictLoader)


def described(text: str) -> object:
    return yaml.load(text, Loader=DescriptionLoader)


@pytest.mark.parametrize("written", ALIKE)
def test_a_value_is_what_dvc_reads_and_yaml_1_2_says(written: str) -> None:
    text = f"key: {written}\n"
    assert repr(ours(text)) == repr({"key": ALIKE[written]}) == repr(dict(parse_yaml(text, "params.yaml")))


@pytest.mark.parametrize("written", DISPUTED)
def test_what_readers_of_yaml_take_for_different_values_is_refused(written: str, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    for text in (f"key: {written}\n", f"key: [{written}]\n", f"{written}: key\n"):
        file.write_text(text)
        with pytest.raises(UserError, match="quote it"):
            read_yaml(file)


@pytest.mark.parametrize(
    "text",
    [
        "%YAML 1.1\n---\nkey: yes\n",
        "key: {<<: {a: 1}}\n",
        "key: {a: 1, a: 2}\n",
        "key: !!set {a, b}\n",
        "key: !!omap [a: 1]\n",
        "key: !!timestamp 2001-01-01\n",
        "key: !!binary aGk=\n",
        "1: key\n",
    ],
)
def test_what_dvc_would_read_as_something_else_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        ours(text)


# Signs, digits, letters of numbers and words, and what YAML itself uses.
@given(st.text("0179_+-.:eExobaTtruZ~yn= ", min_size=1, max_size=7))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_accepted_is_what_dvc_reads(written: str) -> None:
    text = f"key: {written}\n"
    try:
        value = ours(text)
    except (yaml.YAMLError, ValueError):
        return
    try:
        theirs = parse_yaml(text, "params.yaml")
    except (YAMLFileCorruptedError, ValueError):
        return  # DVC says so itself, before any stage runs
    assert repr(value) == repr(dict(theirs))


def test_a_seed_with_a_leading_zero_is_dvcs(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text().replace("seeds: [42]", "seeds: [042]")
    (tmp_path / "params.yaml").write_text(text)
    assert load(tmp_path / "params.yaml").seeds == (42,) == tuple(parse_yaml(text, "params.yaml")["seeds"])


def test_in_a_description_dates_times_and_grouped_digits_are_words() -> None:
    text = "[0b11, 1_0, '1:30', 1:30, 2001-01-01, .5e3x, True, yes, 7, 1.5, true]"
    words = ["0b11", "1_0", "1:30", "1:30", "2001-01-01", ".5e3x", "True", "yes"]
    assert described(text) == [*words, 7, 1.5, True]
