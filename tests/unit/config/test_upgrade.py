"""config/upgrade.py: files whose `methods` is a list are refused with the lines to write, and rewritten whole or not at all."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from config.__main__ import main
from config.methods import full_names
from config.parameters import load
from config.upgrade import GONE
from errors import UserError

ROOT = Path(__file__).parents[3]
PROFILES = [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))]


def old_form(path: Path) -> str:
    """A file of today as it was written before: a list of all methods, and the lists that had to agree with it."""
    text = path.read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    lists = content["methods"]
    block = re.search(r"^methods:\n(  \w+: +\[.*\n)+", text, re.MULTILINE)
    assert block
    curricula = content["datasets"] if lists["curriculum"] else []
    text = text.replace(block[0], f"methods: {flow(full_names(lists))}\n")
    text = re.sub(r"^  layers: compared .*\n", "", text, flags=re.MULTILINE)
    text = text.replace(
        "\nstudent:\n", f"\nstudent:\n  methods: {flow(lists['student'])}    # `methods` without mpdistil\n"
    )
    text = text.replace("\ntakd: ", f"\nassisted:\n  methods: {flow(lists['assisted'])}     # takd, sftn\ntakd: ")
    more = {"datasets": curricula, "teaches": lists["meta_taught"], "multi_task": lists["multi_task"]}
    lines = "".join(f"  {key}: {flow(names)}    # of the old form\n" for key, names in more.items())
    return re.sub(r"(^mpdistil:\n  base: .*\n  preset: .*\n)", lambda found: found[1] + lines, text, flags=re.MULTILINE)


def flow(names: Iterable[str]) -> str:
    return f"[{', '.join(names)}]"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(old_form(ROOT / "params.yaml"), encoding="utf-8")
    return path


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.name)
def test_an_upgraded_profile_has_the_parameters_of_the_new_one_and_all_other_lines(
    profile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / profile.name
    before = old_form(profile)
    path.write_text(before, encoding="utf-8")
    assert main([str(path)]) == 2
    refused = capsys.readouterr().err
    assert main(["--upgrade", str(path)]) == 0
    assert load(path) == load(profile)
    after = path.read_text(encoding="utf-8")
    block = after.partition("\nmethods:\n")[2].partition("\nlaunch:")[0]
    assert all(f"      {line}\n" in refused for line in block.splitlines())
    gone = [line for line in before.splitlines() if line not in after.splitlines()]
    assert len(gone) == len(GONE) + 2  # `methods` and `assisted:`, too
    assert [line for line in after.splitlines() if line in before.splitlines()] == [
        line for line in before.splitlines() if line not in gone
    ]
    capsys.readouterr()
    assert main(["--upgrade", str(path)]) == 0
    assert "nothing to upgrade" in capsys.readouterr().out and path.read_text(encoding="utf-8") == after


def test_a_file_of_the_old_form_is_one_error_that_says_what_to_write(old: Path) -> None:
    with pytest.raises(UserError) as caught:
        load(old)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{old}: 1 error"
    assert [line.strip() for line in lines[2:8]] == [
        "methods:",
        "student:     [finetune, mse_kd]",
        "assisted:    []",
        "meta_taught: []",
        "multi_task:  []",
        "curriculum:  [mpdistil]",
    ]
    gone = ", ".join(GONE).replace("assisted.methods", "the section assisted")
    assert f"and remove {gone}" in lines[8] and f"`python -m config --upgrade {old}`" in lines[9]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (
            ("methods: [finetune, mse_kd, mpdistil]", "methods:  # all\n- finetune   # first\n- mse_kd\n- mpdistil"),
            "# first",
        ),
        (("assisted:\n  methods: []", "# by an assistant\nassisted: {methods: []}"), "# by an assistant"),
        (("assisted:\n  methods: []", "assisted:\n  # takd?\n  methods: []"), "# takd?"),
        (("benchmark: quickstart", '"benchmark": quickstart'), '"benchmark": quickstart'),
    ],
)
def test_comments_stay_in_whatever_style_a_list_was_written(old: Path, change: tuple[str, str], kept: str) -> None:
    text = old.read_text(encoding="utf-8")
    assert change[0] in text
    old.write_text(text.replace(*change), encoding="utf-8")
    assert main(["--upgrade", str(old)]) == 0
    assert load(old) == load(ROOT / "params.yaml")
    assert kept in old.read_text(encoding="utf-8")


def test_sections_on_one_line_and_their_line_ends_are_kept(old: Path) -> None:
    content = yaml.safe_load(old.read_text(encoding="utf-8"))
    rows = [
        f"{key}: {yaml.safe_dump(value, default_flow_style=True, width=10_000).splitlines()[0]}"
        for key, value in content.items()
    ]
    with old.open("w", encoding="utf-8", newline="") as file:
        file.write("".join(f"{row}\r\n" for row in rows))
    assert main(["--upgrade", str(old)]) == 0
    assert load(old) == load(ROOT / "params.yaml")
    assert old.read_bytes().count(b"\r\n") == old.read_bytes().count(b"\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("methods: [finetune, mse_kd, mpdistil]", "methods: [finetun, mse_kd]"), "'finetun' is no method; did you mean 'finetune'?"),
        (("  methods: [finetune, mse_kd] ", "  methods: [finetune] "), "student.methods is [finetune], but `methods` asks for"),
        (("  teaches: []", "  teaches: [kd]"), "mpdistil.teaches is [kd], but `methods` asks for [], each with _meta"),
        (("threads: 1 ", "threads: 0 "), "left as it is, because upgraded it would have errors"),
        (("methods: [finetune, mse_kd, mpdistil]", "methods: *all"), "not valid YAML"),
    ],
)  # fmt: skip
def test_a_file_that_can_not_be_upgraded_stays_as_it_is(
    old: Path, change: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = old.read_text(encoding="utf-8")
    assert change[0] in text
    old.write_text(text.replace(*change), encoding="utf-8")
    before = old.read_bytes()
    assert main(["--upgrade", str(old)]) == 2
    assert said in capsys.readouterr().err
    assert old.read_bytes() == before and [path.name for path in old.parent.iterdir()] == ["params.yaml"]


def test_a_list_behind_an_alias_is_refused(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = old.read_text(encoding="utf-8").replace(
        "datasets: [standing, payment, worth]\n", "datasets: &all [standing, payment, worth]\n", 1
    )
    old.write_text(re.sub(r"  datasets: \[standing, payment, worth\].*", "  datasets: *all", text), encoding="utf-8")
    assert main(["--upgrade", str(old)]) == 2
    assert "datasets is an alias (*); write its value out" in capsys.readouterr().err


def test_all_other_errors_are_found_at_once_and_a_misspelt_method_hides_no_advice(old: Path) -> None:
    text = old.read_text(encoding="utf-8").replace("[finetune, mse_kd, mpdistil]", "[finetune, mse_dk, mpdistil]", 1)
    old.write_text(text.replace("\nthreads: ", "\nthread: "), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load(old)
    said = str(caught.value)
    assert said.startswith(f"{old}: 3 errors\n") and "thread: unknown key; did you mean 'threads'?" in said
    assert "student:     [finetune, mse_kd]" in said and "'mse_dk' is no method; did you mean 'mse_kd'?" in said


def test_keys_that_stayed_behind_are_named_and_removed(old: Path) -> None:
    text = old.read_text(encoding="utf-8").replace(
        "list them in `methods`", "list them in `methods` and `student.methods`"
    )
    block = re.search(r"^methods:\n(  \w+: +\[.*\n)+", (ROOT / "params.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert block
    text = text.replace("methods: [finetune, mse_kd, mpdistil]\n", block[0], 1)
    old.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load(old)
    _, *lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines] == list(GONE)
    assert all(f"`python -m config --upgrade {old}` removes it" in line for line in lines)
    assert main(["--upgrade", str(old)]) == 0 and load(old) == load(ROOT / "params.yaml")
    assert "list them in `methods`. Missing keys" in old.read_text(encoding="utf-8")


def test_an_assisted_section_that_lost_its_list_is_to_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text(encoding="utf-8") + "assisted:\n", encoding="utf-8")
    with pytest.raises(UserError, match="1 error\n  assisted: stands under `methods` now; remove this section"):
        load(path)
