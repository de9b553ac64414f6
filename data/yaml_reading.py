"""Reads a description's YAML strictly: a key given twice is an error, and `no`, `yes`, `on`, `off` are words.

YAML 1.1 takes `labels: [no, yes]` for two booleans; nobody who describes BoolQ means that.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from yaml.constructor import ConstructorError

from data.errors import DataError, shown


class StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, less its surprises."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """A mapping whose keys are words, each given once."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise ConstructorError(None, None, f"key {shown(key)} is no word", key_node.start_mark)
            if key in seen:
                raise ConstructorError(None, None, f"key '{key}' stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


BOOLEAN = "tag:yaml.org,2002:bool"
StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (BOOLEAN, "tag:yaml.org,2002:timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
StrictLoader.add_implicit_resolver(BOOLEAN, re.compile("^(?:true|false)$"), list("tf"))


def read_yaml(path: Path, dataset: str) -> object:
    """The parsed file; DataError names file, line and what is wrong."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=StrictLoader)  # noqa: S506 - it is a safe loader
    except OSError as error:
        raise DataError(f"dataset {dataset}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"dataset {dataset}: {path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise DataError(f"dataset {dataset}: {path}, line {line}: {error.problem or 'not YAML'}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"dataset {dataset}: {path} is not YAML: {shown(str(error), 200)}") from error
