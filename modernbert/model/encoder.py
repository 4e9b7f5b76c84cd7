"""The forward pass over a `PackedBatch`, through transformers' own modules and parameters.

Shape suffixes: T tokens of all sequences, N sequences, L longest sequence, H heads, D hidden size (head
size after H), C outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from modernbert.activity import explain
from modernbert.errors import BadModel
from modernbert.model.attention import backend_for
from modernbert.model.backends import ChosenBackend, choose_backend
from modernbert.model.device import Machine
from modernbert.model.layout import Layout
from modernbert.model.packing import PackedBatch
from modernbert.model.rotary import Rotary
from modernbert.model.selective_recompute import feed_forward, linear_after


class PackedClassifier(nn.Module):
    """A transformers sequence classifier that takes a `PackedBatch`.

    ModernBERT runs packed from the embeddings to the head. Every other architecture runs its own forward
    on a padded batch, at its best: without a mask when nothing is padded.
    """

    def __init__(self, model: Any, attention: ChosenBackend | None = None) -> None:
        """Wrap a model; `attention` is chosen by device and precision when not given."""
        super().__init__()
        self.model = model
        self.attention = attention

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        """Return logits, shape (N, C)."""
        if is_modernbert(self.model):
            return modernbert_logits(base_of(self.model), batch, self.attention)
        return padded_logits(self.model, batch)


def attention_of(model: Any, machine: Machine) -> ChosenBackend:
    """Return which attention a model will run with on a machine, and why."""
    if is_modernbert(model):
        choice = choose_backend(torch.device(machine.device), machine.dtype)
    else:
        choice = _of_transformers(model)
    explain("attention", str(choice))
    return choice


def _of_transformers(model: Any) -> ChosenBackend:
    kind = (base_of(model).config._attn_implementation or "eager").removeprefix("mbert_")
    return ChosenBackend(
        kind, f"transformers' own forward for {model.config.model_type}, batches sorted by length"
    )


def base_of(model: Any) -> Any:
    """Return the transformers model, out of peft's wrapper if there is one."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def is_modernbert(model: Any) -> bool:
    """Does the packed encoder know this architecture?"""
    return bool(model.config.model_type == "modernbert")


def pads(network: Any) -> bool:
    """Does a network pad its batches? Of the networks that hold a `model`, ModernBERT's do not."""
    model = getattr(network, "model", None)
    return model is None or not is_modernbert(base_of(model))


def padded_logits(model: Any, batch: PackedBatch) -> torch.Tensor:
    """Run transformers' own forward; logits of shape (N, C)."""
    logits: torch.Tensor = model(**padded_inputs(model, batch)).logits
    return logits


def padded_inputs(model: Any, batch: PackedBatch) -> dict[str, torch.Tensor]:
    """Return what transformers' own forward takes; no mask where nothing is padded."""
    pad = model.config.pad_token_id
    inputs = {"input_ids": batch.pad(batch.ids_T, 0 if pad is None else pad)}
    if batch.type_ids_T is not None:
        inputs["token_type_ids"] = batch.pad(batch.type_ids_T, 0)
    if not batch.is_rectangular:
        inputs["attention_mask"] = batch.pad(torch.ones_like(batch.ids_T), 0)
    return inputs


def modernbert_logits(model: Any, batch: PackedBatch, attention: ChosenBackend | None = None) -> torch.Tensor:
    """Run ModernBERT and its classification head without padding; logits of shape (N, C)."""
    hidden_TD = modernbert_hidden(model.model, batch, attention)
    if model.config.classifier_pooling == "cls":
        pooled_ND = hidden_TD.index_select(0, batch.starts_N1[:-1])
    else:
        pooled_ND = mean_by_sequence(hidden_TD, batch).to(hidden_TD.dtype)
    logits_NC: torch.Tensor = model.classifier(model.drop(model.head(pooled_ND)))
    return logits_NC


def mean_by_sequence(hidden_TD: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
    """Average each sequence's tokens in fp32, shape (N, D): sequences may be 8,192 long."""
    sums_ND = hidden_TD.new_zeros(batch.num_sequences, hidden_TD.shape[1], dtype=torch.float32)
    sums_ND = sums_ND.index_add(0, batch.sequence_T, hidden_TD.float())
    return sums_ND / batch.starts_N1.diff()[:, None]


def modernbert_hidden(
    encoder: Any, batch: PackedBatch, attention: ChosenBackend | None = None
) -> torch.Tensor:
    """Run a transformers `ModernBertModel` over packed tokens; hidden states of shape (T, D)."""
    check_length(encoder, batch)
    hidden_TD = encoder.embeddings(input_ids=batch.ids_T[None])[0]
    layout = Layout(batch)
    kinds = set(encoder.config.layer_types)
    rotary = {kind: Rotary.of(encoder, hidden_TD, batch.positions_T, kind) for kind in kinds}
    backend = (attention or choose_backend(hidden_TD.device, _computing_dtype(hidden_TD))).backend
    for layer in encoder.layers:
        run = partial(
            packed_layer(layer), rotary=rotary[layer.attention_type], layout=layout, backend=backend
        )
        if layer.gradient_checkpointing and layer.training and torch.is_grad_enabled():
            hidden_TD = layer._gradient_checkpointing_func(run, hidden_TD)
        else:
            hidden_TD = run(hidden_TD)
    final_TD: torch.Tensor = encoder.final_norm(hidden_TD)
    return final_TD


def _computing_dtype(hidden_TD: torch.Tensor) -> torch.dtype:
    """Return what linear layers will give: autocast decides before the weights do."""
    kind = hidden_TD.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden_TD.dtype


def check_length(encoder: Any, batch: PackedBatch) -> None:
    """Raise BadModel when a sequence exceeds the model's context: rotary positions would not complain."""
    context = encoder.config.max_position_embeddings
    if batch.max_length > context:
        raise BadModel(
            f"a text of {batch.max_length} tokens exceeds the model's context of {context}",
            fix="Lower --max-length.",
        )


def packed_layer(layer: Any) -> Callable[..., torch.Tensor]:
    """Return the packed pass of a ModernBERT layer; one that is divided among processes has its own."""
    found: Callable[..., torch.Tensor] = getattr(layer, "packed", None) or partial(_layer, layer)
    return found


def _layer(layer: Any, hidden_TD: torch.Tensor, rotary: Rotary, layout: Layout, backend: str) -> torch.Tensor:
    hidden_TD = hidden_TD + _attention(layer, hidden_TD, rotary, layout, backend)
    return hidden_TD + feed_forward(layer, hidden_TD)


def _attention(
    layer: Any, hidden_TD: torch.Tensor, rotary: Rotary, layout: Layout, backend: str
) -> torch.Tensor:
    module = layer.attn
    qkv_TO = linear_after(layer.attn_norm, module.Wqkv, hidden_TD, random=False)
    qkv_T3HD = qkv_TO.view(len(hidden_TD), 3, -1, module.head_dim)
    window = module.config.sliding_window if layer.attention_type == "sliding_attention" else None
    dropout = module.attention_dropout if module.training else 0.0
    out_THD = backend_for(backend, dropout)(qkv_T3HD, rotary, layout, window, dropout)
    out_TD: torch.Tensor = module.out_drop(module.Wo(out_THD.reshape(len(hidden_TD), -1)))
    return out_TD
