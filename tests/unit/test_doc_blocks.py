"""Every fenced block of README.md and docs/ is read by the program that it is for; tests/unit/test_own_rows.py runs those on own rows."""

import argparse
import ast
import contextlib
import importlib.util
import io
import itertools
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from doc_blocks import ROOT, Block, blocks, commands, heredocs
from dvc.cli import parse_args
from dvc.cli.parser import DvcParserError
from stages import merged

from config.parameters import Parameters, load
from data.description import Description, read_description
from data.problems import Problems
from errors import UserError
from flows.command_line import FORWARDED
from strict_yaml import DescriptionLoader, StrictLoader

ALL = blocks()
SHELL = [block for block in ALL if block.language == "sh"]
UNREAD_LANGUAGES = {"": "what a program prints, a picture of the stages, or the tree of files"}
"""Languages of blocks that no program reads, and why."""
UNREAD_PROGRAMS = {
    ".": "a word of the shell; bash reads the block",
    "cat": "a word of the shell; bash reads the block",
    "curl": "run as printed in tests/pipeline/test_use_a_student_page.py",
    "docker": "not on every machine; tests/flows/test_containers.py reads the files that it gets",
    "echo": "a word of the shell; bash reads the block",
    "export": "a word of the shell; bash reads the block",
    "git": "has no parser that can be asked without doing it",
    "ls": "a word of the shell; bash reads the block",
    "mkdir": "a word of the shell; bash reads the block",
    "mlflow": "run as printed in tests/pipeline/test_use_a_student_page.py",
    "prefect": "its command line starts with a server; tests/flows runs its workers and deployments",
    "printf": "run as printed in tests/pipeline/test_use_a_student_page.py",
    "sed": "run as printed in tests/unit/test_own_rows.py",
    "umask": "a word of the shell; bash reads the block",
    "wait": "a word of the shell; bash reads the block",
}
"""Programs whose arguments are not read here, and why."""
UNREAD_MODULES = {"flows.deploy_steps": "takes a word and no options", "flows.auth_string": "starts another program"}
"""Modules of ours that parse no arguments, and why."""
RECORDED = "docs/results/"
"""Pages whose commands are those of their rows, as they were run at the commits that the page names."""
PROFILE = ROOT / "profiles" / "superglue-minilm.yaml"


class Parsed(Exception):
    """The arguments were accepted; nothing more is done."""


def refused_by(module: str, *arguments: str) -> str | None:
    """Return the message of `python -m MODULE` to these arguments before it does anything; None if it takes them."""
    parse = argparse.ArgumentParser.parse_args

    def only_parse(parser: argparse.ArgumentParser, given: Sequence[str] | None = None) -> None:
        parse(parser, given)
        raise Parsed

    said = io.StringIO()
    with (
        patch("argparse.ArgumentParser.parse_args", only_parse),
        patch.object(sys, "argv", [module, *arguments]),
        contextlib.redirect_stderr(said),
    ):
        try:
            runpy.run_module(module, run_name="__main__")
        except Parsed:
            return None
        except SystemExit:
            pass
    return said.getvalue() or "it ended without parsing its arguments"


def check_python(words: list[str], where: Block) -> None:
    if words[1:2] == ["-"]:  # a heredoc, compiled elsewhere
        return
    assert words[1] == "-m", where
    if where.page.startswith(RECORDED):
        return
    module, arguments = words[2], words[3:]
    if module == "flows" and arguments[0] in FORWARDED:
        module, arguments = FORWARDED[arguments[0]].module, arguments[1:]
    if module in UNREAD_MODULES:
        assert importlib.util.find_spec(module) is not None, where
        return
    assert refused_by(module, *arguments) is None, where
    check_values([value for flag, value in itertools.pairwise(arguments) if flag == "--set" and module == "flows"])


def check_dvc(words: list[str], where: Block) -> None:
    parse_args(words[1:])
    check_values([value for flag, value in itertools.pairwise(words) if flag == "-S"])


def check_make(words: list[str], where: Block) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [word for word in words[1:] if "=" not in word]
    assert targets and all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets), where


