"""The way out that a refused file's message names is one: after it the pipeline has the same bytes again."""

import os
import shutil

import pytest
from workspace import Workspace

pytestmark = pytest.mark.xdist_group("pipeline")


def test_deleting_a_damaged_output_and_dvc_repro_brings_it_back(pipeline: Workspace) -> None:
    dataset = pipeline.datasets[0]
    folder = pipeline.output("teacher", dataset, "42")
    file = folder / "model" / "model.safetensors"
    whole, times = file.read_bytes(), file.stat()
    file.chmod(0o644)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a disk that loses a bit leaves it
    refused = pipeline.stage("signals", "--dataset", dataset, "--seed", "42", check=False)
    assert refused.returncode == 2
    assert f"delete outputs/teacher/{dataset}/42 and run `dvc repro`" in refused.stdout
    shutil.rmtree(folder)
    pipeline.dvc("repro", f"signals@{dataset}-42")
    assert file.read_bytes() == whole
    assert pipeline.stage("signals", "--dataset", dataset, "--seed", "42").returncode == 0
