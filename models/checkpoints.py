"""Lookup of a checkpoint: folders first, then the Hub; validated before loading (no torch)."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from errors import UserError
from models.json_files import read_json

HUB_ID = re.compile(r"^[\w-][\w.-]*(/[\w-][\w.-]*)?$")
# Only weights in safetensors and what a tokenizer needs; other formats are not even downloaded.
FLOATS = ("F64", "F32", "F16", "BF16")
HUB_FILES = ["*.json", "model*.safetensors", "*.txt", "*.model"]


def resolve_checkpoint(name: str, search: Sequence[Path] = ()) -> Path | str:
    """The folder called `name`, else the name itself as a Hub id.

    A `name` like "org/model" is looked for in each folder of `search` as org/model and as model, and then
    as a path of its own. Raises UserError where it is neither a folder with a config.json nor could be a Hub id.
    """
    for folder in search:
        for candidate in (folder / name, folder / Path(name).name):
            if (candidate / "config.json").is_file():
                return candidate
    path = Path(name).expanduser()
    if (path / "config.json").is_file():
        return path
    looked = ", ".join(str(folder) for folder in search) or "none configured"
    if path.is_dir():
        raise UserError(f"{path}: no config.json in this folder; it is not a Hugging Face model folder")
    if not HUB_ID.match(name):
        raise UserError(f"model folder {name!r} does not exist (search folders: {looked})")
    return name


def incomplete_folders(name: str, search: Sequence[Path]) -> list[Path]:
    """Folders under the search folders with a checkpoint's name, but without a checkpoint."""
    places = dict.fromkeys(place for folder in search for place in (folder / name, folder / Path(name).name))
    return [place for place in places if place.is_dir() and not (place / "config.json").is_file()]


def fetch(name: str, search: Sequence[Path] = (), revision: str | None = None) -> Path:
    """The folder of a checkpoint, downloaded from the Hub at `revision` if no folder has it.

    Raises UserError if the Hub cannot be reached or does not have it.
    """
    found = resolve_checkpoint(name, search)
    return found if isinstance(found, Path) else _from_hub(found, search, revision)


def _from_hub(name: str, search: Sequence[Path], revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        folder = snapshot_download(
            name, revision=revision, allow_patterns=HUB_FILES, ignore_patterns=["*/*"], etag_timeout=5
        )
    # ConnectionError and LocalEntryNotFoundError are OSErrors, a malformed id is a ValueError.
    except (HfHubHTTPError, OSError, ValueError) as error:
        looked = ", ".join(str(path) for path in search) or "none configured"
        reason = str(error).strip().splitlines()[0].rstrip(".")
        lacking = incomplete_folders(name, search)
        nearly = f"; {lacking[0]} is there, but it has no config.json: copy all files of the model" if lacking else ""
        raise UserError(
            f"model {name!r} at revision {revision or 'main'} is in no search folder ({looked}{nearly}) and did "
            f"not come from the Hub ({reason}): name a folder that holds it, or add its parent to the search folders"
        ) from error
    return Path(folder)


def model_type_of(folder: Path) -> str:
    """`model_type` from a folder's config.json. Raises UserError if there is none."""
    model_type = read_json(folder / "config.json").get("model_type")
    if not isinstance(model_type, str):
        raise UserError(f"{folder / 'config.json'}: no model_type; it is not a Hugging Face model folder")
    return model_type


def depth_of(folder: Path) -> int:
    """Number of layers from a folder's config.json alone. Raises UserError if it is not given."""
    stored = read_json(folder / "config.json")
    for key in ("num_hidden_layers", "n_layers"):  # DistilBERT has the second
        if isinstance(stored.get(key), int):
            return int(str(stored[key]))
    raise UserError(f"{folder / 'config.json'}: it doesn't say how many layers the model has (num_hidden_layers)")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, each checked for completeness (header and length).

    Raises UserError for a missing, truncated or corrupt file, and for weights in another format.
    """
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file() and not single.is_file():  # transformers takes the single file where both are there
        shards = read_json(index).get("weight_map")
        names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
        if any(Path(name).name != name for name in names):
            raise UserError(f"{index}: names a file outside of its folder; its weights must lie beside it")
        files = [folder / name for name in names]
    else:
        files = [single]
    for file in files:
        _check_file(file)
    return files


def _check_file(file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        others = sorted(path.name for path in file.parent.glob("*.bin"))
        hint = f"; {', '.join(others)} is not read (pickle): convert it to safetensors" if others else ""
        raise UserError(f"{file}: missing; only weights in safetensors are read{hint}")
    try:
        with safe_open(file, framework="np") as tensors:
            types = {name: tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise UserError(f"{file}: corrupt or cut short ({error}); write or download it again") from error
    for name, kind in types.items():
        if name.endswith((".weight", ".bias")) and kind not in FLOATS:
            raise UserError(
                f"{file}: {name} holds numbers of type {kind}; quantised weights are not read, save them in float32 or a "
                f"16-bit float ({', '.join(FLOATS)})"
            )
