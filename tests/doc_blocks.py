"""The fenced blocks of README.md and docs/, and the commands of those for a shell."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
HEREDOC = re.compile(r"^(?P<command>.*?)<<'(?P<end>\w+)'\n(?P<text>.*?)^(?P=end)\n", re.DOTALL | re.MULTILINE)
ASSIGNMENT = re.compile(r"\w+=.*", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Heredoc:
    """A text within a block for a shell, and the command that reads it."""

    command: str
    text: str


def blocks() -> list[Block]:
    """All of them, page by page. Raises AssertionError for a fence that this reader would pass over."""
    found: list[Block] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        own = [
            Block(str(page.relative_to(ROOT)), text[: match.start()].count("\n") + 1, match["language"], match["text"])
            for match in BLOCK.finditer(text)
        ]
        assert len(re.findall(r"^\s*(```|~~~)", text, re.MULTILINE)) == 2 * len(own), f"{page}: an odd fence"
        found += own
    return found


def heredocs(text: str) -> list[Heredoc]:
    """The texts that commands of a block read."""
    return [Heredoc(match["command"].strip(), match["text"]) for match in HEREDOC.finditer(text)]


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command of a block, without comments, heredocs, assignments and redirections."""
    waiting = ""
    for line in HEREDOC.sub(lambda match: match["command"] + "\n", text).replace("\\\n", " ").splitlines():
        waiting = f"{waiting}\n{line}" if waiting else line
        try:
            words = _words(waiting)
        except ValueError:  # a quotation that goes on in the next line
            continue
        waiting = ""
        yield from _parted(words)
    assert not waiting, f"a quotation is not closed: {waiting}"


def _words(line: str) -> list[str]:
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split, reader.commenters = True, "#"
    return list(reader)


def _parted(words: list[str]) -> Iterator[list[str]]:
    own: list[str] = []
    skip = False
    for word in [*words, ";"]:
        if skip:
            skip = False
        elif set(word) <= set("<>") and word:
            skip = True
        elif set(word) <= set("();|&") and word:
            if own:
                yield own
            own = []
        elif own or not ASSIGNMENT.fullmatch(word):
            own.append(word)
