"""Masked-language models over packed tokens.

Shape suffixes: T tokens of all sequences, N sequences, L longest sequence, M masked tokens, D hidden size,
V vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from modernbert.data.batching import split_by_tokens
from modernbert.errors import BadModel, BadOption
from modernbert.model.encoder import modernbert_hidden, padded_inputs
from modernbert.model.locate import ModelSource
from modernbert.model.packing import PackedBatch
from modernbert.model.pretrained import load_config, load_weights, random_model
from modernbert.pretraining.masking import MaskedBatch

# What predicts a token from its hidden state, by architecture; both take a tensor of any leading shape.
HEADS = {
    "modernbert": lambda model, hidden_MD: model.decoder(model.head(hidden_MD)),
    "bert": lambda model, hidden_MD: model.cls(hidden_MD),
}
HEAD_NAMES = ("decoder.", "head.", "cls.")
# Padded tokens of one pass of a network that pads: fewer cost calls (sequences of 128 tokens ran at three
# quarters of the speed one by one), more cost padding or, on a CPU, the cache.
PADDED_AT_ONCE = 1024


class PackedMaskedLM(nn.Module):
    """A transformers masked-language model that takes a `MaskedBatch`; only masked tokens reach its head.

    ModernBERT runs packed. BERT runs its own forward, its sequences grouped by length so that little is
    padded.
    """

    def __init__(self, model: Any) -> None:
        """Wrap a model of a type in `HEADS`."""
        super().__init__()
        self.model = model

    def forward(self, masked: MaskedBatch) -> torch.Tensor:
        """Return logits of the masked tokens, shape (M, V)."""
        model, kind = self.model, self.model.config.model_type
        if kind == "modernbert":
            hidden_TD = modernbert_hidden(model.model, masked.batch)
        else:
            hidden_TD = padded_hidden(model, model.base_model, masked.batch)
        logits_MV: torch.Tensor = HEADS[kind](model, hidden_TD.index_select(0, masked.places_M))
        return logits_MV


def padded_hidden(model: Any, encoder: Any, batch: PackedBatch) -> torch.Tensor:
    """Run an encoder's own forward over groups of sequences of about the same length; shape (T, D)."""
    lengths_N = batch.starts_N1.diff().cpu().numpy()
    places, states = [], []
    at_once = max(batch.max_length, PADDED_AT_ONCE)
    for group in split_by_tokens(torch.arange(batch.num_sequences).numpy(), lengths_N, at_once):
        chosen_T = torch.isin(batch.sequence_T, torch.from_numpy(group).to(batch.ids_T.device))
        part = PackedBatch.of_lengths(lengths_N[sorted(group)].tolist(), batch.ids_T.device)
        part = part.with_ids(batch.ids_T[chosen_T])
        hidden_NLD = encoder(**padded_inputs(model, part)).last_hidden_state
        states.append(hidden_NLD[part.sequence_T, part.positions_T])
        places.append(chosen_T.nonzero().squeeze(1))
    hidden_TD = torch.cat(states)
    return hidden_TD.index_select(0, torch.cat(places).argsort())


def load_masked_lm(source: ModelSource, rotary_base: float = 0.0) -> tuple[Any, tuple[str, ...]]:
    """Load a checkpoint with its masked-language head, in fp32; also return what the checkpoint lacked.

    A folder without weights holds a model to be trained from scratch: its weights are drawn from the
    current random state.

    Args:
        rotary_base: of ModernBERT's global layers (theta); 0 keeps the model's.

    Raises:
        BadModel: unreadable, with encoder tensors missing, or an architecture without packed training.
    """
    from transformers import AutoModelForMaskedLM

    if source.base is not None:
        raise BadModel(f"{source.name} is an adapter: there is no whole model to train further")
    config = load_config(source.folder)
    if config.model_type not in HEADS:
        raise BadModel(
            f"{source.name} is a {config.model_type} model; pretraining knows {', '.join(HEADS)}",
            fix="Choose another --model (`mbert models` lists them).",
        )
    if rotary_base:
        set_rotary_base(config, rotary_base)
    if not has_weights(source.folder):
        return random_model(AutoModelForMaskedLM, config, source.folder), ("all: random weights",)
    return load_weights(AutoModelForMaskedLM, source.folder, HEAD_NAMES, config)


def has_weights(folder: Path) -> bool:
    """Does a model's folder hold weights?"""
    return any(next(folder.glob(pattern), None) for pattern in ("*.safetensors", "pytorch_model*.bin"))


def set_rotary_base(config: Any, base: float) -> None:
    """Change the rotary base of ModernBERT's global layers, as its authors did to extend the context.

    Raises:
        BadOption: the architecture has no rotary positions.
    """
    if config.model_type != "modernbert":
        raise BadOption(f"rotary_base is for ModernBERT; this is a {config.model_type} model")
    config.rope_parameters["full_attention"]["rope_theta"] = base
