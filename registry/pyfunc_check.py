"""Verification of a downloaded version: nothing outside its folder, no pickle, no damaged file.

A registry is somebody's server. Its files are looked at here before any of them is opened by something that trusts it;
the one file of code that a version holds runs all the same when rows are scored, so registries must be trusted.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from checksums import digest_of, sum_of
from errors import UserError

CODE, STUDENT, SCORING, SUMS = "student_scorer.py", "student", "scoring.json", "sums.json"
PACKAGE = ("MLmodel", f"artifacts/{SCORING}", f"artifacts/{STUDENT}/config.json")
AGAIN = (
    "pull it again; if it is so in the registry, too, delete that version in MLflow: `python -m tasks.register`, where the "
    "student was made, then makes a new one"
)
LOADER = "mlflow.pyfunc.loaders.code_model"
"""MLflow's loader that runs a file of code; its other one unpickles."""


def missing_files(folder: Path) -> list[str]:
    """List the files of a pulled student that are missing in a folder."""
    return [name for name in PACKAGE if not (folder / name).is_file()]


def sums_of(names: Mapping[str, Path]) -> dict[str, str]:
    """sha256 by the name in the package (name -> file or folder): of single files, and of all files of a folder."""
    found: dict[str, str] = {}
    for name, path in names.items():
        for file in sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]:
            inner = f"{name}/{file.relative_to(path)}" if path.is_dir() else name
            found[inner] = sum_of(file)
    return found


def fingerprint(folder: Path) -> str:
    """One sha256 of all files of a pulled folder that a score depends on."""
    return digest_of(sums_of({"artifacts": folder / "artifacts", CODE: folder / CODE}))


def check_package(folder: Path, title: str) -> None:
    """Raise UserError, naming the file, for an unsafe or damaged download."""
    missing = missing_files(folder)
    if missing:
        raise UserError(f"{title} is not a student of distilflow: it lacks {', '.join(missing)}")
    root = folder.resolve()
    for path in folder.rglob("*"):
        if not path.resolve().is_relative_to(root):
            raise UserError(f"{title}: {path.relative_to(folder)} leads out of the folder; nothing of it is used")
    _check_loader(folder, title)
    _check_sums(folder, title)


def _check_loader(folder: Path, title: str) -> None:
    """Refuse MLflow loaders other than that of the one file of code: they unpickle, or import modules of the model."""
    try:
        flavors = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
        function = flavors["python_function"]
        loader, code = function["loader_module"], Path(str(function.get("model_code_path"))).name
        others = [key for key in ("python_model", "data", "code") if function.get(key) is not None]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{title}: MLmodel is damaged ({type(error).__name__}); {AGAIN}") from None
    if loader != LOADER or code != CODE or others:
        raise UserError(
            f"{title} is not a student of distilflow: MLmodel asks for {loader} with {', '.join([code, *others])}, and "
            f"only {LOADER} with {CODE} is loaded (no pickles)"
        )


def _check_sums(folder: Path, title: str) -> None:
    """Compare with artifacts/sums.json; a version registered without checksums passes."""
    file = folder / "artifacts" / SUMS
    if not file.is_file():
        return
    try:
        expected = dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise UserError(f"{title}: artifacts/{SUMS} is damaged; {AGAIN}") from None
    for name, own in expected.items():
        path = folder / str(name)
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{title}: artifacts/{SUMS} names {name!r}, which leads out of the folder")
        if not path.is_file() or sum_of(path) != own:
            raise UserError(f"{title}: {name} is damaged or missing; {AGAIN}")
