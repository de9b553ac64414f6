"""docs/use-a-student.md: every block of code in it is run, in its order, and the ways that it shows agree."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from bare_environment import Environment, answers_of
from made_students import KINDS, empty_registry, made_rows, make_student, pipeline_logits, register_student, softmax
from served_student import free_port
from source_imports import ROOT

from registry.pyfunc_model import requirements

PAGE = ROOT / "docs" / "use-a-student.md"
BLOCK = re.compile(r"(?:<!-- (?P<mark>\w+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)```", re.DOTALL)
ADDRESS, PORT = "http://127.0.0.1:5000", "5001"
NAME = "quickstart-payment-mpdistil"
LABELS = ["entailment", "contradiction", "neutral"]
SERVER = """
{code} > serve.log 2>&1 &
trap "kill $! || true" EXIT
for _ in $(seq 300); do curl -s -o ping {address}/ping && break; sleep 0.4; done
"""


@dataclass(frozen=True)
class Block:
    """A block of code: what the comment above it says of it, its language, its text."""

    mark: str
    language: str
    code: str

    def script(self, address: str, port: int) -> str:
        """The block as lines for bash, with an address and a port of the test's own."""
        code = self.code.replace(ADDRESS, address).replace(PORT, str(port)).rstrip()
        if self.language == "python":
            return f"python - <<'END'\n{code}\nEND"
        return SERVER.format(code=code, address=f"http://127.0.0.1:{port}") if self.mark == "server" else code


BLOCKS = [
    Block(match["mark"] or "", match["language"], match["code"]) for match in BLOCK.finditer(PAGE.read_text("utf-8"))
]
INSTALL = next(block for block in BLOCKS if block.mark == "install")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a registry whose champion is a pair's student with random weights."""
    folder = tmp_path_factory.mktemp("registry")
    description = {"kind": "pair", "text": ["premise", "hypothesis"], "labels": LABELS}
    made = make_student(folder / "student", description)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", empty_registry(folder))
        register_student(NAME, made.student, made.tokens, folder / "artifacts", aliases=["champion"])
        return os.environ["MLFLOW_TRACKING_URI"]


def run_blocks(blocks: list[Block], environment: Environment, registry: str, **extra: str) -> str:
    """Run the blocks as one script, which stops at the first that fails; what they print."""
    port = free_port()
    script = "\n".join(["set -eu", *(block.script(registry, port) for block in blocks)])
    return environment.run("bash", "-c", script, **extra).stdout


def check_ways(output: str) -> list[float]:
    """Check that the ways which were shown say the same of the same pair; its probabilities."""
    row = next(line for line in output.splitlines() if line.startswith("row-1"))
    by_mlflow = [float(value) for value in row.split()[3:-1]]  # truncated is the last
    by_hand = next(json.loads(line.replace("'", '"')) for line in output.splitlines() if line.startswith("{'"))
    answer = next(json.loads(part)["predictions"] for part in re.findall(r'\{"predictions".*?\]\}', output))
    assert list(by_hand) == LABELS
    assert list(by_hand.values()) == pytest.approx(by_mlflow, abs=2e-6)
    assert [answer[0][f"probability_{name}"] for name in LABELS] == pytest.approx(by_mlflow, abs=2e-6)
    assert sum(by_mlflow) == pytest.approx(1, abs=2e-6)
    return by_mlflow


def test_the_page_installs_the_versions_that_students_are_logged_with() -> None:
    assert INSTALL.code.split()[2:] == requirements()


def test_the_python_on_the_page_is_python() -> None:
    for block in BLOCKS:
        if block.language == "python":
            compile(block.code, str(PAGE), "exec")


@pytest.mark.slow
def test_every_block_but_the_installation_runs_and_all_ways_agree(registry: str, tmp_path: Path) -> None:
    assert {block.language for block in BLOCKS} == {"sh", "python"}
    environment = Environment(Path(sys.prefix), tmp_path)
    output = run_blocks([block for block in BLOCKS if block != INSTALL], environment, registry, PYTHONPATH=str(ROOT))
    probabilities = check_ways(output)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["payment-download", "payment-student"]
    scored = output.strip().splitlines()[-1].split(",")
    assert [float(value) for value in scored[-4:-1]] == pytest.approx(probabilities, abs=2e-6)


@pytest.mark.slow
def test_where_only_the_installation_was_made_the_ways_that_need_no_checkout_work(
    registry: str, tmp_path: Path
) -> None:
    """A real environment, filled by pip; its versions are those of the lock file."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "real"], check=True)
    (tmp_path / "work").mkdir()
    environment = Environment(tmp_path / "real", tmp_path / "work")
    lock = (ROOT / "requirements" / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+==[\w.]+)", lock, re.MULTILINE)
    (tmp_path / "constraints.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")
    outside = [block for block in BLOCKS if "-m flows" not in block.code]
    # Without a checkout, what `pull` would have made is what MLflow's own command downloads.
    moved = [
        Block(block.mark, block.language, block.code.replace("payment-student", "payment-download"))
        for block in outside
    ]
    output = run_blocks(
        moved, environment, registry, PIP_CONSTRAINT=str(tmp_path / "constraints.txt"), HF_HUB_OFFLINE="1"
    )
    check_ways(output)
    check_kinds(environment, registry, tmp_path)


def check_kinds(environment: Environment, registry: str, folder: Path) -> None:
    """Check that a student of each kind, in the environment, answers what the pipeline's own code predicts."""
    made = {kind: make_student(folder / kind, description) for kind, description in KINDS.items()}
    rows = {kind: made_rows(one.spec, 40) for kind, one in made.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", registry)
        for kind, one in made.items():
            register_student(kind, one.student, one.tokens, folder / "artifacts", aliases=["champion"])
    answers = answers_of(environment, registry, {f"models:/{kind}@champion": rows[kind] for kind in KINDS})
    for kind, one in made.items():
        logits, found = pipeline_logits(one, rows[kind], folder), answers[f"models:/{kind}@champion"]
        if kind == "regression":
            assert found["score"] == pytest.approx(logits[:, 0], abs=1e-5)
        for k, name in enumerate(one.spec.label_names):
            assert found[f"probability_{name}"] == pytest.approx(softmax(logits)[:, k], abs=1e-5)
