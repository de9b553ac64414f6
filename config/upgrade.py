"""Params files of the old form, in which `methods` was a list and four other lists had to agree with it.

`python -m config` refuses such a file with the lines to write instead (`advice`); `python -m config --upgrade FILE` writes
them and keeps every other line (`upgraded`).
"""

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from config.methods import CURRICULUM, FAMILIES, METHODS, SUFFIXES, by_family
from config.reading import read_yaml
from errors import UserError

GONE = {
    "student.methods": "student",
    "assisted.methods": "assisted",
    "mpdistil.teaches": "meta_taught",
    "mpdistil.multi_task": "multi_task",
    "mpdistil.datasets": None,
}
"""Keys of the old form -> the family that has their names now."""
COMMENT = re.compile(r"(?:(?<=\s)|^)#.*$", re.MULTILINE)
Edit = tuple[int, int, str]
"""Start and end in the text, and the replacement."""


def advice(content: Mapping[str, object], path: Path) -> list[str]:
    """Errors of a file of the old form, or of parts of it, with what to write; [] for any other file."""
    methods, command = content.get("methods"), f"`python -m config --upgrade {path}`"
    gone = [key for key in GONE if _value(content, key) is not None]
    empty = "assisted" in content and "assisted.methods" not in gone
    lines = ["assisted: stands under `methods` now; remove this section"] if empty else []
    if not isinstance(methods, tuple):
        return [*lines, *(f"{key}: gone, methods stand by family now; {command} removes it" for key in gone)]
    remove = ", ".join("the section assisted" if key == "assisted.methods" else key for key in gone)
    block = [
        "methods: a list, but each method stands under its family now; write",
        *(f"    {line}" for line in lines_of(_known(methods))),
        f"in its place, and remove {remove}" if gone else "in its place",
        f"or let {command} do both: it writes nothing while there are other errors",
    ]
    return ["\n  ".join(block), *lines, *_unclear(content)]


def modern(content: Mapping[str, object]) -> dict[str, object]:
    """A file's content after an upgrade, with misspelt methods corrected, so that all other errors are found."""
    kept = {section: value for section, value in content.items() if section != "assisted"}
    for section, value in kept.items():
        if isinstance(value, Mapping):
            kept[section] = {key: inner for key, inner in value.items() if f"{section}.{key}" not in GONE}
    if isinstance(methods := content.get("methods"), tuple):
        kept["methods"] = {family: tuple(names) for family, names in by_family(_known(methods)).items()}
    return kept


def lines_of(methods: Iterable[str]) -> list[str]:
    """`methods` in the present form, for full names."""
    lists = by_family(methods)
    return ["methods:", *(f"  {family + ':':<12} [{', '.join(lists[family])}]" for family in FAMILIES)]


