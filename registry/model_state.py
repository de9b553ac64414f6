"""Snapshot of the registry: registered models with their versions, aliases and tags."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from registry import names

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.store.entities import PagedList

Found = TypeVar("Found")


@dataclass(frozen=True)
class StoredVersion:
    """One version of a registered model."""

    number: int
    run_id: str
    tags: Mapping[str, str]
    description: str = ""

    @classmethod
    def of(cls, version: "ModelVersion") -> "StoredVersion":
        """A version as MLflow gives it."""
        return cls(int(version.version), version.run_id or "", version.tags, version.description or "")

    @property
    def lost(self) -> bool:
        """True if its files are missing."""
        return names.LOST in self.tags

    @property
    def first_number(self) -> int:
        """The number of the student's first version."""
        return int(self.tags.get(names.REPLACES, self.number))


@dataclass(frozen=True)
class ModelState:
    """Snapshot of a registered model; without versions if the name is unknown."""

    name: str
    versions: Mapping[int, StoredVersion] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def holds(self, key: str) -> StoredVersion | None:
        """The version of a student, with its files; the lowest number if there are two."""
        return next((version for version in self._of(key) if not version.lost), None)

    def lost(self, key: str) -> StoredVersion | None:
        """The newest version of a student whose files are missing."""
        return next((version for version in reversed(self._of(key)) if version.lost), None)

    def _of(self, key: str) -> list[StoredVersion]:
        return [version for _, version in sorted(self.versions.items()) if version.tags.get(names.KEY) == key]

    @property
    def newest(self) -> int:
        """The highest version number; 0 without versions."""
        return max(self.versions, default=0)


def read_model_states(client: "MlflowClient", like: str, wanted: Sequence[str]) -> dict[str, ModelState]:
    """The registered models of the names wanted, by two searches for names that fit `like`."""
    fitting = {"filter_string": f"name LIKE '{like}'"}
    models = {model.name: model for model in pages(client.search_registered_models, **fitting)}
    found: dict[str, dict[int, StoredVersion]] = {}
    for version in pages(client.search_model_versions, **fitting):
        own = StoredVersion.of(version)
        found.setdefault(version.name, {})[own.number] = own
    return {
        name: ModelState(
            name,
            found.get(name, {}),
            {alias: int(number) for alias, number in models[name].aliases.items()},
            models[name].tags,
        )
        if name in models
        else ModelState(name)
        for name in wanted
    }


def pages(search: "Callable[..., PagedList[Found]]", **fitting: str) -> "Iterator[Found]":
    """Every result of a search, page by page."""
    token: str | None = None
    while True:
        page = search(**fitting, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
