"""Load, save and re-check sequence classifiers, in transformers' (and peft's) own file layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernbert.data.task import Kind, Task
from modernbert.errors import BadModel
from modernbert.files import atomic_folder
from modernbert.model import pretrained
from modernbert.model.encoder import PackedClassifier
from modernbert.model.labels import PROBLEM_TYPES, has_labels_of, label_order
from modernbert.model.locate import ModelSource
from modernbert.model.lora import merge_lora, name_base
from modernbert.model.output import exact_output
from modernbert.model.packing import PackedBatch
from modernbert.model.pretrained import load_weights, quiet_transformers

# A checkpoint without a task head lacks these; anything else missing would be a random encoder.
HEAD_NAMES = ("classifier.", "head.", "pooler.", "score.")
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")


def load_tokenizer(source: ModelSource) -> Any:
    """Load the tokenizer of a model. Raises BadModel when it cannot be read or is not a fast one."""
    # Without these files transformers makes up an empty vocabulary, and every prediction is nonsense.
    if not any(next(source.folder.glob(pattern), None) for pattern in TOKENIZER_FILES):
        raise BadModel("the model has no tokenizer (such as tokenizer.json)", where=str(source.folder))
    tokenizer = pretrained.load_tokenizer(source.folder)
    if not tokenizer.is_fast:
        raise BadModel("the model has no fast tokenizer (tokenizer.json)", where=str(source.folder))
    return tokenizer


def load_config(source: ModelSource) -> Any:
    """Load the transformers configuration of a model (of the base, for an adapter)."""
    return pretrained.load_config(source.base.folder if source.base else source.folder)


def context_length(config: Any) -> int:
    """Return the longest input in tokens; RoBERTa's table counts its padding offset too."""
    offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta") else 0
    return int(config.max_position_embeddings) - offset


@dataclass(frozen=True)
class LoadedClassifier:
    """A classifier in fp32 and which of its tensors the checkpoint did not have."""

    model: Any
    new_tensors: tuple[str, ...]


def load_classifier(source: ModelSource, task: Task) -> LoadedClassifier:
    """Load a checkpoint as a classifier for `task`, in fp32 whatever it was stored in.

    A head for other labels than the task's is drawn anew from the current random state: seed first.

    Raises:
        BadModel: unreadable, not an encoder that can classify, or with encoder tensors missing.
    """
    if source.labels is None:
        loaded = _load(source.folder, _config(source.folder, task.labels, task.kind))
        if loaded.new_tensors or has_labels_of(source, task):
            return loaded
        model = loaded.model
    else:
        model = _load_run(source)
        if source.labels == task.labels:
            return LoadedClassifier(model, ())
    return LoadedClassifier(_with_new_head(model, source, task), ("classifier.bias", "classifier.weight"))


def load_trained(source: ModelSource, task: Task) -> Any:
    """Load a model that can score `task` as it is, head and all, in evaluation mode.

    Its outputs are in its own order: `label_order` says which is which.

    Raises:
        BadModel: the checkpoint has no head for this task, or is unreadable.
    """
    if source.labels is not None:
        label_order(source, task)
        model = _load_run(source).eval()
        if model.config.num_labels != task.num_outputs:
            outputs = model.config.num_labels
            said = f"the model has {outputs} outputs; the run's record names {task.num_outputs}"
            raise BadModel(said, where=str(source.folder), fix="Train it again, or use an untouched copy.")
        return model
    loaded = _load(source.folder, _config(source.folder, task.labels, task.kind))
    if loaded.new_tensors:
        raise BadModel(
            f"{source.name} has no head trained for {task.name} (missing: {', '.join(loaded.new_tensors)})",
            fix=f"Train one: mbert finetune {task.name} --model {source.name}",
        )
    return loaded.model.eval()


def with_random_weights(model: Any) -> Any:
    """Return a model of the same kind and configuration; weights are drawn from the current random state."""
    with quiet_transformers():
        return exact_output(type(model)(model.config).train(model.training))


