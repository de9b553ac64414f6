"""Loading of a dataset from the Hub at its pinned revision; an unreachable Hub is an error with the way out."""

import os
import sys
from itertools import chain
from pathlib import Path

from data.checks import RawTable
from data.problems import shown
from data.records import DatasetSpec, HubSource
from errors import UserError

READ_AT_ONCE = 4000
"""Rows."""
PROBE_SECONDS = 10.0
"""Timeout in seconds for the Hub's first answer. `datasets` itself would retry for half a minute or more."""


def load_from_hub(spec: DatasetSpec, hub: HubSource, cache: Path | None) -> list[RawTable]:
    """Load the raw rows of every split in the description; `test` may be absent.

    Raises UserError, within seconds where there is no network.
    """
    import datasets  # a second of imports, which no other source needs
    from datasets.exceptions import DatasetsError

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    local = Path(hub.path).is_dir()
    if not local:
        _probe(spec, hub)
    try:
        loaded = datasets.load_dataset(
            hub.path, hub.config, revision=None if local else hub.revision, cache_dir=str(cache) if cache else None
        )
    except (OSError, ValueError, DatasetsError) as error:
        raise UserError(_unreachable(spec, hub, error)) from error
    tables = []
    for split, theirs in hub.splits.items():
        if theirs in loaded:
            parts = (part.to_pylist() for part in loaded[theirs].with_format("arrow").iter(READ_AT_ONCE))
            rows = enumerate(chain.from_iterable(parts), start=1)
            tables.append(RawTable(f"{hub.path}/{hub.config or ''} {theirs}", split, rows))
        elif split != "test":
            raise UserError(
                f"dataset {spec.name}: {hub.path} has no split '{theirs}' (hub.splits.{split}); it has "
                f"{', '.join(map(str, loaded))}"
            )
    return tables


def _probe(spec: DatasetSpec, hub: HubSource) -> None:
    """Contact the Hub once, so that a missing network fails within seconds; in offline mode use the cache."""
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HTTPError

    if constants.HF_HUB_OFFLINE:
        return
    try:
        huggingface_hub.HfApi().dataset_info(hub.path, revision=hub.revision, timeout=PROBE_SECONDS)
    except (OSError, ValueError, HTTPError) as error:
        raise UserError(_unreachable(spec, hub, error)) from error


def _unreachable(spec: DatasetSpec, hub: HubSource, error: Exception) -> str:
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    cached = "unset HF_HUB_OFFLINE" if offline else "set HF_HUB_OFFLINE=1 if its cache holds the dataset already"
    return (
        f"dataset {spec.name}: cannot load {hub.path} (config {hub.config}, revision {hub.revision}) from the Hub: "
        f"{shown(str(error), 160)}. Either set source.folder to a folder that holds {spec.name}/train.jsonl and so "
        f"on, or add a folder with a copy of the Hub's repository to source.search, or set HF_ENDPOINT to a mirror, "
        f"or {cached}"
    )
