"""Two processes, launched for real, leave what one leaves: the same losses, actions and predictions, written once."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from plan import PAIR, REWARDS, steps

from seeds import named
from tasks.runtime.stage import SEEDED_AS

pytestmark = pytest.mark.xdist_group("processes")
CLOSE, TINY = 1e-5, 3e-6
"""Relative; absolute, for small differences of losses (`gain`) and small correlations."""
LOOSE = {"influence": 1e-4, "advantage": 1e-2}
"""Rounding adds up in the figures of single rows, and in small rewards that are divided by their spread."""
OWN = ("cpu_s", "peak_memory_mb", "latency_ms", "throughput")
# Counts of steps in which one number is below another: near-ties fall either way.
TIES = ("train_teacher_comes_nearer", "train_real_beats_pilot")
STEPS = {step.label: step for step in steps()}
CURRICULA = [f"curriculum-{PAIR}-{name}" for name in (*REWARDS, "episode", "options")]


def numbers(content: object, where: str = "") -> dict[str, float | str | None]:
    """Every leaf of a JSON value by its place, without what a run takes."""
    if isinstance(content, dict):
        kept = {key: value for key, value in content.items() if key not in OWN + TIES}
        return {place: leaf for key, value in kept.items() for place, leaf in numbers(value, f"{where}.{key}").items()}
    if isinstance(content, list):
        return {place: leaf for i, one in enumerate(content) for place, leaf in numbers(one, f"{where}[{i}]").items()}
    assert content is None or isinstance(content, str | int | float)
    return {where: content}


def results(folder: Path) -> dict[str, float | str | None]:
    """The leaves of all records of an output."""
    found = numbers(json.loads((folder / "metrics.json").read_text(encoding="utf-8")), "metrics")
    for file in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        found |= numbers(rows, file.name)
    return found


def apart(one: dict[str, float | str | None], two: dict[str, float | str | None]) -> dict[str, object]:
    """The leaves that are not the same; numbers may differ by 1e-5."""
    found: dict[str, object] = {}
    for place, value in one.items():
        other, loose = two[place], LOOSE.get(place.rpartition(".")[2])
        if isinstance(value, float) and isinstance(other, float | int):
            same = math.isclose(value, other, rel_tol=loose or CLOSE, abs_tol=loose or TINY)
        else:
            same = value == other
        if not same:
            found[place] = (value, other)
    return found


@pytest.mark.parametrize("label", STEPS)
def test_every_stage_has_the_losses_of_one_process(label: str, ran: Path) -> None:
    one, two = results(ran / "one" / label), results(ran / "two" / label)
    assert one.keys() == two.keys()
    assert apart(one, two) == {}


@pytest.mark.parametrize("label", [label for label, step in STEPS.items() if step.stage == "evaluate"])
def test_evaluation_counts_every_row_once(label: str, ran: Path) -> None:
    one, two = (pq.read_table(ran / which / label / "predictions.parquet").to_pydict() for which in ("one", "two"))
    rows = list(zip(two["set"], two["row_id"], strict=True))
    assert rows == list(zip(one["set"], one["row_id"], strict=True)) and len(set(rows)) == len(rows)
    np.testing.assert_allclose(two["student_logits"], one["student_logits"], rtol=CLOSE, atol=1e-5)


def test_there_were_two_processes_and_the_record_says_so(ran: Path) -> None:
    notes = [json.loads((ran / f"two-{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
    assert [one["world"] for one in notes] == [2, 2]
    record = json.loads((ran / "two" / f"teacher-{PAIR}" / "run.json").read_text(encoding="utf-8"))
    assert record["processes"] == 2


def test_only_the_first_process_writes(ran: Path) -> None:
    first, other = (json.loads((ran / f"two-{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1))
    assert first["written"] and other["written"] == []


def test_dropout_differs_between_the_processes(ran: Path) -> None:
    first, other = (json.loads((ran / f"two-{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1))
    for step in STEPS.values():
        trains = step.stage not in ("signals", "meta_teacher", "evaluate")  # those have no dropout, or the same rows
        purpose = "dropout" if trains else "start of the process"
        alone = named(named(1, SEEDED_AS.get(step.stage, step.stage), step.dataset, purpose))  # as start_all has it
        assert first["seeds"][step.label] == alone, step.label
        assert other["seeds"][step.label] == (named(alone, "process", 1) if trains else alone), step.label


def test_some_last_batch_has_fewer_rows_than_processes_or_an_odd_number(ran: Path) -> None:
    """Check that a process without rows of its own occurs in the comparison."""
    from data.tokens import open_split

    rows = len(open_split(ran / "outputs" / "split" / PAIR / "tokens", "train"))
    quiz = len(open_split(ran / "outputs" / "split" / PAIR / "tokens", "quiz"))
    assert rows % 8 % 2 == 1 and (rows % 8 == 1 or quiz % 5 == 1), (rows, quiz)


@pytest.mark.parametrize("label", CURRICULA)
def test_the_curriculum_takes_more_than_one_action(label: str, ran: Path) -> None:
    """Else the actions could not differ."""
    lines = (ran / "two" / label / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["action"] for line in lines}) > 1


def test_the_plan_has_every_stage_that_runs_a_network() -> None:
    root = Path(__file__).parents[2]
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    seeded = {name for name, own in stages.items() if "--seed" in own.get("cmd", "")}
    # `evaluate` stands for the stages that evaluate other families: one module, one command.
    assert {step.stage for step in STEPS.values()} == {name for name in seeded if (root / f"tasks/{name}.py").exists()}
