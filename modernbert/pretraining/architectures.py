"""Networks to train from scratch: their shapes, and a folder that holds one with its tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modernbert.errors import BadOption
from modernbert.kept import kept_folder
from modernbert.model.locate import UNTRAINED, ModelSource, family_of
from modernbert.model.pretrained import make_config, quiet_transformers
from modernbert.reading import read_object

_MODERNBERT = {"model_type": "modernbert", "max_position_embeddings": 8192}
# The paper's first phase has 10,000 in the global layers too (arXiv:2412.13663, section 2.2).
_SHORT_CONTEXT = {
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    }
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "nano": {
        **_MODERNBERT,
        **_SHORT_CONTEXT,
        "hidden_size": 256,
        "intermediate_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
    },
    # As many parameters as `nano`, give or take 5 %, in BERT's arrangement.
    "bert-nano": {
        "model_type": "bert",
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "max_position_embeddings": 1024,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "type_vocab_size": 1,
    },
    # arXiv:2412.13663, table 4: transformers' own defaults are the base model's.
    "base": {**_MODERNBERT, **_SHORT_CONTEXT},
    "large": {
        **_MODERNBERT,
        **_SHORT_CONTEXT,
        "hidden_size": 1024,
        "intermediate_size": 2624,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
    },
}


def untrained(
    name: str, tokenizer: Any, cache: Path, on_note: Callable[[str], None] = lambda note: None
) -> ModelSource:
    """Write a configuration and a tokenizer, without weights, and return them as a model's source.

    Args:
        name: one of `ARCHITECTURES`, or a path to a transformers `config.json`.
        tokenizer: fills in the vocabulary's size and the special tokens' ids.
        cache: the folder lies in here, named after what is in it.
        on_note: told when the folder was there and damaged.

    Raises:
        BadOption, BadModel: there is no such architecture, or its values make no sense.
    """
    values = {**_read(name), **_special_ids(tokenizer)}
    # A multiple of 64 lets matrix products run at full speed.
    values["vocab_size"] = -(-len(tokenizer) // 64) * 64
    content = json.dumps(values, sort_keys=True) + tokenizer.backend_tokenizer.to_str()
    folder = cache / f"{Path(name).stem}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"

    def write(empty: Path) -> None:
        with quiet_transformers():
            make_config(values, Path(name)).save_pretrained(empty)
            tokenizer.save_pretrained(empty)

    kept_folder(folder, write, on_note)
    return ModelSource(Path(name).stem, folder, "random weights", UNTRAINED, family_of(folder))


def _read(name: str) -> dict[str, Any]:
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    path = Path(name)
    if path.suffix != ".json" or not path.is_file():
        raise BadOption(
            f"there is no architecture '{name}'",
            fix=f"Use {', '.join(ARCHITECTURES)}, or a path to a config.json of transformers.",
        )
    values = read_object(path, BadOption)
    if values.get("model_type") not in ("modernbert", "bert"):
        raise BadOption("its model_type must be modernbert or bert", where=str(path))
    return values


def _special_ids(tokenizer: Any) -> dict[str, int]:
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "cls_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
    }
    return {name: number for name, number in ids.items() if number is not None}
