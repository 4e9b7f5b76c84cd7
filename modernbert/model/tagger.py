"""Models that tag words: a head over every token, in transformers' own layout (`...ForTokenClassification`).

Shape suffixes: T tokens of all sequences, N sequences, L longest sequence, D hidden size, C tags.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from modernbert.data.entities import OUTSIDE, is_tag
from modernbert.errors import BadModel
from modernbert.model import pretrained
from modernbert.model.backends import ChosenBackend
from modernbert.model.encoder import base_of, is_modernbert, modernbert_hidden, padded_inputs
from modernbert.model.loading import HEAD_NAMES, LoadedClassifier
from modernbert.model.locate import ModelSource, record_of
from modernbert.model.lora import merge_lora
from modernbert.model.packing import PackedBatch
from modernbert.model.pretrained import load_weights

ARCHITECTURE = "ForTokenClassification"


class PackedTagger(nn.Module):
    """A transformers token classifier that takes a `PackedBatch`.

    ModernBERT runs packed from the embeddings to the head; every other architecture runs its own forward on
    a padded batch.
    """

    def __init__(self, model: Any, attention: ChosenBackend | None = None) -> None:
        """Wrap a model; `attention` is chosen by device and precision when not given."""
        super().__init__()
        self.model = model
        self.attention = attention

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        """Return the logits of every token, shape (T, C)."""
        if not is_modernbert(self.model):
            logits_NLC = self.model(**padded_inputs(self.model, batch)).logits
            padded_TC: torch.Tensor = logits_NLC[batch.sequence_T, batch.positions_T]
            return padded_TC
        model = base_of(self.model)
        hidden_TD = modernbert_hidden(model.model, batch, self.attention)
        logits_TC: torch.Tensor = model.classifier(model.drop(model.head(hidden_TD)))
        return logits_TC


def is_tagger(source: ModelSource) -> bool:
    """Does a model tag words: is it a run that was trained to, or of such an architecture?"""
    if record := record_of(source):
        return record.task.kind == "tokens"
    made = pretrained.load_config(source.folder).architectures or [""]
    return str(made[0]).endswith(ARCHITECTURE)


def tags_in(source: ModelSource) -> tuple[str, ...]:
    """Return what a model tells apart, in the order of its outputs.

    Raises:
        BadModel: it does not tag words, or not with the tags of entities.
    """
    if not is_tagger(source):
        raise BadModel(f"{source.name} does not tag words",
                       fix=f"Train it to: mbert finetune words.conll --model {source.name}")  # fmt: skip
    if source.labels is not None:
        return source.labels
    names = pretrained.load_config(source.folder).id2label
    tags = tuple(str(names[place]) for place in sorted(names))
    if OUTSIDE not in tags or not all(map(is_tag, tags)):
        said = f"the labels in its config.json are no tags of entities ({', '.join(tags[:5])})"
        raise BadModel(said, where=str(source.folder), fix="They must be O, B-PER, I-PER and the like.")
    return tags


def load_tagger(source: ModelSource, tags: tuple[str, ...]) -> LoadedClassifier:
    """Load a checkpoint to train it, in fp32 whatever it was stored in.

    A head of other tags, or of other work than tagging, is drawn anew from the current random state: seed
    first.

    Raises:
        BadModel: unreadable, not an encoder that can tag, or with encoder tensors missing.
    """
    if is_tagger(source) and tags_in(source) == tags:
        return LoadedClassifier(load_trained_tagger(source), ())
    if source.base is not None:
        raise BadModel(f"{source.name} consists of LoRA adapters that were trained for other labels",
                       fix="Start from a run that trained all weights.")  # fmt: skip
    loaded = _load(source.folder, _config(source.folder, tags))
    if "classifier.weight" in loaded.new_tensors:
        return loaded
    new = loaded.model.classifier  # it was of something else, with as many outputs
    torch.nn.init.normal_(new.weight, std=loaded.model.config.initializer_range)
    torch.nn.init.zeros_(new.bias)
    return LoadedClassifier(loaded.model, (*loaded.new_tensors, "classifier.bias", "classifier.weight"))


def load_trained_tagger(source: ModelSource) -> Any:
    """Load a model that tags words as it is, in evaluation mode; adapters are folded into the weights.

    Raises:
        BadModel: it does not tag words, or is unreadable.
    """
    tags = tags_in(source)
    if source.base is not None:
        base = _load(source.base.folder, _config(source.base.folder, tags)).model
        return merge_lora(base, source.folder).eval()
    loaded = _load(source.folder, pretrained.load_config(source.folder))
    if loaded.new_tensors or loaded.model.config.num_labels != len(tags):
        raise BadModel("its head is missing or of other tags than it says", where=str(source.folder),
                       fix="Train it again, or use an untouched copy.")  # fmt: skip
    return loaded.model.eval()


def _config(folder: Path, tags: tuple[str, ...]) -> Any:
    return pretrained.load_config(
        folder,
        num_labels=len(tags),
        id2label=dict(enumerate(tags)),
        label2id={tag: place for place, tag in enumerate(tags)},
    )


def _load(folder: Path, config: Any) -> LoadedClassifier:
    from transformers import AutoModelForTokenClassification

    loader = AutoModelForTokenClassification
    model, new = load_weights(loader, folder, HEAD_NAMES, config, ignore_mismatched_sizes=True)
    return LoadedClassifier(model, new)


def tag_logits_of(model: Any, batch: PackedBatch) -> torch.Tensor:
    """Return fp32 logits on the CPU, shape (T, C), in evaluation mode and without autocast."""
    packed = PackedTagger(model).eval()
    device = next(packed.parameters()).device
    with torch.inference_mode():
        logits_TC: torch.Tensor = packed(batch.to(device))
    return logits_TC.float().cpu()
