"""Attention over packed sequences: one signature, several backends, each tested against `reference`.

Shape suffixes: T tokens of all sequences, N sequences, L longest sequence, H heads, D head size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch.nn.functional import scaled_dot_product_attention

from modernbert.model.cpu_attention import BlockedAttention
from modernbert.model.layout import Layout, near
from modernbert.model.rotary import Rotary, rotated
from modernbert.model.varlen import flash, varlen

Attend = Callable[[torch.Tensor, Rotary, Layout, int | None, float], torch.Tensor]


def reference(
    qkv_T3HD: torch.Tensor, rotary: Rotary, layout: Layout, window: int | None, dropout: float
) -> torch.Tensor:
    """Attend within one sequence at a time: slow and plain, the oracle of the other backends.

    Args:
        qkv_T3HD: queries, keys and values of all tokens, as the model's linear layer gives them.
        rotary: turns queries and keys by their positions.
        layout: the batch's layout.
        window: how far a token sees to each side; None for the whole sequence.
        dropout: share of attention weights dropped.

    Returns:
        Attended values, shape (T, H, D).
    """
    outs = []
    q_THD, k_THD, v_THD = rotated(qkv_T3HD, rotary)
    for start, end in layout.bounds:
        q_HTD, k_HTD, v_HTD = (x[start:end].transpose(0, 1) for x in (q_THD, k_THD, v_THD))
        place = torch.arange(end - start, device=q_THD.device)
        mask = None if window is None else near(place, place, window)
        out_HTD = scaled_dot_product_attention(q_HTD, k_HTD, v_HTD, attn_mask=mask, dropout_p=dropout)
        outs.append(out_HTD.transpose(0, 1))
    return torch.cat(outs)


def padded(
    qkv_T3HD: torch.Tensor, rotary: Rotary, layout: Layout, window: int | None, dropout: float
) -> torch.Tensor:
    """Lay the tokens out as (N, L) for attention alone; every other operation stays packed.

    Arguments and result as `reference`. Sequences of very different lengths are laid out apart, see
    `Layout.parts`. Cost and memory of the masks grow with N x L (global layers) and L x L (local ones).
    """
    q_THD, k_THD, v_THD = rotated(qkv_T3HD, rotary)
    outs = [
        _padded_part(q_THD[tokens], k_THD[tokens], v_THD[tokens], part, window, dropout)
        for tokens, part in layout.parts
    ]
    return torch.cat(outs) if len(outs) > 1 else outs[0]


def _padded_part(
    q_THD: torch.Tensor,
    k_THD: torch.Tensor,
    v_THD: torch.Tensor,
    layout: Layout,
    window: int | None,
    dropout: float,
) -> torch.Tensor:
    batch = layout.batch
    size = (batch.num_sequences, batch.max_length)

    def spread(x_THD: torch.Tensor) -> torch.Tensor:
        if not batch.is_rectangular:
            gaps = x_THD.new_zeros(size[0] * size[1], *x_THD.shape[1:])
            x_THD = gaps.index_copy(0, layout.slot_T, x_THD)
        return x_THD.view(*size, *x_THD.shape[1:]).transpose(1, 2)

    out_NHLD = scaled_dot_product_attention(
        spread(q_THD), spread(k_THD), spread(v_THD), attn_mask=layout.mask(window), dropout_p=dropout
    )
    out_SHD = out_NHLD.transpose(1, 2).reshape(-1, *q_THD.shape[1:])
    return out_SHD if batch.is_rectangular else out_SHD.index_select(0, layout.slot_T)


def blocked(
    qkv_T3HD: torch.Tensor, rotary: Rotary, layout: Layout, window: int | None, dropout: float
) -> torch.Tensor:
    """Attend on the CPU without padding or n x n masks, see `BlockedAttention`.

    Arguments and result as `reference`.
    """
    assert not dropout, "torch's kernel for the CPU has no dropout"
    attend = cast("Callable[..., torch.Tensor]", BlockedAttention.apply)
    return attend(qkv_T3HD, rotary, layout.tiles(window))


BACKENDS: dict[str, Attend] = {
    "reference": reference,
    "padded": padded,
    "blocked": blocked,
    "varlen": varlen,
    "flash": flash,
}
WITHOUT_DROPOUT = {"blocked", "varlen"}


def backend_for(name: str, dropout: float) -> Attend:
    """Return a backend by name; where its kernel drops no attention weights and some must be, `padded`."""
    return BACKENDS["padded" if dropout and name in WITHOUT_DROPOUT else name]
