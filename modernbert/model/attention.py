"""Attention over packed sequences: one signature, several backends, each tested against `reference`.

Shape suffixes: T tokens of all sequences, N sequences, L longest sequence, H heads, D head size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import cast

import torch
from torch.nn.functional import scaled_dot_product_attention

from modernbert.model.blocked import BlockedAttention, Piece, cut
from modernbert.model.packing import PackedBatch
from modernbert.model.rotary import Rotary

# fp32 and short texts: what is left is the order of summation.
SELF_TEST_TOLERANCE = 1e-4


class Layout:
    """What every layer needs to know of a batch, computed once a batch and not once a layer."""

    def __init__(self, batch: PackedBatch) -> None:
        self.batch = batch
        self._masks: dict[int | None, torch.Tensor | None] = {}
        self._pieces: dict[int | None, list[Piece]] = {}

    @cached_property
    def bounds(self) -> list[tuple[int, int]]:
        """Start and end of each sequence, as Python numbers."""
        starts: list[int] = self.batch.starts_N1.tolist()
        return list(itertools.pairwise(starts))

    @cached_property
    def slot_T(self) -> torch.Tensor:
        """Where each token stands in a flattened (N, L) layout."""
        return self.batch.sequence_T * self.batch.max_length + self.batch.positions_T

    def mask(self, window: int | None) -> torch.Tensor | None:
        """Return which keys a query may see: bool, (N, 1, L or 1, L); None when all see all."""
        if window is not None and window >= self.batch.max_length - 1:
            window = None
        if window not in self._masks:
            self._masks[window] = self._make_mask(window)
        return self._masks[window]

    def pieces(self, window: int | None) -> list[Piece]:
        """Return the kernel calls of the blocked backend."""
        if window not in self._pieces:
            self._pieces[window] = cut([end - start for start, end in self.bounds], window)
        return self._pieces[window]

    def _make_mask(self, window: int | None) -> torch.Tensor | None:
        batch = self.batch
        place_L = torch.arange(batch.max_length, device=batch.ids_T.device)
        lengths_N = batch.starts_N1.diff()
        real_N11L = (place_L < lengths_N[:, None])[:, None, None]
        if window is None:
            return None if batch.is_rectangular else real_N11L
        near_LL = near(place_L, place_L, window)
        if batch.is_rectangular:
            return near_LL[None, None]
        # A gap far from its text sees no key at all; itself it must see, or softmax gives NaN.
        itself_LL = torch.eye(batch.max_length, dtype=torch.bool, device=place_L.device)
        return real_N11L & near_LL | itself_LL


def near(query_places: torch.Tensor, key_places: torch.Tensor, window: int) -> torch.Tensor:
    """Return which keys lie within `window` tokens of each query, on either side (inclusive)."""
    return (query_places[:, None] - key_places[None, :]).abs() <= window


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


def rotated(qkv_T3HD: torch.Tensor, rotary: Rotary) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries and keys, turned, and values, each of shape (T, H, D)."""
    q_THD, k_THD, v_THD = qkv_T3HD.unbind(1)
    return rotary.rotate(q_THD), rotary.rotate(k_THD), v_THD


def padded(
    qkv_T3HD: torch.Tensor, rotary: Rotary, layout: Layout, window: int | None, dropout: float
) -> torch.Tensor:
    """Lay the tokens out as (N, L) for attention alone; every other operation stays packed.

    Arguments and result as `reference`. Cost and memory of the masks grow with N x L (global layers) and
    L x L (local ones).
    """
    batch = layout.batch
    q_THD, k_THD, v_THD = rotated(qkv_T3HD, rotary)
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

    Arguments and result as `reference`. Its kernel knows no dropout: then it is `padded` that runs.
    """
    if dropout:
        return padded(qkv_T3HD, rotary, layout, window, dropout)
    attend = cast("Callable[..., torch.Tensor]", BlockedAttention.apply)
    return attend(qkv_T3HD, rotary, layout.pieces(window))


BACKENDS: dict[str, Attend] = {"reference": reference, "padded": padded, "blocked": blocked}


@dataclass(frozen=True)
class Choice:
    """Which backend runs, and why."""

    backend: str
    reason: str

    @property
    def attend(self) -> Attend:
        """The backend's function."""
        return BACKENDS[self.backend]


@cache
def choose(device: torch.device) -> Choice:
    """Choose the attention backend of the packed encoder on a device; the choice proves itself first."""
    if device.type != "cpu":
        return Choice("padded", f"the only one so far on {device.type}; linear layers run without padding")
    if fault := self_test("blocked", device):
        return Choice("padded", f"blocked failed its self-test ({fault}); linear layers run without padding")
    return Choice("blocked", "on a CPU: no padding, local layers look at their neighbourhood only")


def self_test(backend: str, device: torch.device) -> str:
    """Compare a backend with `reference` on a few short texts, forward and backward; takes milliseconds.

    Returns:
        What is wrong, or nothing.
    """
    draw = torch.Generator().manual_seed(0)
    layout = Layout(PackedBatch.of_lengths([150, 33, 33, 1], device))
    qkv_T3HD = torch.randn(217, 3, 2, 16, generator=draw).to(device)
    angle_T1D = layout.batch.positions_T[:, None, None] * torch.linspace(0.01, 1, 8, device=device)
    rotary = Rotary(angle_T1D.cos(), angle_T1D.sin())
    try:
        for window in (None, 16):
            (out, grad), (true_out, true_grad) = (
                _with_gradient(BACKENDS[name], qkv_T3HD, rotary, layout, window)
                for name in (backend, "reference")
            )
            difference = max(float((out - true_out).abs().max()), float((grad - true_grad).abs().max()))
            if not difference < SELF_TEST_TOLERANCE:
                return f"differs from the reference by {difference:.2g}"
    except (RuntimeError, AttributeError) as error:  # a kernel that this build of torch lacks
        return str(error).splitlines()[0]
    return ""


def _with_gradient(
    attend: Attend, qkv_T3HD: torch.Tensor, rotary: Rotary, layout: Layout, window: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.enable_grad(), torch.inference_mode(False):
        leaf_T3HD = qkv_T3HD.clone().requires_grad_()
        out_THD = attend(leaf_T3HD, rotary, layout, window, 0.0)
        out_THD.square().sum().backward()  # type: ignore[no-untyped-call]
    assert leaf_T3HD.grad is not None
    return out_THD.detach(), leaf_T3HD.grad
