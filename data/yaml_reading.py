"""Reading of a description's YAML; errors name the dataset, the file and the line."""

from pathlib import Path

import yaml

from data.problems import shown
from errors import UserError
from strict_yaml import DescriptionLoader


def read_yaml(path: Path, dataset: str) -> object:
    """Parse the file. Raises UserError with file, line and the problem."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=DescriptionLoader)  # noqa: S506 - it is a safe loader
    except OSError as error:
        raise UserError(f"dataset {dataset}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"dataset {dataset}: {path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise UserError(f"dataset {dataset}: {path}, line {line}: {error.problem or 'not YAML'}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"dataset {dataset}: {path} is not YAML: {shown(str(error), 200)}") from error
