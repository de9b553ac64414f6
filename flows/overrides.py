"""Another profile, or single other values: the params file of such a run, checked in advance."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from config import parameters
from config.reading import read_yaml
from errors import UserError
from strict_yaml import StrictLoader

HEADER = "# Made from {source} for one run of a flow.\n"


def params_text(root: Path, profile: Path | None, overrides: Sequence[str]) -> str:
    """Build a params file: the profile (or params.yaml) with other values.

    Args:
        root: of the repository; a relative profile is sought there.
        profile: a whole params file, the name of one in profiles/, or None for params.yaml.
        overrides: ("curriculum.reward=real", ...).

    Raises UserError with every error of the result, UserError if an override is no KEY=VALUE.
    """
    source = _file(root, profile)
    content: dict[str, object] = read_yaml(source)
    for key, value in map(_pair, overrides):
        _set(content, key, value)
    text = HEADER.format(source=source.name) + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, "params.yaml")
        trial.write_text(text, encoding="utf-8")
        try:
            parameters.load(trial)
        except UserError as error:
            given = f"{source} with {len(overrides)} other value{'s' * (len(overrides) > 1)}" if overrides else source
            raise UserError(str(error).replace(str(trial), str(given))) from None
    return text


def _file(root: Path, profile: Path | None) -> Path:
    """The params file to start from: a path, or a name in profiles/."""
    if profile is None:
        return root / "params.yaml"
    named = root / "profiles" / f"{profile}.yaml"
    for path in (root / profile, named):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in named.parent.glob("*.yaml")))
    raise UserError(f"--profile {profile}: no such file in {root}; the profiles there are {known}")


def _pair(text: str) -> tuple[str, object]:
    """Parse "a.b=1" as ("a.b", 1); the value is read as in params.yaml."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not all(key.split(".")):
        raise UserError(f"--set {text}: expected KEY=VALUE, as in --set curriculum.reward=real")
    try:
        return key, yaml.load(value, Loader=StrictLoader)  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        words = " ".join(str(error).replace('in "<unicode string>", ', "at ").split())  # a text has no file's name
        raise UserError(f"--set {text}: the value is not valid YAML: {words}") from None


def _set(content: dict[str, object], key: str, value: object) -> None:
    """Set one value at a dotted path; a mapping is merged into its section."""
    if isinstance(value, Mapping):
        for part, inner in value.items():
            _set(content, f"{key}.{part}", inner)
        return
    *path, last = key.split(".")
    section = content
    for number, part in enumerate(path, start=1):
        inner = section.setdefault(part, {})
        if not isinstance(inner, dict):
            raise UserError(f"--set {key}: {'.'.join(path[:number])} is a single value, it has no keys")
        section = inner
    section[last] = value
