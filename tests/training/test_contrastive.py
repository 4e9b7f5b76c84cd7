"""The contrastive objective: gradients in parts, and what counts as a negative."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import tokens_of_lengths
from torch import nn

from modernbert.data.batching import BatchPlan
from modernbert.model.packing import PackedBatch
from modernbert.training.contrastive import (
    SCORE_LOSSES,
    Contrastive,
    LateInteraction,
    PairData,
    contrastive,
    distilled,
    margin,
)


class Averager(nn.Module):
    """One vector a text, with dropout, so that the random state matters."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 16)
        self.drop = nn.Dropout(0.3)

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        rows = self.drop(self.embedding(batch.ids_T))
        return torch.zeros(batch.num_sequences, 16).index_add(0, batch.sequence_T, rows)


def data_of(**changes) -> PairData:
    """Return three queries (texts 0-2) and six documents (texts 3-8)."""
    tokens = tokens_of_lengths([3, 4, 5, 9, 2, 7, 6, 8, 3])
    values = {
        "tokens": tokens,
        "pairs_P2": np.array([[0, 3], [1, 4], [2, 5], [0, 6]]),
        "negatives": {0: np.array([7, 8]), 2: np.array([3])},
        "relevant": {0: frozenset({3, 6}), 1: frozenset({4}), 2: frozenset({5})},
        "teacher": {(0, 3): 2.0, (0, 7): 1.0, (0, 8): 0.5},
        "plan": BatchPlan(tokens.lengths[3:7], 4, 0, sort=False),
        "per_query": 2,
    }
    return PairData(**values | changes)


class Tokenwise(Averager):
    """A vector for each token."""

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        return nn.functional.normalize(self.drop(self.embedding(batch.ids_T)), dim=1)


ACCELERATOR = SimpleNamespace(
    device=torch.device("cpu"),
    autocast=lambda: torch.autocast("cpu", enabled=False),
    backward=lambda loss, **more: loss.backward(**more),
)


def test_a_batch_has_each_text_once_and_masks_what_is_relevant():
    pairs = data_of().batch(np.array([0, 1, 3]))
    assert pairs.texts_S.tolist() == [0, 1, 3, 4, 6, 7, 8]
    assert pairs.queries_B.tolist() == [0, 1, 0]
    assert pairs.first_document == 2
    assert pairs.candidates_BK.tolist() == [[0, 3, 4], [1, -1, -1], [2, 3, 4]]
    masked = [(i, j) for i, j in np.ndindex(3, 5) if not pairs.allowed_BM[i, j]]
    assert masked == [(0, 2), (2, 0)], "the query's other relevant document is no negative"


@pytest.mark.parametrize("loss", SCORE_LOSSES)
@pytest.mark.parametrize("dims", [(), (16, 4)])
def test_gradients_in_parts_are_those_of_the_whole_batch(loss, dims):
    objective = Contrastive(SCORE_LOSSES[loss], 0.1, dims)
    data, indices = data_of(), np.arange(4)
    whole = Averager().eval()
    parts = copy.deepcopy(whole)
    first = objective.accumulate(whole, data, indices, max_tokens=10_000, accelerator=ACCELERATOR)
    second = objective.accumulate(parts, data, indices, max_tokens=8, accelerator=ACCELERATOR)
    assert torch.allclose(first.loss, second.loss, atol=1e-5)
    assert first.count == second.count == 4
    assert first.tokens == second.tokens == int(data.tokens.lengths.sum())
    torch.testing.assert_close(whole.embedding.weight.grad, parts.embedding.weight.grad)
    assert whole.embedding.weight.grad.abs().sum() > 0


def test_late_interaction_in_parts_is_that_of_the_whole_batch():
    objective, data = LateInteraction(contrastive, 0.1), data_of()
    whole = Tokenwise().eval()
    parts = copy.deepcopy(whole)
    first = objective.accumulate(whole, data, np.arange(4), max_tokens=10_000, accelerator=ACCELERATOR)
    second = objective.accumulate(parts, data, np.arange(4), max_tokens=8, accelerator=ACCELERATOR)
    assert torch.allclose(first.loss, second.loss, atol=1e-5)
    torch.testing.assert_close(whole.embedding.weight.grad, parts.embedding.weight.grad)


def test_dropout_falls_alike_in_both_passes():
    """With another mask in the second pass, the gradient would not be that of the loss that was seen."""
    objective, data = Contrastive(contrastive, 0.1), data_of()
    network = Averager().train()
    torch.manual_seed(0)
    objective.accumulate(network, data, np.arange(4), max_tokens=8, accelerator=ACCELERATOR)
    cached = network.embedding.weight.grad.clone()
    network.zero_grad()

    from modernbert.data.batching import split_by_tokens
    from modernbert.model.packing import pack

    pairs = data.batch(np.arange(4))
    places = list(split_by_tokens(np.arange(9), data.tokens.lengths[pairs.texts_S], 8))
    torch.manual_seed(0)
    vectors = torch.cat([network(pack(data.tokens, pairs.texts_S[place])) for place in places])
    order = np.argsort(np.concatenate(places))
    objective.of_vectors(vectors, pairs, data.tokens.lengths[pairs.texts_S], order).backward()
    torch.testing.assert_close(network.embedding.weight.grad, cached)


def test_the_loss_is_cross_entropy_over_allowed_documents():
    pairs = data_of().batch(np.array([0, 3]))
    scores = torch.tensor([[1.0, 9.0, 0.0, 0.5], [9.0, 2.0, 0.0, 0.5]])
    e = np.exp
    expected = -np.log(e(1) / (e(1) + 1 + e(0.5))) - np.log(e(2) / (e(2) + 1 + e(0.5)))
    assert float(contrastive(scores, pairs)) == pytest.approx(expected, rel=1e-5)


def test_distillation_is_zero_where_student_and_teacher_agree():
    pairs = data_of().batch(np.array([0, 1]))  # the second query has no teacher: it adds nothing
    # Columns: documents 3, 4, 7, 8; the teacher's scores of 3, 7, 8 are 2, 1 and 0.5.
    agreed = torch.tensor([[7.0, 0.0, 6.0, 5.5], [0.0, 1.0, 2.0, 3.0]])
    assert float(distilled(agreed, pairs)) == pytest.approx(0.0, abs=1e-6)
    assert float(margin(agreed, pairs)) == pytest.approx(0.0, abs=1e-6)
    wrong = agreed.clone()
    wrong[0, 2] = 7.0  # a margin of 0 where the teacher's is 1, of two negatives
    assert float(margin(wrong, pairs)) == pytest.approx(0.5)
    assert float(distilled(wrong, pairs)) > 0.01
