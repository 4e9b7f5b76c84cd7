"""Dropout that costs little on a CPU.

torch draws one Bernoulli number at a time, which is 10 to 17 % of a small encoder's training step on a CPU.
Here one 64-bit draw decides four elements. The law is the same to 1 in 65,536; the draws come from torch's
own generator, so seeds and resume work as ever. On other devices torch's own dropout runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

ATTENTION = "mbert_sdpa"
LEVELS = 2**16


class CpuDropout(nn.Dropout):
    """`nn.Dropout` with cheap random bits on the CPU."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Zero a share `p` of the elements and scale the others by 1 / (1 - p); shape is kept."""
        if not self.training or self.p == 0 or input.device.type != "cpu":
            return F.dropout(input, self.p, self.training)
        return drop(input, self.p)


def drop(values: torch.Tensor, p: float) -> torch.Tensor:
    """Apply dropout on the CPU; only a one-byte mask is kept for the backward pass."""
    return (values * (1 / (1 - p))).masked_fill(dropped(values.shape, p), 0)


def dropped(shape: torch.Size, p: float) -> torch.Tensor:
    """Return a bool mask that is true with probability `p`, rounded to 1 / 65,536."""
    count = shape.numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    return (bits.view(torch.int16)[:count] < round(p * LEVELS) - LEVELS // 2).view(shape)


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface; shapes (N, H, L, D), mask (N, 1, L or 1, L) or None."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if dropout == 0 or query.device.type != "cpu":
        result: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return result
    scores_NHLL = (query * (scaling or query.shape[-1] ** -0.5)) @ key.transpose(2, 3)
    if attention_mask is not None:
        scores_NHLL = scores_NHLL.masked_fill(~attention_mask, torch.finfo(scores_NHLL.dtype).min)
    weights_NHLL = drop(scores_NHLL.softmax(-1), dropout).to(value.dtype)
    return (weights_NHLL @ value).transpose(1, 2).contiguous(), None


def use_cheap_dropout(model: Any) -> None:
    """Swap the dropout of a transformers model, in place; parameters and evaluation are untouched."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, CpuDropout(child.p).train(child.training))
    if model.config._attn_implementation == "sdpa" and model.config.model_type in ("bert", "roberta"):
        _register()
        model.config._attn_implementation = ATTENTION


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, _attend)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
