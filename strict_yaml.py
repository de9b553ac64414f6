"""YAML without surprises, for params files and descriptions: DVC and people read the same values.

YAML 1.1, which PyYAML speaks, takes `labels: [no, yes]` for two booleans, `042` for 34, `1:30` for 90 and `1e-3` for a
word, and keeps the last of two equal keys. Here, as in YAML 1.2, they are words, 42, a word and a number; a key that
stands twice is an error. Params files are read by DVC too, by another library: what the two would read differently is
refused there (`StrictLoader`). A description is read here alone, and nothing in it is a date or a time
(`DescriptionLoader`).
"""

import math
import re

import yaml
from yaml.constructor import ConstructorError

LARGEST = 100_000
"""Maximum number of values with aliases expanded: a small file can expand to billions."""

TAG = "tag:yaml.org,2002:"
BOOLEAN, FLOAT, INTEGER, NULL, AMBIGUOUS = (TAG + name for name in ("bool", "float", "int", "null", "ambiguous"))
UNREAD = ("timestamp", "binary", "omap", "pairs", "set")
"""Types that none of our files uses, and that DVC's reader interprets differently."""

# YAML 1.2's core schema, less what DVC's reader (ruamel.yaml) takes for a word or for another number.
NUMBERS = {
    INTEGER: r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    FLOAT: r"[-+]?[0-9]+\.[0-9]*([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.[0-9]+([eE][-+][0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
# What YAML 1.1, 1.2 and DVC's reader don't all read alike: digits with _ or :, other bases with a sign, dates.
DISPUTED = (
    r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)"
    r"|[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9_]*[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))([eE][-+]?[0-9]+)?"
    r"|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?([Tt \t][0-9: .Zt\t+-]*)?"
)
DIGITS = "-+0123456789."


class Written(int):
    """A whole number written in another form than Python's: +1, 007, 0x1F."""

    text: str


class StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader restricted for params files, so that DVC reads the same values."""

    def process_directives(self) -> object:
        """Refuse `%YAML 1.1`, which changes the meaning of the rest for DVC's reader."""
        found = super().process_directives()
        if self.yaml_version not in (None, (1, 2)):
            raise ConstructorError(None, None, "%YAML: this is read as YAML 1.2; remove the line")
        return found

    def get_single_node(self) -> yaml.Node | None:
        """The document, if it is small with aliases expanded and not recursive."""
        node = super().get_single_node()
        if node is not None and _size(node, {}) > LARGEST:
            raise ConstructorError(None, None, f"holds more than {LARGEST} values once aliases (*) are written out")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """A mapping with unique string keys."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == TAG + "merge":
                raise ConstructorError(
                    None, None, "merge keys (<<) are not read; write the keys out", key_node.start_mark
                )
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise ConstructorError(None, None, f"key {key!r} is not a string", key_node.start_mark)
            if key in seen:
                raise ConstructorError(None, None, f"key '{key}' appears twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number of YAML 1.2: a leading zero does not mean octal."""
        text = self.construct_scalar(node)
        if not re.fullmatch(NUMBERS[INTEGER], text):
            return self.refuse_disputed(node)
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """A number of YAML 1.2; `!!float 1:30` is not one."""
        text = self.construct_scalar(node)
        if not re.fullmatch(f"{NUMBERS[FLOAT]}|[-+]?[0-9]+", text):
            return self.refuse_disputed(node)
        return super().construct_yaml_float(node)

    def refuse_disputed(self, node: yaml.ScalarNode) -> int:
        """Raise ConstructorError for a word that YAML readers interpret differently."""
        raise ConstructorError(
            None,
            None,
            f"{node.value} is interpreted differently by different YAML readers: quote it ('{node.value}') if it is "
            "a word, else write a plain decimal number",
            node.start_mark,
        )


class DescriptionLoader(StrictLoader):
    """Loader of dataset.yaml, where words are names of labels and columns: a number keeps its written form."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A whole number; `Written` if its form differs from Python's."""
        number = super().construct_yaml_int(node)
        if str(number) == node.value:
            return number
        written = Written(number)
        written.text = str(node.value)
        return written


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """Number of values in a node with aliases expanded; infinite for a recursive one."""
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is counted: who meets it again before that is inside of it
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = [part for entry in parts for part in (entry if isinstance(entry, tuple) else (entry,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in flat)
    return known[id(node)]


def _teach(loader: type[StrictLoader], booleans: str, disputed: str | None) -> None:
    """Replace YAML 1.1's rules for unquoted words by a loader's own."""
    loader.yaml_implicit_resolvers = {}
    loader.add_implicit_resolver(NULL, re.compile(r"^(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
    loader.add_implicit_resolver(TAG + "merge", re.compile("^<<$"), ["<"])
    loader.add_implicit_resolver(BOOLEAN, re.compile(f"^({booleans})$"), list("tTfF"))
    for tag, numbers in NUMBERS.items():
        loader.add_implicit_resolver(tag, re.compile(f"^({numbers})$"), list(DIGITS))
    if disputed is not None:
        loader.add_implicit_resolver(AMBIGUOUS, re.compile(f"^({disputed})$"), list(DIGITS))
    loader.yaml_constructors = {
        tag: how for tag, how in loader.yaml_constructors.items() if tag not in {TAG + name for name in UNREAD}
    }
    loader.add_constructor(INTEGER, loader.construct_yaml_int)
    loader.add_constructor(FLOAT, loader.construct_yaml_float)
    loader.add_constructor(AMBIGUOUS, loader.refuse_disputed)


_teach(StrictLoader, "true|True|TRUE|false|False|FALSE", DISPUTED)
_teach(DescriptionLoader, "true|false", None)  # True and False are names there, as yes and no are
