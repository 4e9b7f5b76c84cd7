"""Workloads have the lengths they say, and samples are the user's own texts."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import tokens_of_lengths

from modernbert.benchmark import workloads


@pytest.mark.parametrize("mix", workloads.MIXES)
def test_named_mixes_are_the_same_every_time(mix):
    first, second = (workloads.named(mix, 50_000) for _ in range(2))
    assert first.num_tokens == first.tokens.lengths.sum() == len(first.tokens.ids)
    np.testing.assert_array_equal(first.tokens.ids, second.tokens.ids)
    assert first.tokens.lengths.max() <= 8192
    assert first.tokens.ids.min() >= workloads.FIRST_ID


def test_equal_lengths_fill_the_budget():
    assert list(workloads.of_length(100, 1000, 30_000).tokens.lengths) == [100] * 10
    assert list(workloads.of_length(5000, 1000, 30_000).tokens.lengths) == [5000]


def test_a_sample_holds_whole_texts_of_about_the_size_asked():
    tokens = tokens_of_lengths([5, 9, 2, 30, 4, 11] * 20)
    drawn = workloads.sample("mine", tokens, 200)
    assert 200 <= drawn.num_tokens <= 230
    texts = {tokens.ids[a:b].tobytes() for a, b in zip(tokens.starts, tokens.starts[1:], strict=False)}
    for a, b in zip(drawn.tokens.starts, drawn.tokens.starts[1:], strict=False):
        assert drawn.tokens.ids[a:b].tobytes() in texts


def test_a_sample_of_few_texts_is_all_of_them():
    tokens = tokens_of_lengths([5, 9])
    assert sorted(workloads.sample("mine", tokens, 10_000).tokens.lengths) == [5, 9]
