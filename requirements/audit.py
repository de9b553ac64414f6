"""Audit of every version pinned in requirements.lock by pip-audit. Standard library only.

    python requirements/audit.py PIP_AUDIT        (what `make audit` runs)

Exit status: 0 where every version was asked about and none is known to be vulnerable; 1 with a line for each finding; 3
where not everything could be asked about. pip-audit itself says "No known vulnerabilities found" of versions that the
index did not answer for.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

HERE = Path(__file__).parent
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
FOUND, NOT_ASKED = 1, 3
PATIENCE = 900
OPTIONS = ("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off")


class Vulnerability(TypedDict):
    """One advisory."""

    id: str
    fix_versions: list[str]


class Dependency(TypedDict, total=False):
    """The findings of pip-audit for one package."""

    name: str
    version: str
    skip_reason: str
    vulns: list[Vulnerability]


def main(arguments: Sequence[str]) -> int:
    """Run the audit, print the findings, and return the exit status."""
    pins = pinned()
    answer, problem = ask(Path(arguments[0]), pins)
    findings, silent = summary(answer, pins)
    for line in findings:
        print(line)
    if silent:
        reason = f" ({problem})" if problem else ""
        some = ", ".join(silent[:5]) + (", ..." if len(silent) > 5 else "")
        print(f"audit: could not ask about {len(silent)} of {len(pins)} packages{reason}: {some}", file=sys.stderr)
        print("audit: nothing is said of those; run it again where https://pypi.org answers", file=sys.stderr)
    if findings:
        print(f"audit: {len(findings)} known vulnerabilities in {len(pins)} packages")
        return FOUND
    if silent:
        return NOT_ASKED
    print(f"audit: {len(pins)} packages, no known vulnerability")
    return 0


def pinned(folder: Path = HERE) -> dict[str, str]:
    """Package -> version in the lock, and of torch, which the lock leaves to the machine."""
    lock = dict(PIN.findall((folder / "requirements.lock").read_text(encoding="utf-8")))
    wanted = dict(PIN.findall((folder / "requirements.in").read_text(encoding="utf-8")))
    return {**lock, "torch": wanted["torch"]}


def ask(program: Path, pins: dict[str, str]) -> tuple[list[Dependency], str]:
    """(pip-audit's findings per package, the reason if there are none): one of them is empty."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{name}=={version}\n" for name, version in pins.items()))
        file.flush()
        try:
            done = subprocess.run(
                [str(program), "-r", file.name, *OPTIONS], capture_output=True, text=True, timeout=PATIENCE
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return [], str(error)
    try:
        return json.loads(done.stdout)["dependencies"], ""
    except (ValueError, KeyError, TypeError):
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["pip-audit said nothing"]
        return [], lines[-1].strip()[:200]


def summary(answer: Sequence[Dependency], pins: dict[str, str]) -> tuple[list[str], list[str]]:
    """(One line per vulnerability, packages that were not audited)."""
    findings: list[str] = []
    silent = {normal(name): name for name in pins}
    for one in answer:
        if "skip_reason" in one:
            continue
        silent.pop(normal(one["name"]), None)
        for found in one.get("vulns", []):
            fixed = ", ".join(found["fix_versions"]) or "no version yet"
            findings.append(f"{one['name']} {one['version']}: {found['id']}, fixed in {fixed}")
    return findings, list(silent.values())


def normal(name: str) -> str:
    """A package's normalised name."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