def load_encoder(source: ModelSource) -> Any:
    """Load the encoder of a checkpoint without any head, in fp32 and in evaluation mode.

    Raises:
        BadModel: unreadable, an adapter, or with encoder tensors missing.
    """
    from transformers import AutoModel

    if source.base is not None:
        raise BadModel(f"{source.name} is an adapter trained for labels: it has no vectors of its own")
    model, _ = load_weights(AutoModel, source.folder, HEAD_NAMES)
    return model.eval()


def _config(folder: Path, labels: tuple[str, ...], kind: Kind) -> Any:
    names = labels or ("score",)
    return pretrained.load_config(
        folder,
        num_labels=len(names),
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
        problem_type=PROBLEM_TYPES[kind],
    )


def _load(folder: Path, config: Any) -> LoadedClassifier:
    from transformers import AutoModelForSequenceClassification

    loader = AutoModelForSequenceClassification
    model, new = load_weights(loader, folder, HEAD_NAMES, config, ignore_mismatched_sizes=True)
    return LoadedClassifier(exact_output(model), new)


def _load_run(source: ModelSource) -> Any:
    """Return a run's model as it was saved; a LoRA run's adapters are folded into the weights."""
    assert source.labels is not None
    kind: Kind = "single_label" if source.labels else "regression"
    if source.base is None:
        loaded = _load(source.folder, load_config(source))
        if loaded.new_tensors:
            raise BadModel(f"the run's model lacks {', '.join(loaded.new_tensors)}", where=str(source.folder))
        return loaded.model
    base = _load(source.base.folder, _config(source.base.folder, source.labels, kind)).model
    return merge_lora(base, source.folder)


def _with_new_head(model: Any, source: ModelSource, task: Task) -> Any:
    """Replace the last layer by one for the task's labels, drawn as transformers draws it."""
    folder = source.base.folder if source.base else source.folder
    config = _config(folder, task.labels, task.kind)
    last = output_layer(model)
    new = torch.nn.Linear(last.in_features, task.num_outputs)
    torch.nn.init.normal_(new.weight, std=config.initializer_range)
    torch.nn.init.zeros_(new.bias)
    owner, name = (model, "classifier") if model.classifier is last else (model.classifier, "out_proj")
    setattr(owner, name, new)
    for field in ("num_labels", "id2label", "label2id", "problem_type"):
        setattr(model.config, field, getattr(config, field))
    model.num_labels = task.num_outputs
    return exact_output(model)


def recompute_layers(model: Any) -> None:
    """Let the backward pass compute each layer again instead of keeping what it held (Chen et al. 2016)."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    # The newer name; the older one warns where both exist.
    enable = getattr(base, "activation_checkpointing_enable", None) or base.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def output_layer(model: Any) -> torch.nn.Linear:
    """Return the last linear layer of a classifier: RoBERTa's head has two."""
    layer = getattr(model.classifier, "out_proj", model.classifier)
    assert isinstance(layer, torch.nn.Linear)
    return layer


def save_classifier(model: Any, tokenizer: Any, folder: Path, base: ModelSource | None = None) -> None:
    """Save weights, configuration and tokenizer; the folder appears whole or not at all.

    Args:
        base: what the model's adapters lie on; they alone are saved then.
    """
    with atomic_folder(folder) as temporary, quiet_transformers():
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        if base:
            name_base(temporary, base)


def logits_of(model: Any, batch: PackedBatch) -> torch.Tensor:
    """Return fp32 logits on the CPU, shape (N, C), in evaluation mode and without autocast."""
    packed = PackedClassifier(model).eval()
    device = next(packed.parameters()).device
    with torch.inference_mode():
        logits_NC: torch.Tensor = packed(batch.to(device))
    return logits_NC.float().cpu()


def largest_difference(first_NC: torch.Tensor, second_NC: torch.Tensor) -> float:
    """Return the largest absolute difference between two sets of logits (NaN counts as infinite)."""
    difference = (first_NC - second_NC).abs().nan_to_num(nan=float("inf"))
    return float(difference.max())