def check_pip(words: list[str], where: Block) -> None:
    lock = (ROOT / "requirements" / "requirements.lock").read_text(encoding="utf-8")
    lock += "torch==" + re.findall(r"^TORCH \?= torch==(\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[0] + " "
    for pin in (word for word in words if "==" in word):
        assert f"{pin} " in lock, f"{where}: {pin} is not what the lock file has"


def check_cp(words: list[str], where: Block) -> None:
    assert (ROOT / words[1]).is_file(), where


CHECKED = {
    "python": check_python,
    "dvc": check_dvc,
    "make": check_make,
    "pip": check_pip,
    "cp": check_cp,
}


def check_values(pairs: list[str]) -> None:
    """Read KEY=VALUE pairs, all together, as values of params.yaml."""
    content = yaml.load((ROOT / "params.yaml").read_text("utf-8"), Loader=StrictLoader)
    for pair in pairs:
        key, text = pair.split("=", 1)
        *sections, last = key.split(".")
        change: dict[str, object] = {last: yaml.load(text, Loader=StrictLoader)}
        for section in reversed(sections):
            change = {section: change}
        content = merged(content, change)
    valid(content)


def valid(content: dict) -> Parameters:
    """The parameters in the content of a params file."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return load(Path(folder) / "params.yaml")


def test_what_is_misspelt_would_be_found() -> None:
    where = ALL[0]
    for words in (
        ["python", "-m", "flows", "run", "--parallell", "2"],
        ["python", "-m", "flows", "score", "pulled", "rows.csv", "--thread", "many"],
        ["python", "-m", "flows", "run", "--set", "curriculum.rewards=real"],
        ["python", "-m", "tasks.student", "--dataset", "rte", "--method", "kd"],
        ["make", "demos"],
        ["pip", "install", "mlflow==1.0.0"],
        ["cp", "profiles/none.yaml", "params.yaml"],
    ):
        with pytest.raises((AssertionError, UserError)):
            CHECKED[words[0]](words, where)
    with pytest.raises(DvcParserError):
        check_dvc(["dvc", "exp", "rn"], where)
    with pytest.raises(UserError):
        check_dvc(["dvc", "exp", "run", "-S", "mse_kd.temprature=4"], where)


def test_the_commands_of_a_block_are_taken_apart_as_a_shell_would() -> None:
    text = "A=1 one 'a # b' \\\n  two > file  # said\n(three && four; five) | six\nseven '{\n}'\neight <<'END'\nnine\nEND\n"
    wanted = [["one", "a # b", "two"], ["three"], ["four"], ["five"], ["six"], ["seven", "{\n}"], ["eight"]]
    assert list(commands(text)) == wanted
    assert [one.text for one in heredocs(text)] == ["nine\n"]


def test_there_are_blocks_of_known_languages_only() -> None:
    assert len(ALL) > 50
    assert {block.language for block in ALL} == {"sh", "python", "yaml", *UNREAD_LANGUAGES}


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_a_block_for_a_shell_is_one_whose_programs_take_what_it_says(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for words in commands(block.text):
        if words[0] in CHECKED:
            CHECKED[words[0]](words, block)
        else:
            assert words[0] in UNREAD_PROGRAMS, f"{block}: {words[0]} is read by nothing, and no reason stands here"


def test_every_reason_is_needed() -> None:
    named = {words[0] for block in SHELL for words in commands(block.text)}
    assert set(UNREAD_PROGRAMS) <= named


PYTHON = [(str(block), block.text) for block in ALL if block.language == "python"]
PYTHON += [
    (str(block), one.text) for block in SHELL for one in heredocs(block.text) if one.command.startswith("python")
]


@pytest.mark.parametrize(("where", "text"), PYTHON, ids=[where for where, _ in PYTHON])
def test_a_block_of_python_compiles_and_what_it_imports_is_there(where: str, text: str) -> None:
    tree = ast.parse(text, where)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert all(importlib.util.find_spec(name.name) for name in node.names)
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, name.name) for name in node.names)


YAML = [block for block in ALL if block.language == "yaml"]


@pytest.mark.parametrize("block", YAML, ids=str)
def test_a_block_of_yaml_is_a_description_or_a_part_of_a_valid_params_file(block: Block) -> None:
    raw = yaml.load(block.text, Loader=DescriptionLoader)
    if raw.keys() <= Description.model_fields.keys():
        problems = Problems("tickets")
        assert read_description(raw, str(block), problems) is not None, problems.lines
        return
    own = yaml.load(block.text.replace("{..., ", "{"), Loader=StrictLoader)  # "...": the section's other keys
    content = yaml.load(PROFILE.read_text("utf-8"), Loader=StrictLoader)
    if "datasets" in own:  # a line in place of the profile's line
        valid({**content, **own})
    else:
        valid(merged(content, own))
