"""Tokenizers: loaded from a checkpoint, or built from a list of words; no torch, so a split starts quickly."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel

from errors import UserError
from models.checkpoints import fetch
from models.json_files import read_json, write_json

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
VOCABULARIES = ("vocab.txt", "vocab.json", "spm.model")
FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *VOCABULARIES,
)


def load_tokenizer(name: str, search: Sequence[Path] = (), revision: str | None = None) -> Tokenizer:
    """Load the tokenizer of a folder or Hub id, without truncation and padding (left to the batches).

    Reads tokenizer.json; older folders go through transformers' converter. UserError if neither works.
    """
    folder = fetch(name, search, revision)
    file = folder / "tokenizer.json"
    if file.is_file():
        if not isinstance(read_json(file).get("model"), dict):
            raise UserError(f"{file}: holds no tokenizer (no 'model' in it)")
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises the bare class
            raise UserError(f"{file}: is not a valid tokenizer ({error}); write or download it again") from error
    else:
        tokenizer = _converted(folder)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _converted(folder: Path) -> Tokenizer:
    # Without this check transformers makes a tokenizer that knows no word.
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise UserError(f"{folder}: no tokenizer.json and no vocabulary ({', '.join(VOCABULARIES)})")
    from transformers import AutoTokenizer  # seconds to import, and only old folders need it

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: no tokenizer.json, and none can be made ({error})") from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise UserError(f"{folder}: no tokenizer.json, and its tokenizer has no fast form")
    return Tokenizer.from_str(backend.to_str())


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """Number of embeddings needed: the highest id plus one. With gaps in the ids it exceeds the number of tokens."""
    return max(tokenizer.get_vocab().values(), default=-1) + 1


def check_same_tokenizer(teacher: str, student: str) -> None:
    """Raise UserError if two fingerprints differ: teacher and student would read text differently."""
    if teacher != student:
        raise UserError(
            f"teacher and student have different tokenizers (fingerprints {teacher[:12]}, {student[:12]}): "
            "both must use the same tokens; choose a student that has the teacher's tokenizer"
        )


def build_word_tokenizer(words: Sequence[str]) -> Tokenizer:
    """A lower-casing tokenizer of whole words: [PAD] is 0, then [UNK], [CLS], [SEP], [MASK], then the words.

    A text becomes [CLS] a [SEP], a pair [CLS] a [SEP] b [SEP] with token types 0 and 1. Raises UserError for
    a word that is split when read (it holds a blank or punctuation).
    """
    wanted = list(dict.fromkeys(word.lower() for word in words))
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *wanted])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=SPECIAL[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    for word in wanted:
        if tokenizer.encode(word, add_special_tokens=False).ids != [vocabulary[word]]:
            raise UserError(f"word {word!r} cannot be in a vocabulary of words: it is split when read")
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, *, max_length: int = 512) -> None:
    """Write a word tokenizer that `AutoTokenizer.from_pretrained(folder)` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(tokenizer, folder)
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    config: dict[str, object] = dict(zip(names, SPECIAL, strict=True))
    config |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length}
    config["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    write_json(folder / "tokenizer_config.json", config)


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, with the bytes of `Tokenizer.save`, whose error for a full disk is a bare Exception."""
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True), encoding="utf-8")


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy the tokenizer's files of a model folder. Raises UserError if it has none."""
    found = [name for name in FILES if (source / name).is_file()]
    if not found:
        raise UserError(f"{source}: no tokenizer files to copy; looked for {', '.join(FILES)}")
    for name in found:
        shutil.copyfile(source / name, target / name)
