"""The one way into the loaders of transformers and peft: a model's folder is data, and never runs.

Everything in the package that loads a configuration, a tokenizer, weights or adapters does so here; a test
looks for calls elsewhere. What a folder holds is checked before a library sees it, and whatever a library
then says of it is one sentence with the folder's name.
"""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from modernbert.activity import phase
from modernbert.errors import BadModel, MbertError
from modernbert.reading import read_json, read_object
from modernbert.records.export import EXPORT_FILE

DAMAGED = "It is damaged or of a kind that transformers does not know; fetch or train it again."
NO_CODE = "mbert never runs a model's own code. Choose a model whose architecture is part of transformers."
# Largest values that make sense: more would fill memory or run for ever before anything is noticed.
LARGEST = {
    "hidden_size": 2**16,
    "intermediate_size": 2**20,
    "num_hidden_layers": 1024,
    "num_attention_heads": 1024,
    "max_position_embeddings": 2**24,
    "vocab_size": 2**24,
    "local_attention": 2**24,
}
# Settings of an adapter that make peft import a module which the file names, or do other work than LoRA's.
FOREIGN_ADAPTER_SETTINGS = ("auto_mapping", "megatron_config", "loftq_config", "eva_config", "corda_config")


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and notices off the screen; mbert says what matters itself."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def damage_is_an_error(folder: Path) -> Iterator[None]:
    """Turn whatever a library says of an unreadable checkpoint into BadModel.

    A damaged file can raise anything in there: ZeroDivisionError, AttributeError, a validator's own error.
    """
    try:
        yield
    except MbertError:
        raise
    except pickle.UnpicklingError as error:
        raise BadModel(
            "its weights are a pickle that holds more than tensors, and reading it could run code",
            where=str(folder),
            fix="Choose a model with safetensors.",
        ) from error
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise BadModel(
            f"the checkpoint cannot be read: {lines[0] if lines else type(error).__name__}",
            where=str(folder),
            fix=DAMAGED,
        ) from error


def load_config(folder: Path, **changes: Any) -> Any:
    """Load the transformers configuration in a folder, with some values changed.

    Raises:
        BadModel: it needs code of its own, or a value cannot be right.
    """
    from transformers import AutoConfig

    require_plain(folder)
    return _checked(_from_pretrained(AutoConfig, folder, **changes), folder)


