"""A run of the flow from the environment of a git hook, behind a proxy, under a service's user, after another job."""

import pytest
from prefect_server import flows_process
from tiny_pipeline import TinyPipeline

pytestmark = pytest.mark.xdist_group("prefect")
NOBODY = "http://127.0.0.1:9"
LEFT_BEHIND = {
    "HTTP_PROXY": NOBODY,
    "http_proxy": NOBODY,
    "ALL_PROXY": "socks5://127.0.0.1:1080",
    "GIT_DIR": "/nowhere",
    "GIT_INDEX_FILE": "/nowhere/index",
    "WORLD_SIZE": "2",
    "RANK": "1",
    "PYTHONIOENCODING": "utf-16",
    "SHELL": "/bin/false",
}


def test_a_run_ends_as_it_does_anywhere(sources: TinyPipeline, server: str) -> None:
    # As the stages of this repository print their lines, and a stage's own environment must be clean, too.
    sources.script("source", "mkdir -p outputs/source; env > outputs/source/$2; echo rows of $2, ± 1")
    environment = {"PREFECT_API_URL": server, **LEFT_BEHIND}
    with flows_process(sources, "run", "--datasets", "north", environment=environment) as process:
        said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert "1 stage: 1 ran" in said
    assert "± 1" in said
    of_the_stage = dict(line.split("=", 1) for line in sources.output("source", "north").read_text().splitlines())
    assert not {"GIT_DIR", "WORLD_SIZE", "RANK", "ALL_PROXY", "PYTHONIOENCODING"} & set(of_the_stage)
    assert of_the_stage["HTTP_PROXY"] == NOBODY, "what lies elsewhere is still asked through the proxy"
    assert "127.0.0.1" in of_the_stage["NO_PROXY"].split(",")
    assert of_the_stage["SHELL"] == "/bin/sh"


def test_what_every_stage_would_refuse_is_refused_at_once(sources: TinyPipeline) -> None:
    environment = {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "8", "PREFECT_API_URL": ""}
    with flows_process(sources, "run", environment=environment) as process:
        said, _ = process.communicate(timeout=120)
    assert (process.returncode, len(said.splitlines())) == (2, 1)
    assert said.startswith("python -m flows run: ACCELERATE_GRADIENT_ACCUMULATION_STEPS=8")
