"""The loss of a student's vectors: how far each is from its teacher's, and how else its neighbours are.

Shape suffixes: N texts, D vector size.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

# Of the texts' similarities, and the weight of their divergence beside the cosines.
TEMPERATURE, NEIGHBOURS = 0.05, 0.2


def losses(vectors_ND: torch.Tensor, targets_ND: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return 1 minus the cosine to the teacher, and the divergence from it, each summed over texts.

    Args:
        vectors_ND: the student's, of length 1.
        targets_ND: the teacher's, of length 1.
    """
    return (1 - (vectors_ND * targets_ND).sum(dim=1)).sum(), divergence(vectors_ND, targets_ND)


def divergence(vectors_ND: torch.Tensor, targets_ND: torch.Tensor) -> torch.Tensor:
    """Return how far each text's similarities to the others are from the teacher's, summed over texts.

    The Kullback-Leibler divergence of two softmax distributions over the other texts (as in Tejankar et al.
    2021, arXiv:2010.14713, but within the batch). A cosine weighs every direction alike; this one weighs what
    decides a search: which texts are near.

    Args:
        vectors_ND: the student's, of length 1.
        targets_ND: the teacher's, of length 1.
    """

    def log_shares(of_ND: torch.Tensor) -> torch.Tensor:
        similarities_NN = of_ND @ of_ND.T / TEMPERATURE
        # Not minus infinity: its share times its difference would be no number.
        return F.log_softmax(similarities_NN.fill_diagonal_(-1e4), dim=1)

    return F.kl_div(log_shares(vectors_ND), log_shares(targets_ND), reduction="sum", log_target=True)
