"""How a batch becomes gradients. Losses return (sum, count): the loop divides once, after accumulation.

Shape suffixes: N sequences, T tokens of all sequences, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from modernbert import processes
from modernbert.data.batching import BatchPlan, share_out, split_by_tokens
from modernbert.data.task import Kind
from modernbert.model.encoder import pads
from modernbert.training.sharding import idle_passes

# Of examples that weigh as they like, the count is the sum of their weights, on the device.
Count = float | torch.Tensor
Loss = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, Count]]
# The target of a token from which nothing is learnt.
IGNORED = -100


def cross_entropy(logits_NC: torch.Tensor, labels_N: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Single-label classification; labels are class indices."""
    return F.cross_entropy(logits_NC.float(), labels_N, reduction="sum"), len(labels_N)


def binary_cross_entropy(logits_NC: torch.Tensor, labels_NC: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Multi-label classification; labels are zeros and ones. The mean runs over every label."""
    loss = F.binary_cross_entropy_with_logits(logits_NC.float(), labels_NC, reduction="sum")
    return loss, labels_NC.numel()


def token_cross_entropy(logits_TC: torch.Tensor, targets_T: torch.Tensor) -> tuple[torch.Tensor, Count]:
    """Tagging words; targets are places of tags, or `IGNORED`. The mean runs over the words."""
    loss = F.cross_entropy(logits_TC.float(), targets_T, ignore_index=IGNORED, reduction="sum")
    # A batch of sentences without words has a mean of 0, not of 0 by 0.
    return loss, (targets_T != IGNORED).sum().clamp(min=1e-9)


def weighted_loss(kind: Kind, weights_C: torch.Tensor) -> Loss:
    """Return the loss of a kind of task whose labels weigh differently.

    Of one label a text, it is torch's `CrossEntropyLoss(weight=...)`: a mean in which each example weighs as
    much as its label, so that the weights are the count. Of several, it is
    `BCEWithLogitsLoss(pos_weight=...)`, which multiplies the loss of a label that is there; the mean still
    runs over every label.
    """

    def single(logits_NC: torch.Tensor, labels_N: torch.Tensor) -> tuple[torch.Tensor, Count]:
        weights = weights_C.to(logits_NC.device)
        loss = F.cross_entropy(logits_NC.float(), labels_N, weight=weights, reduction="sum")
        return loss, weights[labels_N].sum()

    def several(logits_NC: torch.Tensor, labels_NC: torch.Tensor) -> tuple[torch.Tensor, Count]:
        weights = weights_C.to(logits_NC.device)
        loss = F.binary_cross_entropy_with_logits(
            logits_NC.float(), labels_NC, pos_weight=weights, reduction="sum"
        )
        return loss, labels_NC.numel()

    assert kind != "regression", "numbers have no labels"
    return single if kind == "single_label" else several


def squared_error(logits_N1: torch.Tensor, labels_N: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Regression."""
    return F.mse_loss(logits_N1.float().squeeze(-1), labels_N, reduction="sum"), len(labels_N)


LOSSES: dict[Kind, Loss] = {
    "single_label": cross_entropy,
    "multi_label": binary_cross_entropy,
    "regression": squared_error,
}


class TrainingData(Protocol):
    """What the loop trains on."""

    @property
    def plan(self) -> BatchPlan:
        """The order of the examples, and their lengths."""


@runtime_checkable
class Redrawn(TrainingData, Protocol):
    """Data of which something is drawn anew in every step."""

    def at(self, step: int) -> TrainingData:
        """Return it as it is in this step."""


class Batch(Protocol):
    """What a network takes: a `PackedBatch`, or one with tokens masked."""

    @property
    def num_tokens(self) -> int:
        """Tokens of all sequences."""

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`."""


class LabelledData(TrainingData, Protocol):
    """Texts with labels."""

    def batch(self, indices: np.ndarray) -> tuple[Batch, torch.Tensor]:
        """Return the examples at `indices` and their labels."""


@dataclass(frozen=True)
class BatchLoss:
    """What a batch, or one process's share of it, left behind besides its gradients."""

    loss: torch.Tensor
    count: Count
    tokens: int


class Objective(Protocol):
    """Turns the examples of a batch into gradients of the sum of their losses.

    Of several processes each takes its own share of the same batch; what they give adds up to the whole.
    """

    def accumulate(
        self, network: nn.Module, data: Any, indices: np.ndarray, *, max_tokens: int, accelerator: Any
    ) -> BatchLoss:
        """Add the gradients up, with at most `max_tokens` tokens in memory at once."""


@dataclass(frozen=True)
class PerExample:
    """A loss in which examples do not meet: a process's share is cut into parts that fit into memory."""

    loss: Loss

    def accumulate(
        self,
        network: nn.Module,
        data: LabelledData,
        indices: np.ndarray,
        *,
        max_tokens: int,
        accelerator: Any,
    ) -> BatchLoss:
        """Run each part forward and backward."""
        device = accelerator.device
        total, tokens = torch.zeros((), device=device), 0
        count: Count = 0
        shares = cut_shares(network, indices, data.plan.lengths, max_tokens)
        for part in shares[processes.number()]:
            batch, labels = data.batch(part)
            with accelerator.autocast():
                logits = network(batch.to(device))
            loss, size = self.loss(logits, labels.to(device))
            accelerator.backward(loss)
            total += loss.detach()
            count = count + size
            tokens += batch.num_tokens
        for _ in range(idle_passes(network, shares)):
            batch, _ = data.batch(indices[data.plan.lengths[indices].argmin(keepdims=True)])
            with accelerator.autocast():
                logits = network(batch.to(device))
            accelerator.backward(logits, gradient=torch.zeros_like(logits))
        return BatchLoss(total, count, tokens)


def cut_shares(
    network: nn.Module, indices: np.ndarray, lengths: np.ndarray, max_tokens: int
) -> list[list[np.ndarray]]:
    """Return of each process the parts of its share of a batch that fit into memory."""
    return [
        list(split_by_tokens(share, lengths, max_tokens, padded=pads(network)))
        for share in share_out(indices, lengths, processes.count())
    ]
