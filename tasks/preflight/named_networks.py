"""Checks of the networks named in a params file: whether they can be built, and compared by its methods; no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from config.methods import row_of
from data.records import DatasetSpec
from errors import UserError
from models.checkpoints import depth_of, model_type_of, resolve_checkpoint, weight_files
from models.families import Family, check_head_sizes, family_named
from models.json_files import read_json
from models.label_map import check_labels
from models.layer_choice import check_branch_depths, choose_layers
from tasks.student_training.layer_pairs import check_heads, layer_pairs

if TYPE_CHECKING:
    from config.parameters import Parameters

EMBEDDED = "quickstart"
DEPTH, HEADS = "num_hidden_layers", "num_attention_heads"
Config = dict[str, int | float | str | bool]


@dataclass(frozen=True)
class Network:
    """Known facts about a network that is not built yet; None: unknown."""

    family: Family | None = None
    layers: int | None = None
    heads: int | None = None
    longest: int | None = None
    """Maximum tokens of an input."""


def refused(key: str, check: Callable[[], object]) -> Iterator[str]:
    """Convert a check's refusal into a line that begins with a key of the params file."""
    try:
        check()
    except UserError as error:
        yield f"{key}: {error}"


def network_problems(given: Parameters, specs: list[DatasetSpec]) -> Iterator[str]:
    """List the errors of teacher, student and assistant, alone and in combination."""
    yield from refused("split.tokenizer", lambda: _tokenizer(given))
    teacher = student = Network()
    try:
        teacher = _teacher(given, specs)
    except UserError as error:
        yield str(error)
    try:
        student = _student(given, teacher)
        _assistant(given, teacher)
    except UserError as error:
        yield str(error)
    for name, network in (("teacher", teacher), ("student", student)):
        if network.longest is not None and given.split.max_length > network.longest:
            yield (
                f"split.max_length: {given.split.max_length} tokens, but the {name} reads {network.longest} at most; lower "
                "it to that"
            )
    for method in given.methods.names:
        yield from refused("methods", lambda method=method: _method(given, method, student, teacher))


def _method(given: Parameters, method: str, student: Network, teacher: Network) -> None:
    """Refuse two networks that a method can't compare."""
    row = row_of(method)
    if row.attention:
        for network in (student, teacher):
            if network.family is not None:
                network.family.check_scores()
        if student.heads is not None and teacher.heads is not None:
            check_heads(method, student.heads, teacher.heads)
    if student.layers is None or teacher.layers is None:
        return
    layer_pairs(given, row.name, student_layers=student.layers, teacher_layers=teacher.layers)
    if row.assistant == "branched":
        check_branch_depths(student.layers, teacher.layers)


def _teacher(given: Parameters, specs: list[DatasetSpec]) -> Network:
    if given.teacher.origin == "train":
        own = given.teacher
        return _network(given, "teacher", own.checkpoint, own.config)
    networks = [Network()]
    for spec in specs:
        name = given.teacher.origin.replace("{dataset}", spec.name)
        networks.append(_network(given, "teacher", name, None, key="from"))
        folder = resolve_checkpoint(name, given.models.folders)
        if isinstance(folder, Path):
            _named(
                "teacher.from", partial(check_labels, folder, spec.name, spec.kind, spec.num_outputs, spec.label_names)
            )
    return networks[-1]


def _student(given: Parameters, teacher: Network) -> Network:
    own = given.student
    if own.layers is None:
        return _network(given, "student", own.checkpoint, own.config)
    if teacher.layers is not None:
        _named("student.layers", lambda: choose_layers(int(str(teacher.layers)), own.layers or ()))
    count = own.layers if isinstance(own.layers, int) else len(own.layers)
    return Network(teacher.family, count, teacher.heads, teacher.longest)


def _assistant(given: Parameters, teacher: Network) -> None:
    own = given.takd
    if not any(row_of(name).assistant == "between" for name in given.methods.names):
        return
    if own.layers is None:
        _network(given, "takd", None, own.config)
    elif teacher.layers is not None:
        _named("takd.layers", lambda: choose_layers(int(str(teacher.layers)), own.layers or ()))


def _named(key: str, check: Callable[[], object]) -> None:
    """Prefix a check's refusal with a key of the params file."""
    try:
        check()
    except UserError as error:
        raise UserError(f"{key}: {error}") from None


def _network(
    given: Parameters, section: str, checkpoint: str | None, config: Config | None, key: str = "checkpoint"
) -> Network:
    """A network of a local checkpoint or a configuration; nothing is known about one on the Hub."""
    found: list[Network] = []
    if checkpoint is None:
        _named(f"{section}.config", lambda: found.append(_of_config(config or {})))
    else:
        _named(f"{section}.{key}", lambda: found.append(_of_checkpoint(given, checkpoint)))
    return found[0]


def _of_config(config: Config) -> Network:
    family = family_named(str(config.get("model_type")), "model configuration")
    sizes = _sizes(config, family)
    check_head_sizes(sizes, "model configuration")
    return Network(family, sizes.get(DEPTH), sizes.get(HEADS), _longest(sizes, family))


def _of_checkpoint(given: Parameters, name: str) -> Network:
    folder = resolve_checkpoint(name, given.models.folders)
    if not isinstance(folder, Path):
        return Network()
    family = family_named(model_type_of(folder), str(folder / "config.json"))
    weight_files(folder)
    sizes = _sizes(read_json(folder / "config.json"), family)
    check_head_sizes(sizes, str(folder / "config.json"))
    _same_tokenizer(given, folder)
    return Network(family, depth_of(folder), sizes.get(HEADS), _longest(sizes, family))


def _sizes(config: Mapping[str, object], family: Family) -> dict[str, int]:
    """The whole numbers of a configuration, by BERT's names."""
    sizes = {name: value for name, value in config.items() if isinstance(value, int)}
    return {name: sizes[other] for name, other in family.config_names.items() if other in sizes} | sizes


def _longest(sizes: dict[str, int], family: Family) -> int | None:
    """Maximum tokens of a network."""
    positions = sizes.get("max_position_embeddings")
    return None if positions is None else family.longest(positions, sizes.get("pad_token_id", 1))


def _same_tokenizer(given: Parameters, folder: Path) -> None:
    """Refuse a checkpoint whose tokenizer differs from that of the splits."""
    from data.quickstart import vocabulary
    from data.tokens import tokenizer_fingerprint
    from models.tokenizer import build_word_tokenizer, check_same_tokenizer, load_tokenizer

    name = given.split.tokenizer
    if name == EMBEDDED:
        ours = build_word_tokenizer(vocabulary())
    else:
        found = resolve_checkpoint(name, given.models.folders)
        if not isinstance(found, Path):
            return
        ours = load_tokenizer(str(found))
    check_same_tokenizer(tokenizer_fingerprint(ours), tokenizer_fingerprint(load_tokenizer(str(folder))))


def _tokenizer(given: Parameters) -> None:
    """Refuse a tokenizer that can't be loaded."""
    name = given.split.tokenizer
    if name != EMBEDDED and isinstance(found := resolve_checkpoint(name, given.models.folders), Path):
        from models.tokenizer import load_tokenizer

        load_tokenizer(str(found))
