"""Give a ModernBERT of transformers, sentence-transformers or peft the packed forward pass; and take it back.

    model = modernbert.accelerate(AutoModelForMaskedLM.from_pretrained(...))

The model keeps its class, its parameters and its padded interface; only the encoder inside runs packed.

Shape suffixes: N sequences, L longest sequence, T tokens of all sequences, D hidden size.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import transformers
from transformers.modeling_outputs import BaseModelOutput

from modernbert.errors import BadModel
from modernbert.model.encoder import modernbert_hidden
from modernbert.model.packing import PackedBatch

M = TypeVar("M", bound=torch.nn.Module)


class ModernBertModel(transformers.ModernBertModel):  # type: ignore[misc]  # the library is not typed
    """The encoder with the packed forward pass; of the same name, so that checkpoints do not change."""

    def forward(
        self, input_ids: torch.Tensor | None = None, attention_mask: Any = None, **others: Any
    ) -> Any:
        """Return `BaseModelOutput` with hidden states (N, L, D), zero at padding."""
        rows = None if input_ids is None else _rows(self, input_ids, attention_mask, others)
        if input_ids is None or rows is None:
            return super().forward(input_ids=input_ids, attention_mask=attention_mask, **others)
        batch, index_T = unpad(input_ids, rows)
        hidden_TD = modernbert_hidden(self, batch)
        size = input_ids.shape
        if index_T is not None:
            gaps = hidden_TD.new_zeros(size[0] * size[1], hidden_TD.shape[1])
            hidden_TD = gaps.index_copy(0, index_T, hidden_TD)
        return BaseModelOutput(last_hidden_state=hidden_TD.view(*size, -1))


def accelerate(model: M) -> M:
    """Make every ModernBERT encoder in `model` run packed; `model` itself is returned.

    Outputs at real tokens are the same; hidden states at padding become zeros. A call that asks for
    something else than last hidden states (all layers, attentions, embeddings as input) runs as before.

    Raises:
        BadModel: there is no ModernBERT encoder in it.
    """
    for encoder in _encoders(model):
        encoder.__class__ = ModernBertModel
    return model


def restore(model: M) -> M:
    """Undo `accelerate`; `model` itself is returned. Raises BadModel as `accelerate`."""
    for encoder in _encoders(model):
        encoder.__class__ = transformers.ModernBertModel
    return model


def _encoders(model: torch.nn.Module) -> list[Any]:
    kinds = (ModernBertModel, transformers.ModernBertModel)
    found = [module for module in model.modules() if type(module) in kinds]
    if not found:
        raise BadModel(f"there is no ModernBERT encoder in this {type(model).__name__}")
    return found


def _rows(encoder: Any, input_ids: Any, mask: Any, others: dict[str, Any]) -> list[tuple[int, int]] | None:
    """Return each row's first real token and how many follow; None where the packed path is not the same."""
    wants_more = encoder.config.output_hidden_states or encoder.config.output_attentions
    if wants_more or others.get("return_dict") is False:
        return None
    if any(
        value is not None and value is not False for name, value in others.items() if name != "return_dict"
    ):
        return None
    if mask is None:
        return [(0, input_ids.shape[1])] * len(input_ids)
    if not isinstance(mask, torch.Tensor) or mask.ndim != 2:
        return None
    real_NL = mask.bool()
    places_L = torch.arange(real_NL.shape[1], device=mask.device)
    first_N = real_NL.int().argmax(1)
    count_N = real_NL.sum(1)
    last_N = torch.where(real_NL, places_L, -1).amax(1)
    first, count, last = torch.stack((first_N, count_N, last_N)).tolist()
    # A gap inside a text, or a text of no tokens, is for transformers' own forward.
    if any(n == 0 or b - a + 1 != n for a, n, b in zip(first, count, last, strict=True)):
        return None
    return list(zip(first, count, strict=True))


def unpad(input_ids_NL: torch.Tensor, rows: list[tuple[int, int]]) -> tuple[PackedBatch, torch.Tensor | None]:
    """Pack padded rows, longest first, so that equal lengths stand side by side.

    Args:
        input_ids_NL: padded token ids.
        rows: each row's first real token and how many there are.

    Returns:
        The batch, and where each of its tokens stands in the flattened (N, L); None when nothing is padded.
    """
    size, device = input_ids_NL.shape, input_ids_NL.device
    order = sorted(range(len(rows)), key=lambda i: -rows[i][1])
    batch = PackedBatch.of_lengths([rows[i][1] for i in order], device)
    if batch.is_rectangular and batch.max_length == size[1]:
        return batch.with_ids(input_ids_NL.reshape(-1)), None
    offsets_N = torch.tensor([i * size[1] + rows[i][0] for i in order], device=device)
    index_T = offsets_N[batch.sequence_T] + batch.positions_T
    return batch.with_ids(input_ids_NL.reshape(-1)[index_T]), index_T
