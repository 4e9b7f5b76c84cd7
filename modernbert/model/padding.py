"""Padded rows to a packed batch, and back.

Shape suffixes: N sequences, L longest row, T tokens of all sequences, D hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from modernbert.model.packing import PackedBatch

# Each row's first real token, and how many follow without a gap.
Rows = list[tuple[int, int]]


def rows_of(input_ids_NL: torch.Tensor, mask_NL: torch.Tensor | None) -> Rows:
    """Return where the texts stand in their rows; nothing when one has a gap or no tokens."""
    if mask_NL is None:
        return [(0, input_ids_NL.shape[1])] * len(input_ids_NL)
    real_NL = mask_NL.bool()
    places_L = torch.arange(real_NL.shape[1], device=mask_NL.device)
    first_N = real_NL.int().argmax(1)
    count_N = real_NL.sum(1)
    last_N = torch.where(real_NL, places_L, -1).amax(1)
    first, count, last = torch.stack((first_N, count_N, last_N)).tolist()
    if any(n == 0 or b - a + 1 != n for a, n, b in zip(first, count, last, strict=True)):
        return []
    return list(zip(first, count, strict=True))


def unpad(input_ids_NL: torch.Tensor, rows: Rows) -> tuple[PackedBatch, torch.Tensor | None]:
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


def repad(hidden_TD: torch.Tensor, index_T: torch.Tensor | None, size: Sequence[int]) -> torch.Tensor:
    """Lay what was computed of a batch of `unpad` out as (N, L, D), zero at padding."""
    if index_T is not None:
        gaps = hidden_TD.new_zeros(size[0] * size[1], hidden_TD.shape[1])
        hidden_TD = gaps.index_copy(0, index_T, hidden_TD)
    return hidden_TD.view(*size, -1)
