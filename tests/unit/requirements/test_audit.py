"""`make audit` never says that all is fine about what it could not ask."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from stages import ROOT

SCRIPT = ROOT / "requirements" / "audit.py"
BAD = {"name": "Jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.8.1"]}]}
FINE = {"name": "torch", "version": "2.13.0", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.13.0)"}


def run(folder: Path, said: str, status: int = 0, stderr: str = "") -> subprocess.CompletedProcess[str]:
    """Audit a small lock with a program that answers in pip-audit's place."""
    copy = folder / "audit.py"
    copy.write_text(SCRIPT.read_text())
    (folder / "requirements.in").write_text("torch==2.13.0\njinja2\n")
    (folder / "requirements.lock").write_text("# a comment\njinja2==2.4.1 \\\n    --hash=sha256:00\n    # via x\n")
    program = folder / "pip-audit"
    words = [shlex.quote(word) for word in (said, stderr)]
    program.write_text(
        f"#!/bin/sh\nprintf '%s\\n' {words[0]}\nprintf '%s\\n' {words[1]} >&2\nexit {status}\n", encoding="utf-8"
    )
    program.chmod(0o755)
    return subprocess.run(
        [sys.executable, str(copy), str(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=dict(os.environ),
    )


def answer(*dependencies: object) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_all_asked_and_nothing_found_is_fine(tmp_path: Path) -> None:
    done = run(tmp_path, answer(FINE, {**BAD, "vulns": []}))
    assert (done.returncode, done.stdout) == (0, "audit: 2 packages, no known vulnerability\n")


def test_a_finding_is_a_line_with_the_version_that_mends_it(tmp_path: Path) -> None:
    done = run(tmp_path, answer(FINE, BAD), status=1)
    assert done.returncode == 1
    assert "Jinja2 2.4.1: PYSEC-1, fixed in 2.8.1\n" in done.stdout


@pytest.mark.parametrize(
    ("said", "status", "stderr", "count"),
    [
        (answer(SKIPPED, {**BAD, "vulns": []}), 0, "No known vulnerabilities found", 1),
        ("", 1, "ConnectionError: Failed to resolve 'pypi.org'", 2),
        ("{", 0, "", 2),
        (answer(), 0, "No known vulnerabilities found", 2),
    ],
)
def test_what_could_not_be_asked_is_never_called_fine(
    tmp_path: Path, said: str, status: int, stderr: str, count: int
) -> None:
    done = run(tmp_path, said, status, stderr)
    assert done.returncode == 3
    assert f"could not ask about {count} of 2 packages" in done.stderr
    assert "no known" not in done.stdout
    assert stderr.startswith("No known") or stderr in done.stderr


def test_a_finding_counts_though_others_could_not_be_asked(tmp_path: Path) -> None:
    done = run(tmp_path, answer(SKIPPED, BAD))
    assert done.returncode == 1
    assert "could not ask about 1 of 2" in done.stderr


def test_without_the_program_it_could_not_ask() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "/nowhere/pip-audit"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "No such file" in done.stderr and ": accelerate, " in done.stderr
