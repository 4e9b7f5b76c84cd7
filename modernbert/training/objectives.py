"""Losses. Each returns (sum, count): the loop divides once, after accumulation.

Shape suffixes: N sequences, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F

from modernbert.data.task import Kind

Loss = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, int]]


def cross_entropy(logits_NC: torch.Tensor, labels_N: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Single-label classification; labels are class indices."""
    return F.cross_entropy(logits_NC.float(), labels_N, reduction="sum"), len(labels_N)


def binary_cross_entropy(logits_NC: torch.Tensor, labels_NC: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Multi-label classification; labels are zeros and ones. The mean runs over every label."""
    loss = F.binary_cross_entropy_with_logits(logits_NC.float(), labels_NC, reduction="sum")
    return loss, labels_NC.numel()


def squared_error(logits_N1: torch.Tensor, labels_N: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Regression."""
    return F.mse_loss(logits_N1.float().squeeze(-1), labels_N, reduction="sum"), len(labels_N)


LOSSES: dict[Kind, Loss] = {
    "single_label": cross_entropy,
    "multi_label": binary_cross_entropy,
    "regression": squared_error,
}
