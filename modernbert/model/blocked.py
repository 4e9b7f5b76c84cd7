"""Attention on the CPU: no padding, and local layers that look only at their neighbourhood.

torch's fused kernel for the CPU takes the pieces' strided views as they are. It computes in fp32 whatever its
inputs are; in bf16 `half` replaces it where sequences are long enough: for asking, and backwards.

Shape suffixes: T tokens of all sequences, B pieces side by side, H heads, Q queries, K keys, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from modernbert.model import half
from modernbert.model.pieces import Piece
from modernbert.model.rotary import Rotary

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class BlockedAttention(torch.autograd.Function):
    """Rotation and attention over packed queries, keys and values, shape (T, 3, H, D) to (T, H, D).

    For the backward pass it keeps what the linear layers around it hold anyway (its input's values and
    its output), and turns queries and keys again.
    """

    @staticmethod
    def forward(ctx: Any, qkv_T3HD: torch.Tensor, rotary: Rotary, pieces: list[Piece]) -> torch.Tensor:
        """Attend."""
        q_THD, k_THD, v_THD = _rotated(qkv_T3HD, rotary)
        out_THD, sums = q_THD.new_empty(q_THD.shape, dtype=qkv_T3HD.dtype), []
        products, fused = _divide(pieces, qkv_T3HD.dtype)

        def views(piece: Piece) -> tuple[torch.Tensor, ...]:
            return piece.queries.of(q_THD), piece.keys.of(k_THD), piece.keys.of(v_THD)

        for piece in products:
            if ctx.needs_input_grad[0]:
                out_BHQD, _ = _flash(*views(piece), attn_mask=piece.mask)
            else:
                out_BHQD = half.attend_half(*views(piece))
            piece.queries.of(out_THD).copy_(out_BHQD)
        for piece in fused:
            out_BHQD, sums_BHQ = _flash(*views(piece), attn_mask=piece.mask)
            piece.queries.of(out_THD).copy_(out_BHQD)
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

        def views(piece: Piece) -> tuple[torch.Tensor, ...]:
            of_q, of_k = piece.queries.of, piece.keys.of
            return of_q(grad_THD), of_q(out_THD), of_q(q_THD), of_k(k_THD), of_k(v_THD)

        for piece in ctx.products:
            total.add(piece, half.differentiate_half(*views(piece)))
        for piece, sums_BHQ in zip(ctx.fused, sums, strict=True):
            grad_BHQD, out_BHQD, *inputs = (view.to(q_THD.dtype) for view in views(piece))
            rest = out_BHQD, sums_BHQ, 0.0, False
            total.add(piece, _flash_backward(grad_BHQD, *inputs, *rest, attn_mask=piece.mask))
        return total.turned_back(ctx.rotary, torch.empty_like(qkv_T3HD)), None, None


class _Gradients:
    """The sums over pieces of the gradients of turned queries and keys, and of values."""

    def __init__(self, like_THD: torch.Tensor, pieces: list[Piece]) -> None:
        self.overlap = any(piece.keys.length > piece.queries.length for piece in pieces)
        new = torch.zeros_like if self.overlap else torch.empty_like
        self.q_THD, self.k_THD, self.v_THD = torch.empty_like(like_THD), new(like_THD), new(like_THD)

    def add(self, piece: Piece, gradients: Sequence[torch.Tensor]) -> None:
        q_BHQD, *others = gradients
        piece.queries.of(self.q_THD).copy_(q_BHQD)
        for total_THD, part_BHKD in zip((self.k_THD, self.v_THD), others, strict=True):
            if self.overlap:
                piece.keys.add(total_THD, part_BHKD)
            else:
                piece.keys.of(total_THD).copy_(part_BHKD)

    def turned_back(self, rotary: Rotary, out_T3HD: torch.Tensor) -> torch.Tensor:
        """Write the gradients of queries, keys and values, as they were before the rotation, to `out`."""
        for i, turned_THD in enumerate((self.q_THD, self.k_THD)):
            out_T3HD[:, i].copy_(rotary.rotate_into(torch.empty_like(turned_THD), turned_THD, back=True))
        out_T3HD[:, 2].copy_(self.v_THD)
        return out_T3HD


def _divide(pieces: list[Piece], dtype: torch.dtype) -> tuple[list[Piece], list[Piece]]:
    """Return the pieces that products are faster for, and those for the fused kernel alone."""

    def long(piece: Piece) -> bool:
        return piece.mask_QK is None and piece.keys.length >= half.MIN_KEYS

    if dtype != torch.bfloat16:
        return [], pieces
    return [piece for piece in pieces if long(piece)], [piece for piece in pieces if not long(piece)]


def _rotated(qkv_T3HD: torch.Tensor, rotary: Rotary) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries and keys, turned, and values, all of shape (T, H, D) in fp32."""
    wide_T3HD = qkv_T3HD.float() if qkv_T3HD.dtype != torch.float64 else qkv_T3HD
    q_THD, k_THD, v_THD = wide_T3HD.unbind(1)
    q_THD, k_THD = (rotary.rotate_into(x.new_empty(x.shape), x) for x in (q_THD, k_THD))
    return q_THD, k_THD, v_THD
