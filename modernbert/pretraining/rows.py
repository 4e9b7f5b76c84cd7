"""Pieces of text laid into rows of one length, so that every step sees about as many tokens."""

from __future__ import annotations

import numpy as np


def pack_rows(lengths: np.ndarray, size: int, seed: int) -> list[np.ndarray]:
    """Return rows of piece numbers; the lengths of a row's pieces add up to at most `size`.

    Best fit, longest first (Johnson 1974): a piece goes where the least room is left over. Pieces of one
    length are shuffled first.

    Args:
        lengths: tokens of each piece, none above `size`.
    """
    assert lengths.max(initial=0) <= size, "the store cuts pieces"
    order = np.random.default_rng(seed).permutation(len(lengths))
    order = order[np.argsort(-lengths[order], kind="stable")]
    rows: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(size + 1)]
    rooms = 0  # bit r is set when some row has room for r tokens
    for piece in order.tolist():
        length = int(lengths[piece])
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            row = by_room[room].pop()
            if not by_room[room]:
                rooms ^= 1 << room
            rows[row].append(piece)
        else:
            room, row = size, len(rows)
            rows.append([piece])
        left = room - length
        by_room[left].append(row)
        rooms |= 1 << left
    return [np.array(row) for row in rows]
