"""Attention on the CPU: no padding, and local layers that look only at their neighbourhood.

torch's fused CPU kernel takes strided views, so sequences of equal length that stand side by side are one
call without a copy, and a long sequence's local attention is one call over overlapping blocks of keys. The
kernel computes in fp32 whatever the inputs are; in bf16 it is slower, and its backward pass twice as slow.
`half` replaces it where no gradient is asked for.

Shape suffixes: T tokens of all sequences, B pieces side by side, H heads, Q queries, K keys, D head size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from modernbert.model.half import MIN_KEYS, attend_half
from modernbert.model.rotary import Rotary

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True)
class Span:
    """`batch` runs of `length` tokens, the first at `start`, each `step` tokens after the one before it."""

    start: int
    step: int
    batch: int
    length: int

    def of(self, x_THD: torch.Tensor) -> torch.Tensor:
        """Return these tokens as a view of shape (B, H, length, D)."""
        row, head, last = x_THD.stride()
        shape = (self.batch, x_THD.shape[1], self.length, x_THD.shape[2])
        strides = (self.step * row, head, row, last)
        return x_THD.as_strided(shape, strides, x_THD.storage_offset() + self.start * row)

    def add(self, x_THD: torch.Tensor, values_BHKD: torch.Tensor) -> None:
        """Add values to these tokens; runs may overlap by whole steps."""
        for done in range(0, self.length, self.step):
            size = min(self.step, self.length - done)
            part = Span(self.start + done, self.step, self.batch, size)
            part.of(x_THD).add_(values_BHKD[:, :, done : done + size])


@dataclass(frozen=True)
class Piece:
    """One call of the kernel: which queries see which keys; `mask_QK` is added to the scores."""

    queries: Span
    keys: Span
    mask_QK: torch.Tensor | None

    @property
    def mask(self) -> torch.Tensor | None:
        """The mask in the kernel's shape, (1, 1, Q, K)."""
        return None if self.mask_QK is None else self.mask_QK[None, None]


def group_lengths(lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (first token, number of sequences, length) for each run of equal lengths."""
    start = position = 0
    for i, length in enumerate(lengths):
        if i + 1 == len(lengths) or lengths[i + 1] != length:
            count = i + 1 - position
            yield start, count, length
            start, position = start + count * length, i + 1


def cut(lengths: Sequence[int], window: int | None) -> list[Piece]:
    """Cut a batch into kernel calls; `window` is how far a token sees to each side (None: everything)."""
    pieces = []
    for start, count, length in group_lengths(lengths):
        whole = Span(start, length, count, length)
        if window is None or length <= window + 1:
            pieces.append(Piece(whole, whole, None))
        elif length <= 4 * window:
            pieces.append(Piece(whole, whole, band(window)[:length, :length]))
        else:
            pieces += _blocks(start, count, length, window)
    return pieces


def _blocks(start: int, count: int, length: int, window: int) -> Iterator[Piece]:
    """Cut `count` sequences of one length into blocks of `window` queries: first, middle ones, last two."""
    mask = band(window)
    yield Piece(
        Span(start, length, count, window),
        Span(start, length, count, 2 * window),
        mask[:window, : 2 * window],
    )
    middle = -(-length // window) - 3  # blocks whose neighbours on both sides are whole
    for first in range(start, start + count * length, length):
        queries = Span(first + window, window, middle, window)
        keys = Span(first, window, middle, 3 * window)
        yield Piece(queries, keys, mask[window : 2 * window, : 3 * window])
    done = (middle + 1) * window
    rest, seen = length - done, length - done + window
    yield Piece(
        Span(start + done, length, count, rest),
        Span(start + done - window, length, count, seen),
        mask[window : window + rest, :seen],
    )


@lru_cache(maxsize=8)
def band(window: int) -> torch.Tensor:
    """Return a square of zeros where |query - key| <= window and minus infinity elsewhere."""
    place = torch.arange(4 * window)
    far = (place[:, None] - place[None, :]).abs() > window
    return torch.zeros(far.shape).masked_fill(far, float("-inf"))


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
        for piece in pieces:
            views = piece.queries.of(q_THD), piece.keys.of(k_THD), piece.keys.of(v_THD)
            if not ctx.needs_input_grad[0] and _is_faster_in_half(piece, qkv_T3HD.dtype):
                out_BHQD = attend_half(*views)
            else:
                out_BHQD, sums_BQH = _flash(*views, attn_mask=piece.mask)
                sums.append(sums_BQH)
            piece.queries.of(out_THD).copy_(out_BHQD)
        ctx.rotary, ctx.pieces = rotary, pieces
        ctx.save_for_backward(qkv_T3HD, out_THD, *sums)
        return out_THD

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_THD: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Return the gradient of queries, keys and values."""
        qkv_T3HD, out_THD, *sums = ctx.saved_tensors
        q_THD, k_THD, v_THD = _rotated(qkv_T3HD, ctx.rotary)
        grad_THD, out_THD = grad_THD.to(q_THD.dtype), out_THD.to(q_THD.dtype)
        overlap = any(piece.keys.length > piece.queries.length for piece in ctx.pieces)
        new = torch.zeros_like if overlap else torch.empty_like
        dq_THD, dk_THD, dv_THD = torch.empty_like(q_THD), new(q_THD), new(q_THD)
        for piece, sums_BQH in zip(ctx.pieces, sums, strict=True):
            of_q, of_k = piece.queries.of, piece.keys.of
            views = of_q(grad_THD), of_q(q_THD), of_k(k_THD), of_k(v_THD), of_q(out_THD)
            dq, dk, dv = _flash_backward(*views, sums_BQH, 0.0, False, attn_mask=piece.mask)
            of_q(dq_THD).copy_(dq)
            for total_THD, part in ((dk_THD, dk), (dv_THD, dv)):
                if overlap:
                    piece.keys.add(total_THD, part)
                else:
                    of_k(total_THD).copy_(part)
        grad_T3HD = torch.empty_like(qkv_T3HD)
        for i, turned_THD in enumerate((dq_THD, dk_THD)):
            back_THD = ctx.rotary.rotate_into(torch.empty_like(turned_THD), turned_THD, back=True)
            grad_T3HD[:, i].copy_(back_THD)
        grad_T3HD[:, 2].copy_(dv_THD)
        return grad_T3HD, None, None


def _is_faster_in_half(piece: Piece, dtype: torch.dtype) -> bool:
    return dtype == torch.bfloat16 and piece.mask_QK is None and piece.keys.length >= MIN_KEYS


def _rotated(qkv_T3HD: torch.Tensor, rotary: Rotary) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries and keys, turned, and values, all of shape (T, H, D) in fp32."""
    wide_T3HD = qkv_T3HD.float() if qkv_T3HD.dtype != torch.float64 else qkv_T3HD
    q_THD, k_THD, v_THD = wide_T3HD.unbind(1)
    q_THD, k_THD = (rotary.rotate_into(x.new_empty(x.shape), x) for x in (q_THD, k_THD))
    return q_THD, k_THD, v_THD
