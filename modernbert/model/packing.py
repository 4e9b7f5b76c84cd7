"""`PackedBatch`: sequences one after another, with no padding between the tokenizer and the head.

Shape suffixes: N sequences, T tokens of all sequences, L longest sequence, H heads, D hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from modernbert.data.tokens import PairTokens, Tokens


@dataclass(frozen=True)
class PackedBatch:
    """N sequences as one stream of T tokens.

    Attributes:
        ids_T: token ids, int64.
        starts_N1: where each sequence starts, then T; int64, shape (N + 1,).
        positions_T: position of each token in its own sequence, int64.
        sequence_T: which sequence each token belongs to, int64.
        max_length: tokens in the longest sequence (a Python number, so that no device is asked).
        type_ids_T: segment of each token, or None for models without segments.
    """

    ids_T: torch.Tensor
    starts_N1: torch.Tensor
    positions_T: torch.Tensor
    sequence_T: torch.Tensor
    max_length: int
    type_ids_T: torch.Tensor | None = None

    @classmethod
    def of_lengths(cls, lengths: Sequence[int], device: torch.device | None = None) -> PackedBatch:
        """Return sequences of these lengths whose ids are all 0; see `with_ids`."""
        lengths_N = torch.tensor(lengths, device=device)
        starts_N1 = torch.nn.functional.pad(lengths_N.cumsum(0), (1, 0))
        numbers_N = torch.arange(len(lengths), device=device)
        sequence_T = numbers_N.repeat_interleave(lengths_N, output_size=sum(lengths))
        places_T = torch.arange(sum(lengths), device=device)
        return cls(
            ids_T=torch.zeros_like(places_T),
            starts_N1=starts_N1,
            positions_T=places_T - starts_N1[sequence_T],
            sequence_T=sequence_T,
            max_length=max(lengths),
        )

    def with_ids(self, ids_T: torch.Tensor, type_ids_T: torch.Tensor | None = None) -> PackedBatch:
        """Return the same sequences with these token ids."""
        return replace(self, ids_T=ids_T, type_ids_T=type_ids_T)

    @property
    def num_sequences(self) -> int:
        """N."""
        return len(self.starts_N1) - 1

    @property
    def num_tokens(self) -> int:
        """T."""
        return len(self.ids_T)

    @property
    def is_rectangular(self) -> bool:
        """Do all sequences have the same length?"""
        return self.num_tokens == self.num_sequences * self.max_length

    def to(self, device: torch.device) -> PackedBatch:
        """Return the batch on `device`."""
        types = None if self.type_ids_T is None else self.type_ids_T.to(device, non_blocking=True)
        return PackedBatch(
            ids_T=self.ids_T.to(device, non_blocking=True),
            starts_N1=self.starts_N1.to(device, non_blocking=True),
            positions_T=self.positions_T.to(device, non_blocking=True),
            sequence_T=self.sequence_T.to(device, non_blocking=True),
            max_length=self.max_length,
            type_ids_T=types,
        )

    def pad(self, flat_T: torch.Tensor, fill: int) -> torch.Tensor:
        """Lay a per-token tensor out as (N, L), filling the gaps with `fill`."""
        if self.is_rectangular:
            return flat_T.view(self.num_sequences, self.max_length)
        padded_NL = flat_T.new_full((self.num_sequences, self.max_length), fill)
        padded_NL[self.sequence_T, self.positions_T] = flat_T
        return padded_NL


def pack(tokens: Tokens | PairTokens, indices: Sequence[int] | np.ndarray) -> PackedBatch:
    """Take the sequences at `indices` out of `tokens`, in that order; of pairs, both sequences of each."""
    if isinstance(tokens, PairTokens):
        first_N = 2 * np.asarray(indices, np.int64)
        return pack(tokens.texts, np.stack([first_N, first_N + 1], axis=1).ravel())
    spans = [slice(tokens.starts[i], tokens.starts[i + 1]) for i in indices]
    batch = PackedBatch.of_lengths([int(span.stop - span.start) for span in spans])
    types = tokens.type_ids
    return batch.with_ids(_join(tokens.ids, spans), None if types is None else _join(types, spans))


def _join(values: np.ndarray, spans: list[slice]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([values[span] for span in spans]).astype(np.int64))
