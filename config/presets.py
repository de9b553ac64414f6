"""Values of the keys of `meta_teacher` and `curriculum` that a params file leaves null or out: profiles/presets/mpdistil.yaml."""

from collections.abc import Mapping
from pathlib import Path

from config.reading import read_yaml

PRESETS = Path(__file__).parents[1] / "profiles" / "presets" / "mpdistil.yaml"


def with_preset(content: Mapping[str, object]) -> dict[str, object]:
    """Fill a params file's content with the values of its preset; a value that is not a section is left alone.

    A preset that is not there is an error of `mpdistil.preset`; until it is read, `default` stands in for it.
    """
    presets, section = read_yaml(PRESETS), content.get("mpdistil")
    named = section.get("preset") if isinstance(section, Mapping) else None
    preset = presets[named] if isinstance(named, str) and named in presets else presets["default"]
    assert isinstance(preset, Mapping)
    filled = dict(content)
    for name, values in preset.items():
        own = content.get(name, {})
        if isinstance(own, Mapping):
            filled[name] = {**values, **{key: value for key, value in own.items() if value is not None}}
    return filled
