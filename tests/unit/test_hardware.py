"""The files of hardware/ are accelerate's, and `python -m hardware` names them."""

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

from hardware.__main__ import FOLDER, main

FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_accelerate_reads_every_file_and_its_first_lines_say_how_it_is_used(file: Path) -> None:
    assert load_config_from_file(str(file)).num_processes >= 1
    comment = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert any(file.stem in line for line in comment)
    assert (comment[0].lower().count("untested") == 1) is (file.stem not in ("cpu", "cpu_2", "fsdp_cpu_2"))


@pytest.mark.parametrize("file", [file for file in FILES if file.stem not in ("cpu", "gpu", "machines")], ids=str)
def test_several_processes_of_one_machine_ask_for_a_free_port(file: Path) -> None:
    assert load_config_from_file(str(file)).main_process_port == 0


@pytest.mark.parametrize("arguments", [[], ["cpu"], ["cpu_3", "tasks.teacher"]])
def test_a_name_that_is_no_file_is_answered_with_those_that_are(arguments: list[str], capsys) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "cpu, cpu_2, fsdp, fsdp_cpu_2, gpu, machines, multi_gpu" in said
