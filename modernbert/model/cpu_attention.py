"""Attention on the CPU: no padding, and local layers that look only at their neighbourhood.

torch's fused kernel for the CPU takes the tiles' strided views as they are. With AMX it multiplies in bf16,
and keeps scores and sums in fp32. Without, it computes in fp32 whatever its inputs are, and `bf16_attention`
takes its place where sequences are long enough: in inference and, with AMX too, backwards.

Shape suffixes: T tokens of all sequences, B tiles side by side, H heads, Q queries, K keys, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from modernbert.model import bf16_attention
from modernbert.model.attention_tiles import Tile
from modernbert.model.device import has_amx
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
        # With AMX the fused kernel is up to 4 times as fast in bf16; without, it computes in fp32 anyway.
        narrow = qkv_T3HD.dtype == torch.bfloat16 and has_amx()
        q_THD, k_THD, v_THD = _rotated(qkv_T3HD, rotary, narrow=narrow)
        out_THD, sums = q_THD.new_empty(q_THD.shape, dtype=qkv_T3HD.dtype), []
        products, fused = _divide(tiles, qkv_T3HD.dtype)

        def views(tile: Tile) -> tuple[torch.Tensor, ...]:
            return tile.queries.of(q_THD), tile.keys.of(k_THD), tile.keys.of(v_THD)

        for tile in products:
            if narrow or ctx.needs_input_grad[0]:
                out_BHQD, _ = _flash(*views(tile), attn_mask=tile.mask)
            else:
                out_BHQD = bf16_attention.attend_bf16(*views(tile))
            tile.queries.of(out_THD).copy_(out_BHQD)
        for tile in fused:
            mask = None if tile.mask is None else tile.mask.to(q_THD.dtype)
            out_BHQD, sums_BHQ = _flash(*views(tile), attn_mask=mask)
            tile.queries.of(out_THD).copy_(out_BHQD)
            sums.append(sums_BHQ)
        ctx.rotary, ctx.products, ctx.fused, ctx.narrow = rotary, products, fused, narrow
        ctx.save_for_backward(qkv_T3HD, out_THD, *sums)
        return out_THD

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_THD: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Return the gradient of queries, keys and values."""
        qkv_T3HD, out_THD, *sums = ctx.saved_tensors
        q_THD, k_THD, v_THD = _rotated(qkv_T3HD, ctx.rotary, narrow=False)
        total = _Gradients(q_THD, ctx.products + ctx.fused)

        def views(tile: Tile) -> tuple[torch.Tensor, ...]:
            of_q, of_k = tile.queries.of, tile.keys.of
            return of_q(grad_THD), of_q(out_THD), of_q(q_THD), of_k(k_THD), of_k(v_THD)

        for tile in ctx.products:
            total.add(tile, bf16_attention.differentiate_bf16(*views(tile)))
        for tile, sums_BHQ in zip(ctx.fused, sums, strict=True):
            # The sums are those of what was multiplied, which may have been rounded.
            found = (view.bfloat16() if ctx.narrow else view for view in views(tile))
            grad_BHQD, out_BHQD, *inputs = (view.to(q_THD.dtype) for view in found)
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
            rotary.from_pairs(out_T3HD[:, i], turned_THD)
        out_T3HD[:, 2].copy_(self.v_THD)
        return out_T3HD


def _divide(tiles: list[Tile], dtype: torch.dtype) -> tuple[list[Tile], list[Tile]]:
    """Return the tiles that products are faster for, and those for the fused kernel alone."""

    def long(tile: Tile) -> bool:
        return tile.mask_QK is None and tile.keys.length >= bf16_attention.MIN_KEYS

    if dtype != torch.bfloat16:
        return [], tiles
    return [tile for tile in tiles if long(tile)], [tile for tile in tiles if not long(tile)]


def _rotated(
    qkv_T3HD: torch.Tensor, rotary: Rotary, *, narrow: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries and keys, turned to pairs, and values, each (T, H, D); in fp32, or bf16 if `narrow`."""
    heads = qkv_T3HD.shape[2]
    both = qkv_T3HD[:, :2].flatten(1, 2)  # queries and keys as if they were twice as many heads
    turned = rotary.to_pairs(both)
    v_THD = qkv_T3HD[:, 2]
    if narrow:
        turned = turned.bfloat16()
    else:
        v_THD = v_THD.to(turned.dtype)
    return turned[:, :heads], turned[:, heads:], v_THD
