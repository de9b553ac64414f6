"""The tokenizer files of a model folder, with which AutoTokenizer tokenises exactly as the pipeline does.

A checkpoint can contradict itself: transformers builds the tokenizer of a class such as BertTokenizer out of
tokenizer_config.json, whatever tokenizer.json says, and picks the class by config.json's model_type where no file names
one. The pipeline reads tokenizer.json. So a folder that is written here holds that file, and a tokenizer_config.json that
adds nothing to it but names of special tokens.
"""

import json
from pathlib import Path

from tokenizers import Tokenizer

from models.json_files import read_json, write_json
from models.tokenizer import write_tokenizer

CONFIG, SPECIAL_MAP = "tokenizer_config.json", "special_tokens_map.json"
USUAL = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
    "bos_token": ("<s>",),
    "eos_token": ("</s>",),
}
"""Special tokens -> their default text if no file of the folder gives one."""
NORMALISING = {"do_lower_case": "lowercase", "strip_accents": "strip_accents", "tokenize_chinese_chars": "handle_chinese_chars"}  # fmt: skip
"""Keys of tokenizer_config.json -> the normalizer's name of the same setting in tokenizer.json."""


def write_as_read(tokenizer: Tokenizer, special: dict[str, str], folder: Path, *, max_length: int) -> None:
    """Write tokenizer.json and tokenizer_config.json into a new folder.

    Args:
        tokenizer: what the pipeline reads text with.
        special: names of special tokens, as `special_tokens` gives them.
        folder: is made.
        max_length: where AutoTokenizer cuts unless it is told.
    """
    folder.mkdir(parents=True)
    write_tokenizer(tokenizer, folder)
    typed = any(tokenizer.encode("a", "b").type_ids)
    config: dict[str, object] = {
        **special,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
    }
    config |= {"padding_side": "right", "truncation_side": "right", "clean_up_tokenization_spaces": False}
    config["model_input_names"] = ["input_ids", *(["token_type_ids"] if typed else []), "attention_mask"]
    write_json(folder / CONFIG, config)


def special_tokens(source: Path, tokenizer: Tokenizer) -> dict[str, str]:
    """Name of a special token -> the token, by a checkpoint's files, limited to known tokens."""
    found: dict[str, str] = {}
    for name in (SPECIAL_MAP, CONFIG):
        stored = read_json(source / name) if (source / name).is_file() else {}
        for role in USUAL:
            token = stored.get(role)
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str) and tokenizer.token_to_id(token) is not None:
                found[role] = token
    for role, tokens in USUAL.items():
        known = [token for token in tokens if tokenizer.token_to_id(token) is not None]
        if role not in found and known:
            found[role] = known[0]
    return found


def contradictions(source: Path, tokenizer: Tokenizer) -> list[str]:
    """Remarks on settings in a checkpoint's tokenizer_config.json that its tokenizer.json does not follow."""
    if not (source / CONFIG).is_file() or not (source / "tokenizer.json").is_file():
        return []
    config, normalizer = read_json(source / CONFIG), json.loads(tokenizer.to_str()).get("normalizer") or {}
    found = [
        f"{key} is {json.dumps(config[key])} in tokenizer_config.json, {json.dumps(normalizer.get(theirs))} in tokenizer.json"
        for key, theirs in NORMALISING.items()
        if key in config and normalizer.get("type") == "BertNormalizer" and config[key] != normalizer.get(theirs)
    ]
    if not tokenizer.num_special_tokens_to_add(is_pair=False) and "cls_token" in special_tokens(source, tokenizer):
        found.append("tokenizer.json has no post_processor, so no special token is put in front of a text")
    if config.get("truncation_side") == "left":
        found.append("truncation_side is left in tokenizer_config.json, and texts are cut on the right here")
    return [f"{source}: {text}; tokenizer.json is followed, here and in the folders that are written" for text in found]
