"""Links of README.md and docs/ lead to files and headings that exist, and so do the paths that they name."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from doc_blocks import PAGES, ROOT
from source_imports import product_files

LINK = re.compile(r"\]\((?P<path>[^)#\s]*)(?:#(?P<heading>[^)\s]+))?\)")
NAMED = re.compile(
    r"(?<![\w/.*<-])(?P<path>(?:config|data|docker|docs|experiments|flows|hardware|methods|models|profiles|registry"
    r"|reporting|tasks|tests|training)/[\w./-]*\w\.(?:py|yaml|md|json))\b"
)
HISTORY = ROOT / "docs" / "results"
"""Pages made of rows of earlier commits, whose commands and paths are those of their day."""


def headings(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        path, heading = link["path"], link["heading"]
        if re.match(r"\w+:", path):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link[0]}"
        assert heading is None or heading in headings(target), f"{page.name}: {link[0]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    if page.is_relative_to(HISTORY):
        return
    text = page.read_text(encoding="utf-8")
    missing = {name["path"] for name in NAMED.finditer(text) if not (ROOT / name["path"]).exists()}
    assert {name for name in missing if "NAME" not in name and "STAGE" not in name} == set()


CODE = re.compile(r"(?P<names>(?:`[A-Za-z_.]+`(?:, | and )?)+) (?:in )?\[?(?P<path>[a-z_]+(?:/[a-z_]+)+\.py)\b")
"""Names of code and the file that a page says they stand in: `train` in training/supervised.py."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_functions_stand_where_a_page_says(page: Path) -> None:
    if page.is_relative_to(HISTORY):
        return
    wrong = []
    for found in CODE.finditer(page.read_text(encoding="utf-8")):
        code = (ROOT / found["path"]).read_text(encoding="utf-8")
        wrong += [
            f"{name} in {found['path']}"
            for name in re.findall(r"`([A-Za-z_.]+)`", found["names"])
            if not all(re.search(rf"\b{part}\b", code) for part in name.split("."))
        ]
    assert wrong == []


TREE = re.compile(r"^### (?P<folder>\w+)\n(?P<text>.*?)(?=^##)", re.DOTALL | re.MULTILINE)


def test_files_of_the_maps_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = {name["folder"]: name["text"] for name in TREE.finditer(page)}
    assert {"config", "data", "models", "methods", "training", "tasks", "reporting", "registry", "flows"} <= set(found)
    missing = []
    for folder, text in found.items():
        if not (ROOT / folder).is_dir():
            continue
        there = {path.name for path in (ROOT / folder).rglob("*.py")} | {path.name for path in ROOT.glob("*.py")}
        block = "".join(re.findall(r"^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
        missing += [f"{folder}: {name}" for name in re.findall(r"(?<![\w*/.])(\w+\.py)\b", block) if name not in there]
    assert missing == []


SECTION = re.compile(r"^### (?P<title>[^\n]+)\n(?P<text>.*?)(?=^##)", re.DOTALL | re.MULTILINE)
"""A section of architecture.md: its title names the folders whose modules its map has, "The root" all that have none."""


def maps(page: str) -> Iterator[tuple[str, list[str]]]:
    """Each word of a section's title, and the files that the section's map names, as patterns."""
    for section in SECTION.finditer(page):
        block = "".join(re.findall(r"^```\n(.*?)^```$", section["text"], re.DOTALL | re.MULTILINE))
        for word in section["title"].split():
            yield word, re.findall(r"[\w*]+\.py\b", block)


def test_every_module_stands_in_a_map() -> None:
    named = dict(maps((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")))
    modules = [path.relative_to(ROOT) for path in product_files() if path.name != "__init__.py"]
    missing = [
        str(path)
        for path in modules
        if not any(fnmatch(path.name, pattern) for pattern in named.get(path.parts[0], named["root"]))
    ]
    assert missing == []
