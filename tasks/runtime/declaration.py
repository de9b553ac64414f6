"""A stage's declaration in dvc.yaml: command-line options, tracked parameters, output.

Nothing of it is written down a second time: what run.json records of the parameters is what makes DVC run the stage again.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from config.parameters import Parameters

PARAMS = "params.yaml"
ITEM = re.compile(r"\$\{item\.(\w+)\}")
OPTION = re.compile(r"--(\w+) \$\{item")
VARIABLE = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class Declaration:
    """One stage of dvc.yaml, for any combination of its matrix."""

    stage: str
    keys: tuple[str, ...]
    """Its options among dataset, method and seed."""
    output: str
    """The output folder, with ${item.KEY} in it."""
    tracked: tuple[tuple[str, str], ...]
    """(Params file, dotted key) of every tracked parameter, with templates in it."""

    def output_of(self, chosen: Mapping[str, object]) -> Path:
        """The output folder for one combination, e.g. {"dataset": "rte", "seed": 42}."""
        path = Path(ITEM.sub(lambda found: str(chosen[found[1]]), self.output))
        return path.parent if path.suffix == ".json" else path  # of register, DVC knows one file of the folder

    def parameters(self, given: Parameters, method: str, root: Path) -> dict[str, object]:
        """The tracked parameters with their values, nested as in params.yaml; those of another file below its name.

        A key that params.yaml leaves out has its default here, which DVC doesn't see: it changes with the code alone.
        """
        values = given.model_dump(mode="json", by_alias=True)
        found: dict[str, object] = {}
        for file, template in self.tracked:
            key = _filled(template, method, values)
            if file == PARAMS:
                _put(found, key.split("."), _value(values, key.split(".")))
            else:
                _put(found, [file, *key.split(".")], _value(_read(root / file), key.split(".")))
        return found


def declaration(root: Path, stage: str) -> Declaration:
    """Read the declaration of a stage from dvc.yaml in `root`. Raises KeyError for an unknown stage."""
    content = _read(root / "dvc.yaml")["stages"][stage]
    (output,) = content.get("outs", [f"outputs/{stage}"])
    return Declaration(
        stage,
        tuple(OPTION.findall(content["cmd"])),
        output if isinstance(output, str) else next(iter(output)),
        tuple(_tracked(content.get("params", []))),
    )


def _tracked(listed: list[object]) -> Iterator[tuple[str, str]]:
    for entry in listed:
        if isinstance(entry, Mapping):  # keys of another file
            yield from ((str(file), str(key)) for file, keys in entry.items() for key in keys)
        else:
            yield PARAMS, str(entry)


def _filled(template: str, method: str, values: Mapping[str, object]) -> str:
    """Resolve a key's templates: ${item.method} is the method, any other name a value of params.yaml."""
    named = ITEM.sub(method, template)
    return VARIABLE.sub(lambda found: str(_value(values, found[1].split("."))), named)


def _value(content: Mapping[str, object], path: list[str]) -> object:
    value: object = content
    for key in path:
        assert isinstance(value, Mapping), f"dvc.yaml tracks {'.'.join(path)}, which is no parameter"
        value = value[key]
    return value


def _put(content: dict[str, object], path: list[str], value: object) -> None:
    """Set a value at a path; a section tracked whole stays whole, even if parts of it are listed too."""
    for key in path[:-1]:
        inner = content.setdefault(key, {})
        assert isinstance(inner, dict)
        content = inner
    content[path[-1]] = value


@functools.cache
def _read(path: Path) -> dict[str, dict[str, dict]]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
