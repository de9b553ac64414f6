"""The bench: what it measures is what happened, and a missed target is told by name and by the exit status."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import bench, fixed_teacher_bench, gradients_bench
from benchmarks.measuring import Measurement, added_peak_bytes, cpu_seconds, row_of, table
from benchmarks.problem import Shape

SMALL = Shape(hidden=16, heads=2, teacher_layers=3, student_layers=2, vocabulary=50, batch=2, length=6)
KEYS = {"name", "value", "unit", "floor", "ratio", "target", "ok"}


def test_the_peak_is_what_tensors_took_at_once_and_not_in_sum() -> None:
    def step() -> None:
        for _ in range(3):
            first = torch.zeros(1000)
            second = torch.zeros(500)
            del first, second

    assert added_peak_bytes(step) == 4 * 1500


def test_what_lay_there_before_the_step_does_not_count() -> None:
    kept = torch.zeros(10_000)

    def step() -> None:
        kept.add_(1)
        torch.zeros(100)

    assert added_peak_bytes(step) == 400


def test_variants_take_turns_and_the_first_round_does_not_count() -> None:
    turns: list[str] = []
    found = cpu_seconds({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, 2)
    assert turns == ["a", "b"] * 3
    assert [len(times) for times in found.values()] == [2, 2]


def test_a_row_is_the_median_of_the_ratios_of_its_turns() -> None:
    row = row_of("step", "CPU s", [1.0, 2.0, 9.0], [2.0, 2.0, 3.0], 1.10)
    assert (row.value, row.floor, row.ratio, row.ok) == (2.0, 2.0, 1.0, True)
    assert row.spread == (0.5, 3.0)
    assert not row_of("step", "CPU s", [1.2], [1.0], 1.10).ok
    assert row_of("step", "CPU s", [9.0], [1.0], None).ok, "a row without a target is shown only"


def test_every_row_of_the_steps_names_its_target() -> None:
    rows = [*gradients_bench.measure(SMALL, 1), *fixed_teacher_bench.measure(SMALL, 1)]
    wanted = {
        "metadistil, 1 quiz batch, against double backward: time": 1.10,
        "metadistil, 1 quiz batch, against double backward: added memory": 0.85,
        "metadistil, 10 quiz batches, against double backward: time": 1.0,
        "metadistil, 10 quiz batches, against double backward: added memory": 0.5,
        "lgtm, against its finite difference as printed: time": 0.70,
        "lgtm, against its finite difference as printed: added memory": None,
        "lgtm, against its finite difference with a shared teacher pass: time": None,
        **{
            f"{name} on signals, against fine-tuning: time": 1.10
            for name in ("kd", "mse_kd", "pkd", "dist", "annealing_kd")
        },
    }
    assert {row.name: row.target for row in rows} == wanted
    assert all(row.value > 0 and row.floor > 0 for row in rows)


def test_metadistils_memory_hardly_grows_with_its_quiz_batches_and_double_backwards_does() -> None:
    # Long enough rows that a quiz batch's graph is larger than the student.
    shape = replace(SMALL, batch=4, length=32)
    one, ten = [gradients_bench.metadistil_rows(shape, count, 1)[1] for count in (1, 10)]
    assert ten.value < 1.2 * one.value
    assert ten.floor > 2 * one.floor


@pytest.mark.parametrize(("ratio", "status"), [(1.0, 0), (1.2, 1)])
def test_the_file_has_all_rows_and_a_missed_target_is_the_exit_status(
    ratio: float, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row_of("step: time", "CPU s", [ratio], [1.0], 1.10), row_of("shown", "MiB", [3.0], [1.0], None)]
    monkeypatch.setattr(bench, "measure", lambda *_: rows)
    output = tmp_path / "new" / "bench.json"
    assert bench.main(["--output", str(output)]) == status
    content = json.loads(output.read_text(encoding="utf-8"))
    assert [set(one) for one in content] == [KEYS, KEYS]
    assert content[0] == {
        **{"name": "step: time", "value": ratio, "unit": "CPU s", "floor": 1.0},
        **{"ratio": ratio, "target": 1.10, "ok": status == 0},
    }
    printed = capsys.readouterr().out
    assert ("MISSED" in printed) == bool(status)
    assert f"2 rows, {status} of 1 targets missed" in printed


def test_the_table_has_a_line_a_row() -> None:
    lines = table([Measurement("one", 1.0, "CPU s", 2.0, 0.5, None, ok=True)]).splitlines()
    assert lines[0].split()[:3] == ["name", "ours", "against"]
    assert lines[1].split() == ["one", "1.000", "2.000", "CPU", "s", "0.50", "0.50-0.50", "-"]
