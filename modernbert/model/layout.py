"""What the attention backends need to know of a batch, computed once a batch and not once a layer.

Shape suffixes: T tokens of all sequences, N sequences, L longest sequence.
"""

from __future__ import annotations

import itertools
from functools import cached_property

import torch

from modernbert.model.attention_tiles import Tile, cut
from modernbert.model.packing import PackedBatch


class Layout:
    """Bounds, parts, masks and tiles of a batch; each is made when it is first asked for."""

    def __init__(self, batch: PackedBatch) -> None:
        self.batch = batch
        self._masks: dict[int | None, torch.Tensor | None] = {}
        self._tiles: dict[int | None, list[Tile]] = {}

    @cached_property
    def bounds(self) -> list[tuple[int, int]]:
        """Start and end of each sequence, as Python numbers."""
        starts: list[int] = self.batch.starts_N1.tolist()
        return list(itertools.pairwise(starts))

    @cached_property
    def starts32_N1(self) -> torch.Tensor:
        """The cumulative lengths as GPU kernels want them, int32."""
        return self.batch.starts_N1.int()

    @cached_property
    def slot_T(self) -> torch.Tensor:
        """Where each token stands in a flattened (N, L) layout."""
        return self.batch.sequence_T * self.batch.max_length + self.batch.positions_T

    @cached_property
    def parts(self) -> list[tuple[slice, Layout]]:
        """Neighbouring sequences that, laid out as (N, L), are padded to at most twice their tokens.

        Beside one long text, thousands of short ones would be padded to its length. Each part comes with
        the tokens that it holds.
        """
        groups = _with_little_padding([end - start for start, end in self.bounds])
        if len(groups) == 1:
            return [(slice(0, self.batch.num_tokens), self)]
        ends = itertools.accumulate(map(sum, groups))
        batches = (PackedBatch.of_lengths(lengths, self.batch.ids_T.device) for lengths in groups)
        return [
            (slice(end - batch.num_tokens, end), Layout(batch))
            for end, batch in zip(ends, batches, strict=True)
        ]

    def mask(self, window: int | None) -> torch.Tensor | None:
        """Return which keys a query may see: bool, (N, 1, L or 1, L); None when all see all."""
        if window is not None and window >= self.batch.max_length - 1:
            window = None
        if window not in self._masks:
            self._masks[window] = self._make_mask(window)
        return self._masks[window]

    def tiles(self, window: int | None) -> list[Tile]:
        """Return the kernel calls of the blocked backend."""
        if window not in self._tiles:
            self._tiles[window] = cut([end - start for start, end in self.bounds], window)
        return self._tiles[window]

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


def _with_little_padding(lengths: list[int]) -> list[list[int]]:
    """Cut lengths into runs that fill at least half of the rectangle around them."""
    groups: list[list[int]] = [[]]
    tokens = longest = 0
    for length in lengths:
        tokens, longest = tokens + length, max(longest, length)
        if groups[-1] and (len(groups[-1]) + 1) * longest > 2 * tokens:
            groups.append([])
            tokens = longest = length
        groups[-1].append(length)
    return groups


def near(query_places: torch.Tensor, key_places: torch.Tensor, window: int) -> torch.Tensor:
    """Return which keys lie within `window` tokens of each query, on either side (inclusive)."""
    return (query_places[:, None] - key_places[None, :]).abs() <= window