def make_config(values: Mapping[str, Any], where: Path) -> Any:
    """Return the transformers configuration of these values. Raises BadModel as `load_config`."""
    from transformers import AutoConfig

    _require_plain_values(values, where)
    with quiet_transformers(), damage_is_an_error(where):
        return _checked(AutoConfig.for_model(**values), where)


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer in a folder; it reads the names of special tokens in a text as text.

    Raises:
        BadModel: it needs code of its own, is damaged, or has ids for which the model has no embedding.
    """
    from transformers import AutoTokenizer

    has_model = (folder / "config.json").is_file()
    if has_model:
        require_plain(folder)
    tokenizer = _from_pretrained(AutoTokenizer, folder)
    # A text that holds "[SEP]" is about it, and gets no separator; not saved with the tokenizer.
    tokenizer.split_special_tokens = True
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if has_model and largest >= (size := load_config(folder).vocab_size):
        raise BadModel(
            f"the tokenizer's ids go up to {largest}, and the model has embeddings for {size}",
            where=str(folder),
            fix="Tokenizer and weights are of different models; fetch it again.",
        )
    return tokenizer


@phase("loading the model")
def load_weights(
    loader: Any, folder: Path, head_names: tuple[str, ...], config: Any = None, **settings: Any
) -> tuple[Any, tuple[str, ...]]:
    """Load a model in fp32, whatever it is stored in.

    Args:
        loader: transformers' class for it, such as `AutoModel`.
        folder: holds configuration and weights.
        head_names: how the names of a head's tensors begin; a checkpoint may lack whole heads.
        config: instead of the folder's own configuration.
        settings: passed on to transformers.

    Returns:
        The model, and the names of the tensors that the checkpoint lacks: these were drawn at random.

    Raises:
        BadModel: unreadable, an adapter, with tensors of the encoder or a part of a head missing, or with
            numbers that are not finite.
    """
    if (folder / "adapter_config.json").exists():  # transformers would load the model that this file names
        raise BadModel("the folder holds an adapter, no whole model", where=str(folder),
                       fix="Name the run that made it.")  # fmt: skip
    if (folder / EXPORT_FILE).exists():
        raise BadModel("an export is run and evaluated, never trained", where=str(folder),
                       fix="Name the run or model that it was made from.")  # fmt: skip
    config = config or load_config(folder)
    model, info = _from_pretrained(
        loader, folder, config=config, dtype=torch.float32, output_loading_info=True, **settings
    )
    missing, other_sizes = set(info["missing_keys"]), {key for key, *_ in info["mismatched_keys"]}
    _require_encoder(model, missing, other_sizes, head_names, folder)
    if broken := [name for name, tensor in model.named_parameters() if not tensor.isfinite().all()]:
        raise BadModel(f"{len(broken)} tensors hold numbers that are not finite ({broken[0]}, ...)",
                       where=str(folder), fix=DAMAGED)  # fmt: skip
    return model, tuple(sorted(missing | other_sizes))


def random_model(loader: Any, config: Any, where: Path) -> Any:
    """Return a model in fp32 whose weights are drawn from the current random state."""
    with quiet_transformers(), damage_is_an_error(where):
        return loader.from_config(config, dtype=torch.float32, trust_remote_code=False)


def load_adapter(model: Any, folder: Path) -> Any:
    """Return `model` with the LoRA adapters of a folder.

    Raises:
        BadModel: they are damaged, no LoRA, or a pickle.
    """
    from peft import PeftModel

    settings = read_object(folder / "adapter_config.json", BadModel)
    foreign = [name for name in FOREIGN_ADAPTER_SETTINGS if settings.get(name)]
    if settings.get("peft_type") != "LORA" or foreign:
        raise BadModel("these are no plain LoRA adapters", where=str(folder), fix=DAMAGED)
    if not (folder / "adapter_model.safetensors").is_file():
        raise BadModel("the adapters have no adapter_model.safetensors", where=str(folder), fix=DAMAGED)
    return _from_pretrained(PeftModel, folder, model)


def _from_pretrained(loader: Any, folder: Path, *first: Any, **settings: Any) -> Any:
    # peft knows no `trust_remote_code`; without it, transformers asks on the terminal whether to run code.
    plain = {} if first else {"trust_remote_code": False, "local_files_only": True}
    with quiet_transformers(), damage_is_an_error(folder), warnings.catch_warnings():
        # torch speaks of a pickle's protocol before it refuses the pickle.
        warnings.filterwarnings("ignore", message="Detected pickle protocol")
        return loader.from_pretrained(*first, str(folder), **plain, **settings)


def require_plain(folder: Path) -> dict[str, Any]:
    """Return what a folder's `config.json` says.

    Raises:
        BadModel: it is missing or malformed (or another configuration beside it is), or to load it would
            need code that is not part of transformers.
    """
    values = read_object(folder / "config.json", BadModel)
    for path in sorted(folder.iterdir()):  # a glob leaves out links that lead nowhere
        if path.match("*config*.json") or path.name == "modules.json":
            read_json(path, BadModel)
    _require_plain_values(values, folder)
    return values


def _require_plain_values(values: Mapping[str, Any], where: Path) -> None:
    from transformers import CONFIG_MAPPING

    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        what = f"transformers has no architecture '{kind}'" if kind else "its config.json has no model_type"
        raise BadModel(what, where=str(where), fix=NO_CODE)
    if kernel := _kernel_of_others(values):
        raise BadModel(f"it asks for a kernel from elsewhere ('{kernel}')", where=str(where), fix=NO_CODE)
    if values.get("quantization_config"):
        raise BadModel(
            "its weights are quantised", where=str(where), fix="Take the model they were made from."
        )


def _kernel_of_others(value: Any) -> str | None:
    """Return the Hub repository whose attention a configuration wants: it would be fetched and run."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return None
    for name, inner in value.items():
        if "implementation" in str(name) and "/" in str(inner):
            return str(inner)
        if found := _kernel_of_others(inner):
            return found
    return None


def _checked(config: Any, folder: Path) -> Any:
    """Return a configuration whose numbers make sense. Raises BadModel when they do not."""
    for name, largest in LARGEST.items():
        value = getattr(config, name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
            raise BadModel(f"its config.json has {name} {value!r}", where=str(folder), fix=DAMAGED)
    if config.hidden_size % config.num_attention_heads:
        raise BadModel(
            "its hidden_size is no multiple of num_attention_heads", where=str(folder), fix=DAMAGED
        )
    names = config.architectures or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadModel(f"its config.json has architectures {names!r}", where=str(folder), fix=DAMAGED)
    return config


def _require_encoder(
    model: Any, missing: set[str], other_sizes: set[str], head_names: tuple[str, ...], folder: Path
) -> None:
    """Raise BadModel if a checkpoint lacks tensors of the encoder, or some but not all of a head."""
    prefix = f"{model.base_model_prefix}."
    bare = {name.removeprefix(prefix) for name in missing}
    lost = sorted(name for name in bare | other_sizes if not name.removeprefix(prefix).startswith(head_names))
    for head in head_names:
        whole = {name for name, _ in model.named_parameters() if name.startswith(head)}
        if (found_missing := whole & bare) and found_missing != whole:
            lost += sorted(found_missing)
    if lost:
        named = ", ".join(lost[:3]) + ", ..." * (len(lost) > 3)
        raise BadModel(
            f"the checkpoint lacks {len(lost)} of its tensors ({named})",
            where=str(folder),
            fix=DAMAGED,
        )
