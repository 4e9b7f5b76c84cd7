"""LoRA adapters (Hu et al. 2021, arXiv:2106.09685) through peft, with a preset per architecture."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernbert.errors import BadModel, BadOption
from modernbert.files import write_json
from modernbert.model.locate import ModelSource
from modernbert.model.pretrained import load_adapter
from modernbert.reading import read_object
from modernbert.settings.sections import LoraConfig


@dataclass(frozen=True)
class LoraPreset:
    """Which linear layers get an adapter (names, or a regular expression), and what is trained whole."""

    targets: list[str] | str
    saved: list[str]


# peft has no default targets for ModernBERT, and saves only `classifier`: `head` would be lost.
PRESETS = {
    "modernbert": LoraPreset(["Wqkv", "Wo", "Wi"], ["head", "classifier"]),
    "bert": LoraPreset(r".*encoder\.layer\.\d+\..*\.(query|key|value|dense)", ["pooler", "classifier"]),
    "roberta": LoraPreset(r".*encoder\.layer\.\d+\..*\.(query|key|value|dense)", ["classifier"]),
    "deberta-v2": LoraPreset(
        r".*encoder\.layer\.\d+\..*\.(query_proj|key_proj|value_proj|dense)", ["pooler", "classifier"]
    ),
}


def add_lora(model: Any, config: LoraConfig, *, head: bool = True) -> Any:
    """Freeze the encoder and add adapters.

    Args:
        model: a transformers classifier, of texts or of words, or an encoder without a head.
        config: the adapters; without targets, the architecture's preset is taken.
        head: has the model a head, which is trained whole?

    Raises:
        BadOption: there is no preset for this architecture and no targets are given, or no layer matches.
    """
    import peft

    kind = model.config.model_type
    preset = PRESETS.get(kind)
    if preset is None and not config.targets:
        raise BadOption(
            f"there is no LoRA preset for '{kind}' models", fix="Name layers with --lora-targets."
        )
    adapters = peft.LoraConfig(
        task_type=_task_type(model) if head else peft.TaskType.FEATURE_EXTRACTION,
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.targets) or (preset.targets if preset else None),
        modules_to_save=(preset.saved if preset else ["classifier"]) if head else None,
    )
    try:
        with _quiet_peft():
            return peft.get_peft_model(model, adapters)
    except ValueError as error:
        raise BadOption(f"LoRA targets do not fit the model: {str(error).splitlines()[0]}") from None


def _task_type(model: Any) -> Any:
    import peft

    words = type(model).__name__.endswith("ForTokenClassification")
    return peft.TaskType.TOKEN_CLS if words else peft.TaskType.SEQ_CLS


def name_base(folder: Path, base: ModelSource) -> None:
    """Let saved adapters name what they lie on as any machine knows it: peft writes the folder on this one.

    It is done in the file: peft asks the Hub about a name that is no folder when it saves.
    """
    path = folder / "adapter_config.json"
    named = {"base_model_name_or_path": base.public_name, "revision": base.hub_revision}
    write_json(path, read_object(path, BadModel) | named)


def merge_lora(model: Any, folder: Path) -> Any:
    """Return `model` with the adapters of `folder` folded into its weights. Raises BadModel if damaged."""
    with _quiet_peft():
        return load_adapter(model, folder).merge_and_unload()


def merged(model: Any) -> Any:
    """Return the model with its adapters folded into its weights; one without adapters as it is."""
    if not hasattr(model, "merge_and_unload"):
        return model
    with _quiet_peft():
        return model.merge_and_unload()


@contextlib.contextmanager
def _quiet_peft() -> Iterator[None]:
    """Hide one warning: peft asks transformers by a name that transformers 5 deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield
