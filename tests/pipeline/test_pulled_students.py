"""Students of all four kinds, registered and used where this repository is not: their answers are the pipeline's."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import yaml
from bare_environment import Environment, answers_of, make_environment
from made_students import empty_registry, register_student, softmax
from served_student import post, served
from stages import ROOT, run_main_job, write_params

from data.records import DatasetSpec
from registry import pull

pytestmark = pytest.mark.xdist_group("pulled")
KINDS = {"standing": "single", "payment": "pair", "worth": "regression", "bargain": "choice"}
ONE_PREMISE = "models:/quickstart-payment-finetune/1"
PULLED = "a choice"


@dataclass(frozen=True)
class Dev:
    """The dev rows of one dataset, raw, and what its evaluate stage wrote of them."""

    spec: DatasetSpec
    rows: list[dict[str, object]]
    logits: np.ndarray

    def check(self, answers: dict[str, list]) -> None:
        """Compare answers, column by column, with the stage's predictions."""
        names = self.spec.label_names
        assert len(answers["label"]) == len(self.rows) == 60
        if self.spec.kind == "regression":
            assert list(answers) == ["label", "score", "truncated"]
            assert answers["label"] == answers["score"] == pytest.approx(self.logits[:, 0], abs=1e-5)
            return
        assert list(answers) == ["label", "score", *(f"probability_{name}" for name in names), "truncated"]
        wanted = softmax(self.logits)
        for k, name in enumerate(names):
            assert answers[f"probability_{name}"] == pytest.approx(wanted[:, k], abs=1e-5)
        assert answers["score"] == pytest.approx(wanted.max(axis=1), abs=1e-5)
        assert answers["label"] == [names[best] for best in wanted.argmax(axis=1)]


@dataclass(frozen=True)
class Registered:
    """The output of one run of the pipeline: a registry, and the dev rows of each dataset."""

    address: str
    dev: dict[str, Dev]

    def model(self, dataset: str) -> str:
        return f"models:/quickstart-{dataset}-finetune@champion"


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Registered:
    """Every stage up to `evaluate` for a dataset of each kind, its student then registered as champion."""
    folder = tmp_path_factory.mktemp("run")
    for name in KINDS:
        path = folder / "catalog" / name / "dataset.yaml"
        path.parent.mkdir(parents=True)
        content = yaml.safe_load((ROOT / "data/catalog/quickstart" / name / "dataset.yaml").read_text(encoding="utf-8"))
        content["generate"] |= {"train_rows": 320, "dev_rows": 60}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
    write_params(
        folder,
        datasets=list(KINDS),
        methods=["finetune"],
        source={"folder": "catalog"},
        split={"selection_minimum": 32},
        teacher={"epochs": 1},
        student={"epochs": 10, "learning_rate": 3e-3},
        evaluate={"latency_repeats": 3},
    )
    run_main_job(folder, list(KINDS), ["finetune"], [42])
    with pytest.MonkeyPatch.context() as patch:
        address = empty_registry(folder / "registry")
        patch.setenv("MLFLOW_TRACKING_URI", address)
        for name in KINDS:
            student, tokens = (
                folder / f"outputs/student/{name}/finetune/42/model",
                folder / f"outputs/split/{name}/tokens",
            )
            model = f"quickstart-{name}-finetune"
            register_student(model, student, tokens, folder / "registry/artifacts", aliases=["champion"])
    return Registered(address, {name: _dev(folder / "outputs", name) for name in KINDS})


def _dev(outputs: Path, name: str) -> Dev:
    stored = json.loads((outputs / f"split/{name}/tokens/spec.json").read_text(encoding="utf-8"))
    spec = DatasetSpec.from_json(stored)
    raw = {
        row["distilflow_id"]: row for row in parquet.read_table(outputs / f"source/{name}/rows/dev.parquet").to_pylist()
    }
    predicted = parquet.read_table(outputs / f"evaluate/{name}/finetune/42/predictions.parquet").to_pylist()
    dev = [row for row in predicted if row["set"] == "dev"]
    rows = [{column: raw[row["row_id"]][column] for column in spec.columns} for row in dev]
    return Dev(spec, rows, np.array([row["student_logits"] for row in dev]))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment without this repository and without most of its packages."""
    return make_environment(tmp_path_factory.mktemp("bare") / "environment")


@pytest.fixture(scope="module")
def answers(registered: Registered, bare: Environment) -> dict[str, dict[str, list]]:
    """Let a bare process answer all dev rows, also by a pulled folder, and the pair's with one premise for all."""
    rows = {registered.model(name): dev.rows for name, dev in registered.dev.items()}
    pairs = registered.dev["payment"].rows
    rows[ONE_PREMISE] = [{**row, "premise": pairs[0]["premise"]} for row in pairs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", registered.address)
        assert pull.main([registered.model("bargain"), "--to", str(bare.folder / PULLED)]) == 0
    rows[PULLED] = registered.dev["bargain"].rows
    return answers_of(bare, registered.address, rows)


def test_students_of_all_kinds_answer_as_their_stages_did_where_nothing_else_is_installed(
    registered: Registered, answers: dict[str, dict[str, list]]
) -> None:
    assert {name: dev.spec.kind for name, dev in registered.dev.items()} == KINDS
    for name, dev in registered.dev.items():
        # Two thousand times what an answer may be off by.
        assert dev.logits.std(axis=0).min() > 0.02, "rows much alike: the test could not fail"
        dev.check(answers[registered.model(name)])


def test_so_does_one_in_a_pulled_folder(registered: Registered, answers: dict[str, dict[str, list]]) -> None:
    registered.dev["bargain"].check(answers[PULLED])


def test_the_second_text_of_a_pair_decides(registered: Registered, answers: dict[str, dict[str, list]]) -> None:
    found = answers[ONE_PREMISE]["probability_entailment"]
    assert found[0] == pytest.approx(answers[registered.model("payment")]["probability_entailment"][0], abs=1e-6)
    assert np.std(found) > 0.01


@pytest.mark.parametrize("dataset", [
    name if name == "payment" else pytest.param(name, marks=pytest.mark.slow) for name in KINDS
])  # fmt: skip
def test_served_over_rest_they_answer_the_same_and_refuse_in_words(
    dataset: str, registered: Registered, bare: Environment
) -> None:
    dev, column = registered.dev[dataset], registered.dev[dataset].spec.columns[-1]
    variables = bare.variables | {"MLFLOW_TRACKING_URI": registered.address}
    with served(registered.model(dataset), bare.folder, variables) as address:
        status, answer = post(address, {"dataframe_records": [{"other": 3, **row} for row in dev.rows]})
        assert status == 200
        dev.check({name: [row[name] for row in answer["predictions"]] for name in answer["predictions"][0]})
        columns = list(reversed(dev.spec.columns))
        table = {"columns": columns, "data": [[row[name] for name in columns] for row in dev.rows]}
        assert post(address, {"dataframe_split": table, "params": {"batch_size": 7}})[0] == 200
        assert post(address, {"dataframe_split": {"columns": columns, "data": []}}) == (200, {"predictions": []})
        lacking = [{name: value for name, value in row.items() if name != column} for row in dev.rows]
        status, error = post(address, {"dataframe_records": [{"other": 3, **row} for row in lacking]})
        assert (status, error["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert f"missing inputs ['{column}']" in error["message"]
        status, error = post(address, {"dataframe_records": [dev.rows[0], {**dev.rows[1], column: None}]})
        assert status == 400
        assert error["message"].endswith(f"row 2 (index 1): field '{column}' is missing (null)")