def upgraded(text: str, name: str) -> str:
    """Convert the text of a params file to the present form. Raises UserError if the conversion is ambiguous.

    Args:
        name: of the file, for errors.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise UserError(f"{name}: expected sections such as 'teacher:'")
    edits = [edit for key, value in root.value for edit in _edits(text, key, value, name)]
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text.replace(" and `student.methods`", "")  # in the comment of earlier profiles


def main(files: Sequence[Path], load: Callable[[Path], object]) -> int:
    """Rewrite files, each whole or not at all; 2 if one can't be.

    Args:
        load: raises UserError for a file that is no valid params file.
    """
    bad = 0
    for path in files:
        try:
            print(f"{path}: {_rewrite(path, load)}")
        except UserError as error:
            bad += 1
            print(error, file=sys.stderr)
    return 2 if bad else 0


def _rewrite(path: Path, load: Callable[[Path], object]) -> str:
    content = read_yaml(path)
    if unclear := _unclear(content):
        raise UserError("\n  ".join([f"{path}: left as it is", *unclear]))
    with path.open(encoding="utf-8", newline="") as file:  # line ends as they are
        before = file.read()
    after = upgraded(before, str(path))
    if after == before:
        return "nothing to upgrade"
    aside = path.resolve().with_name(f".{path.name}.upgraded")
    try:
        aside.write_text(after, encoding="utf-8", newline="")
        load(aside)
        aside.chmod(path.stat().st_mode)
        aside.replace(path.resolve())
    except UserError as error:
        found = str(error).replace(str(aside), str(path))
        raise UserError(f"{path}: left as it is, because upgraded it would have errors\n{found}") from None
    finally:
        aside.unlink(missing_ok=True)
    return "upgraded"


def _edits(text: str, key: yaml.Node, value: yaml.Node, name: str) -> Iterator[Edit]:
    """Changes to one section of the file."""
    if key.value == "methods" and isinstance(value, yaml.SequenceNode):
        _check_own(key, value, name)
        start, end = key.start_mark.index, _end(value)
        methods = (str(one.value) for one in value.value)
        comments = [f"  {comment}" for comment in COMMENT.findall(text[start:end])]
        first, *rest = lines_of(methods)
        yield start, end, _line_end(text).join([first, *comments, *rest])
    if not isinstance(value, yaml.MappingNode):
        return
    old = [pair for pair in value.value if f"{key.value}.{pair[0].value}" in GONE]
    for pair in old:
        _check_own(*pair, name)
    if old and len(old) == len(value.value):
        empty = "" if key.value == "assisted" else f"{key.value}: {{}}"
        yield from _without_section(text, key, value, empty)
    elif old and value.flow_style:
        kept = ", ".join(
            text[one.start_mark.index : _end(other)] for one, other in value.value if (one, other) not in old
        )
        yield _start(value), _end(value), f"{{{kept}}}"
    else:
        for one, other in old:
            yield *_lines(text, one.start_mark.index, _end(other)), ""


def _without_section(text: str, key: yaml.Node, value: yaml.MappingNode, empty: str) -> Iterator[Edit]:
    """Remove a section with all its keys; comments on lines of their own stay."""
    end = _end(value) if value.flow_style else key.end_mark.index
    yield *_lines(text, key.start_mark.index, end), empty and empty + _line_end(text)
    for one, other in () if value.flow_style else value.value:
        yield *_lines(text, one.start_mark.index, _end(other)), ""


def _lines(text: str, start: int, end: int) -> tuple[int, int]:
    """The span of the whole lines that a part of the text lies on."""
    following = text.find("\n", end)
    return text.rfind("\n", 0, start) + 1, len(text) if following < 0 else following + 1


def _start(node: yaml.Node) -> int:
    return node.start_mark.index


def _end(node: yaml.Node) -> int:
    """Return the end of a node's own text; a block's mark is where the next token begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _check_own(key: yaml.Node, value: yaml.Node, name: str) -> None:
    """Raise UserError for a value given by a YAML alias."""
    if value.start_mark.index < key.end_mark.index:
        raise UserError(f"{name}: {key.value} is an alias (*); write its value out, then upgrade the file")


def _unclear(content: Mapping[str, object]) -> list[str]:
    """Report unknown method names, else old lists that disagree with each other."""
    if not isinstance(content.get("methods"), tuple):
        return []
    methods = _names(content["methods"])
    if unknown := [f"methods: {_unknown(name)}" for name in methods if name not in METHODS]:
        return unknown
    lists, unclear = by_family(methods), list[str]()
    curricula = _names(content.get("datasets")) if CURRICULUM in methods else []
    for key, family in GONE.items():
        found, expected = _value(content, key), curricula if family is None else lists[family]
        if found is not None and sorted(_names(found)) != sorted(expected):
            suffix = f", each with {SUFFIXES[family]} behind it" if family in SUFFIXES else ""
            unclear.append(
                f"{key} is [{', '.join(_names(found))}], but `{'datasets' if family is None else 'methods'}` asks for "
                f"[{', '.join(expected)}]{suffix}; correct one of both first"
            )
    return unclear


def _value(content: Mapping[str, object], key: str) -> object:
    section, _, name = key.partition(".")
    inner = content.get(section)
    return inner.get(name) if isinstance(inner, Mapping) else None


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, tuple) else []


def _known(names: Iterable[object]) -> list[str]:
    """Method names, each the nearest match to the text; names without a match are left out."""
    return [near for name in names for near in difflib.get_close_matches(str(name), METHODS, n=1, cutoff=0.6)]


def _unknown(name: object) -> str:
    near = _known([name])
    hint = f"did you mean {near[0]!r}?" if near else f"those are {', '.join(METHODS)}"
    return f"{name!r} is no method; {hint}"
