"""Late interaction: the best match of each token, and padding that never wins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.evaluation import late_search
from modernbert.evaluation.late_search import max_sim_search
from modernbert.model.late_interaction import max_sim, pad_rows


def rows(random, lengths, size=5):
    return [random.normal(size=(length, size)).astype(np.float16) for length in lengths]


def slow(query, document):
    return float(np.mean([max(q @ d for d in document) for q in query]))


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.integers(0, 1000),
)
@settings(max_examples=30, deadline=None)
def test_search_equals_comparing_every_token(query_lengths, document_lengths, seed):
    random = np.random.default_rng(seed)
    queries, documents = rows(random, query_lengths), rows(random, document_lengths)
    scores, numbers = max_sim_search(queries, documents, 4)
    expected = np.array(
        [[slow(q.astype(np.float32), d.astype(np.float32)) for d in documents] for q in queries]
    )
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :4], atol=1e-3)
    np.testing.assert_allclose(np.take_along_axis(expected, numbers, 1), scores, atol=1e-3)


def test_small_blocks_give_the_same(monkeypatch):
    random = np.random.default_rng(0)
    queries, documents = rows(random, [3, 5]), rows(random, list(range(1, 30)))
    whole = max_sim_search(queries, documents, 10)
    monkeypatch.setattr(late_search, "MAX_COSINES", 100)
    for a, b in zip(whole, max_sim_search(queries, documents, 10), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_padding_does_not_win_over_negative_cosines():
    query, there = pad_rows(torch.tensor([[1.0, 0.0]]), [1])
    documents, mask = pad_rows(torch.tensor([[-1.0, 0.0], [-0.5, 0.0], [-0.9, 0.0]]), [1, 2])
    assert max_sim(query, there, documents, mask)[0].tolist() == pytest.approx([-1.0, -0.5])
