"""The decoy experiment: its rows, its points, and its table."""

import gzip
import json
from pathlib import Path

import pytest
from made_up_pipeline import MadeUpPipeline

from data.description import load_spec
from data.sources import read_rows as read_source
from errors import UserError
from experiments import grid
from experiments.decoy_rows import DECOY, DecoyRows
from experiments.result_rows import read_rows

SIZES = {"rte": 100, "mnli": 40, "qnli": 30, "mrpc": 30, "stsb": 30, "sst2": 90}
DATASETS = ["rte", "mnli", "qnli", "mrpc", "stsb", "sst2", DECOY]


@pytest.fixture
def glue(tmp_path: Path) -> Path:
    """Small files as GLUE's: texts that name their dataset and row."""
    folder = tmp_path / "glue"
    for name, size in SIZES.items():
        spec = load_spec(None, "glue", name)
        (folder / name).mkdir(parents=True)
        for split, rows in (("train", size), ("validation_matched" if name == "mnli" else "validation", 12)):
            lines = []
            for row in range(rows):
                texts = {field: f"{name} {split} {row} {field}" for field in spec.render["text"]}
                label = row % 6 / 2 if name == "stsb" else row % len(spec.label_names)
                lines.append(json.dumps({**texts, "label": label, "idx": row}))
            content = "".join(f"{line}\n" for line in lines).encode()
            if name == "sst2" and split == "train":
                (folder / name / f"{split}.jsonl.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name / f"{split}.jsonl").write_bytes(content)
    return folder


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_share_of_the_target_is_part_of_a_larger_one_and_all_else_is_the_same(glue: Path, tmp_path: Path) -> None:
    rows = DecoyRows(glue, "rte", most=25)
    for share in (0.1, 0.5):
        rows.write(tmp_path / f"{share}", share)
    few, many = (lines(tmp_path / share / "rte/train.jsonl") for share in ("0.1", "0.5"))
    assert (len(few), len(many)) == (10, 50) and all(row in many for row in few)
    for name in DATASETS:
        assert len(lines(tmp_path / "0.1" / name / "dev.jsonl")) == 12
        if name != "rte":
            first, second = (lines(tmp_path / share / name / "train.jsonl") for share in ("0.1", "0.5"))
            assert first == second and len(first) == 25
        spec = load_spec(tmp_path / "0.1", "glue", name)
        assert len(read_source(spec, tmp_path / "0.1").rows["train"]) == (10 if name == "rte" else 25)


def test_the_decoy_has_other_rows_than_sst2_and_its_labels_shuffled(glue: Path, tmp_path: Path) -> None:
    DecoyRows(glue, "rte", most=25).write(tmp_path / "rows", 1.0)
    own, decoy = (lines(tmp_path / "rows" / name / "train.jsonl") for name in ("sst2", DECOY))
    assert not {row["sentence"] for row in own} & {row["sentence"] for row in decoy}
    true = {f"sst2 train {row} sentence": row % 2 for row in range(SIZES["sst2"])}
    assert all(row["label"] == true[row["sentence"]] for row in own)
    wrong = sum(row["label"] != true[row["sentence"]] for row in decoy)
    assert 5 <= wrong <= 20
    assert sum(row["label"] for row in decoy) == sum(true[row["sentence"]] for row in decoy)


def test_a_folder_without_rows_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="rte has no rows there"):
        DecoyRows(tmp_path, "rte").write(tmp_path / "rows", 1.0)
    assert not (tmp_path / "rows").exists()


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUpPipeline:
    made_up = MadeUpPipeline(Path("profiles/superglue-minilm.yaml"), folder=tmp_path / "tree")
    monkeypatch.setattr(grid, "Pipeline", lambda profile, assignments: made_up)
    return made_up


def test_every_share_and_cell_is_a_row_and_the_table_has_shares_rewards_and_intervals(
    glue: Path, tmp_path: Path, pipeline: MadeUpPipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["profiles/superglue-minilm.yaml", str(tmp_path / "runs.jsonl"), "--work", str(tmp_path / "work")]
    asked = ["--decoy", str(glue), "--shares", "0.1", "1", "--datasets", "rte", "--seeds", "42", "43"]
    assert grid.main([*places, *asked]) == 0
    rows = read_rows(tmp_path / "runs.jsonl")
    assert len(rows) == len(pipeline.asked) == 2 * 4 * 2
    assert {json.loads(row.budget)["target_share"] for row in rows} == {0.1, 1.0}
    assert all(row.mean_reward and row.late_share for row in rows)
    values, targets = pipeline.asked[0]
    assert values["datasets"] == DATASETS and values["benchmark"] == "glue"
    assert (Path(str(values["source.folder"])) / "decoy/train.jsonl").is_file()
    assert "evaluate_curriculum@rte-mpdistil-42" in targets
    output = capsys.readouterr().out
    assert "### rte with 10 % of its rows" in output and "### rte with 100 % of its rows" in output
    (gain,) = {line for line in output.splitlines() if line.startswith("| policy (gain)")}
    # Made-up outputs are the same in every cell of a seed.
    assert gain.count("+0.0 [") == 2 and "| 2 |" in gain
    assert grid.main([*places, *asked]) == 0
    assert len(pipeline.asked) == 16


def test_it_has_one_target_and_shares_of_it(glue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given, message in (
        (("--datasets", "rte", "mrpc"), "has one target"),
        (("--datasets", "rte", "--shares", "2"), "each is above 0"),
    ):
        with pytest.raises(SystemExit):
            grid.main(["profiles/superglue-minilm.yaml", "runs.jsonl", "--seeds", "1", "--decoy", str(glue), *given])
        assert message in capsys.readouterr().err
