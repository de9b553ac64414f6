"""YAML without surprises, for params files and dataset descriptions: what it says is what DVC and a person read.

YAML 1.1, which PyYAML speaks, takes `labels: [no, yes]` for two booleans and `1e-3` for a word, and keeps the last of
two equal keys. Here, as in YAML 1.2, they are words and a number; a key that stands twice is an error.
"""

import math
import re

import yaml
from yaml.constructor import ConstructorError

LARGEST = 100_000
"""Values that one file may have once its aliases are written out: a small file can name billions."""


class StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, less its surprises."""

    def get_single_node(self) -> yaml.Node | None:
        """The document, if it stays small when every alias is written out, and none holds itself."""
        node = super().get_single_node()
        if node is not None and _size(node, {}) > LARGEST:
            raise ConstructorError(None, None, f"holds more than {LARGEST} values once aliases (*) are written out")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """A mapping whose keys are words, each given once."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise ConstructorError(None, None, f"key {key!r} is no word", key_node.start_mark)
            if key in seen:
                raise ConstructorError(None, None, f"key '{key}' is there twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """Values in a node with its aliases written out; infinite where it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is counted: who meets it again before that is inside of it
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = [part for entry in parts for part in (entry if isinstance(entry, tuple) else (entry,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in flat)
    return known[id(node)]


BOOLEAN, FLOAT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float"
StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (BOOLEAN, "tag:yaml.org,2002:timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
StrictLoader.add_implicit_resolver(BOOLEAN, re.compile("^(?:true|false)$"), list("tf"))
StrictLoader.add_implicit_resolver(FLOAT, re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789."))
