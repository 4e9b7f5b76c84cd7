"""Attention on the CPU: no padding, and local layers that look only at their neighbourhood.

torch's fused kernel for the CPU takes the tiles' strided views as they are. It computes in fp32 whatever its
inputs are; in bf16 `bf16_attention` replaces it where sequences are long enough: in inference, and backwards.

Shape suffixes: T tokens of all sequences, B tiles side by side, H heads, Q queries, K keys, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from modernbert.model import bf16_attention
from modernbert.model.attention_tiles import Tile
from modernbert.model.rotary import Rotary

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class BlockedAttention(torch.autograd.Function):
    """Rotation and attention over packed queries, keys and values, shape (T, 3, H, D) to (T, H, D).

    For the backward pass it keeps what the linear layers around it hold anyway (its input's values and
    its output), and turns queries and keys again.
    """

    @staticmethod
    def forward(ctx: Any, qkv_T3HD: torch.Tensor, rotary: Rotary, tiles: list[Tile]) -> torch.Tensor:
        """Attend."""
        q_THD, k_THD, v_THD = _rotated(qkv_T3HD, rotary)
        out_THD, sums = q_THD.new_empty(q_THD.shape, dtype=qkv_T3HD.dtype), []
        products, fused = _divide(tiles, qkv_T3HD.dtype)

        def views(tile: Tile) -> tuple[torch.Tensor, ...]:
            return tile.queries.of(q_THD), tile.keys.of(k_THD), tile.keys.of(v_THD)

        for tile in products:
            if ctx.needs_input_grad[0]:
                out_BHQD, _ = _flash(*views(tile), attn_mask=tile.mask)
            else:
                out_BHQD = bf16_attention.attend_bf16(*views(tile))
            tile.queries.of(out_THD).copy_(out_BHQD)
        for tile in fused:
            out_BHQD, sums_BHQ = _flash(*views(tile), attn_mask=tile.mask)
            tile.queries.of(out_THD).copy_(out_BHQD)
            sums.append(sums_BHQ)
        ctx.rotary, ctx.products, ctx.fused = rotary, products, fused
        ctx.save_for_backward(qkv_T3HD, out_THD, *sums)
        return out_THD

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_THD: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Return the gradient of queries, keys and values."""
        qkv_T3HD, out_THD, *sums = ctx.saved_tensors
        q_THD, k_THD, v_THD = _rotated(qkv_T3HD, ctx.rotary)
        total = _Gradients(q_THD, ctx.products + ctx.fused)

        def views(tile: Tile) -> tuple[torch.Tensor, ...]:
            of_q, of_k = tile.queries.of, tile.keys.of
            return of_q(grad_THD), of_q(out_THD), of_q(q_THD), of_k(k_THD), of_k(v_THD)

        for tile in ctx.products:
            total.add(tile, bf16_attention.differentiate_bf16(*views(tile)))
        for tile, sums_BHQ in zip(ctx.fused, sums, strict=True):
            grad_BHQD, out_BHQD, *inputs = (view.to(q_THD.dtype) for view in views(tile))
            rest = out_BHQD, sums_BHQ, 0.0, False
            total.add(tile, _flash_backward(grad_BHQD, *inputs, *rest, attn_mask=tile.mask))
        return total.turned_back(ctx.rotary, torch.empty_like(qkv_T3HD)), None, None


class _Gradients:
    """The sums over tiles of the gradients of turned queries and keys, and of values."""

    def __init__(self, like_THD: torch.Tensor, tiles: list[Tile]) -> None:
        self.overlap = any(tile.keys.length > tile.queries.length for tile in tiles)
        new = torch.zeros_like if self.overlap else torch.empty_like
        self.q_THD, self.k_THD, self.v_THD = torch.empty_like(like_THD), new(like_THD), new(like_THD)

    def add(self, tile: Tile, gradients: Sequence[torch.Tensor]) -> None:
        q_BHQD, *others = gradients
        tile.queries.of(self.q_THD).copy_(q_BHQD)
        for total_THD, part_BHKD in zip((self.k_THD, self.v_THD), others, strict=True):
            if self.overlap:
                tile.keys.add(total_THD, part_BHKD)
            else:
                tile.keys.of(total_THD).copy_(part_BHKD)

    def turned_back(self, rotary: Rotary, out_T3HD: torch.Tensor) -> torch.Tensor:
        """Write the gradients of queries, keys and values, as they were before the rotation, to `out`."""
        for i, turned_THD in enumerate((self.q_THD, self.k_THD)):
            out_T3HD[:, i].copy_(rotary.rotate_into(torch.empty_like(turned_THD), turned_THD, back=True))
        out_T3HD[:, 2].copy_(self.v_THD)
        return out_T3HD


def _divide(tiles: list[Tile], dtype: torch.dtype) -> tuple[list[Tile], list[Tile]]:
    """Return the tiles that products are faster for, and those for the fused kernel alone."""

    def long(tile: Tile) -> bool:
        return tile.mask_QK is None and tile.keys.length >= bf16_attention.MIN_KEYS

    if dtype != torch.bfloat16:
        return [], tiles
    return [tile for tile in tiles if long(tile)], [tile for tile in tiles if not long(tile)]


def _rotated(qkv_T3HD: torch.Tensor, rotary: Rotary) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries and keys, turned, and values, all of shape (T, H, D) in fp32."""
    wide_T3HD = qkv_T3HD.float() if qkv_T3HD.dtype != torch.float64 else qkv_T3HD
    q_THD, k_THD, v_THD = wide_T3HD.unbind(1)
    q_THD, k_THD = (rotary.rotate_into(x.new_empty(x.shape), x) for x in (q_THD, k_THD))
    return q_THD, k_THD, v_THD
