"""Where attention's kernels look: a packed batch cut into calls over views of equal shape.

Sequences of equal length that stand side by side are one call without a copy, and so is a long sequence's
local attention, over overlapping blocks of keys.

Shape suffixes: T tokens of all sequences, B tiles side by side, H heads, Q queries, K keys, D head size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch


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
class Tile:
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


def cut(lengths: Sequence[int], window: int | None) -> list[Tile]:
    """Cut a batch into kernel calls; `window` is how far a token sees to each side (None: everything)."""
    tiles: list[Tile] = []
    for start, count, length in group_lengths(lengths):
        whole = Span(start, length, count, length)
        if window is None or length <= window + 1:
            tiles.append(Tile(whole, whole, None))
        elif length <= 4 * window:
            tiles.append(Tile(whole, whole, band(window)[:length, :length]))
        else:
            tiles += _blocks(start, count, length, window)
    return tiles


def _blocks(start: int, count: int, length: int, window: int) -> Iterator[Tile]:
    """Cut `count` sequences of one length into blocks of `window` queries: first, middle ones, last two."""
    mask = band(window)
    yield Tile(
        Span(start, length, count, window),
        Span(start, length, count, 2 * window),
        mask[:window, : 2 * window],
    )
    middle = -(-length // window) - 3  # blocks whose neighbours on both sides are whole
    for first in range(start, start + count * length, length):
        queries = Span(first + window, window, middle, window)
        keys = Span(first, window, middle, 3 * window)
        yield Tile(queries, keys, mask[window : 2 * window, : 3 * window])
    done = (middle + 1) * window
    rest, seen = length - done, length - done + window
    yield Tile(
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
