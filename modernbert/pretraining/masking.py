"""Masked tokens: which are hidden, and what stands there instead.

Shape suffixes: T tokens of all sequences, M masked tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from modernbert.model.packing import PackedBatch

# Of the masked tokens, shares that are replaced by [MASK] and by a random token; the rest stay as they are
# (Devlin et al. 2019, arXiv:1810.04805, section 3.1).
AS_MASK, AS_RANDOM = 0.8, 0.1


@dataclass(frozen=True)
class MaskedBatch:
    """Sequences with some tokens hidden; `places_M` says where in the stream of T tokens."""

    batch: PackedBatch
    places_M: torch.Tensor

    @property
    def num_tokens(self) -> int:
        """T."""
        return self.batch.num_tokens

    def to(self, device: torch.device) -> MaskedBatch:
        """Return the batch on `device`."""
        return MaskedBatch(self.batch.to(device), self.places_M.to(device, non_blocking=True))


@dataclass(frozen=True)
class Masking:
    """How tokens are hidden.

    Attributes:
        share: of all tokens that are not special.
        mask_id: the id of [MASK].
        special_ids: never hidden, never drawn.
        vocabulary: ids from 0 to this are drawn from.
    """

    share: float
    mask_id: int
    special_ids: tuple[int, ...]
    vocabulary: int

    def apply(
        self, batch: PackedBatch, generator: torch.Generator | None = None
    ) -> tuple[MaskedBatch, torch.Tensor]:
        """Hide tokens; return the batch and the true ids, shape (M,). Without generator: torch's own."""
        ids_T = batch.ids_T
        special_T = torch.isin(ids_T, torch.tensor(self.special_ids))
        drawn_T = torch.rand(len(ids_T), generator=generator).masked_fill(special_T, 2.0)
        # At least one, so that no batch is empty.
        places_M = (drawn_T < max(self.share, float(drawn_T.min()) + 1e-6)).nonzero().squeeze(1)
        targets_M = ids_T[places_M]
        fate_M = torch.rand(len(places_M), generator=generator)
        random_M = torch.randint(self.vocabulary, (len(places_M),), generator=generator)
        # A special token drawn by chance would say something false about where texts end.
        random_M = torch.where(torch.isin(random_M, torch.tensor(self.special_ids)), targets_M, random_M)
        shown_M = torch.where(fate_M < AS_MASK, self.mask_id, targets_M)
        shown_M = torch.where((fate_M >= AS_MASK) & (fate_M < AS_MASK + AS_RANDOM), random_M, shown_M)
        hidden = replace(batch, ids_T=ids_T.index_copy(0, places_M, shown_M))
        return MaskedBatch(hidden, places_M), targets_M
