"""Batches: every example once an epoch, the order from seed and epoch alone, parts within the budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modernbert.data.batching import BatchPlan, split_by_tokens

lengths = st.lists(st.integers(1, 500), min_size=1, max_size=300).map(np.array)


@given(lengths, st.integers(1, 40), st.integers(0, 9))
def test_an_epoch_holds_every_example_once(lengths, size, seed):
    plan = BatchPlan(lengths, size, seed)
    batches = plan.epoch(3)
    assert len(batches) == plan.steps_per_epoch
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert sum(len(batch) != size for batch in batches) <= 1


def test_order_depends_on_seed_and_epoch_only():
    lengths = np.arange(1, 1000)
    orders = {
        (seed, epoch): np.concatenate(BatchPlan(lengths, 16, seed).epoch(epoch)).tolist()
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert orders[0, 1] == np.concatenate(BatchPlan(lengths, 16, 0).epoch(1)).tolist()
    assert len({tuple(order) for order in orders.values()}) == 4


def test_batches_are_of_like_length():
    lengths = np.random.default_rng(0).integers(1, 1000, 3200)
    spread = [np.ptp(lengths[batch]) for batch in BatchPlan(lengths, 32, 0).epoch(0)]
    assert np.mean(spread) < 60


@pytest.mark.parametrize("rows", [40, 200, 1000])
def test_an_example_has_other_companions_in_the_next_epoch(rows):
    """Sorted whole, a small file would make nearly the same batches in every epoch."""
    lengths = np.random.default_rng(0).integers(1, 100, rows)
    plan = BatchPlan(lengths, 8, 0)
    before, after = (
        {i: {*batch.tolist()} for batch in plan.epoch(e) for i in batch.tolist()} for e in (0, 1)
    )
    again = [len(before[i] & after[i]) - 1 for i in range(rows)]
    assert np.mean(again) / 7 < 0.25


@given(lengths, st.integers(1, 2000))
def test_parts_keep_the_budget_and_lose_nothing(lengths, budget):
    parts = list(split_by_tokens(np.arange(len(lengths)), lengths, budget))
    assert sorted(np.concatenate(parts)) == list(range(len(lengths)))
    for part in parts:
        assert len(part) == 1 or len(part) * lengths[part].max() <= budget


@given(lengths, st.integers(1, 2000))
def test_without_padding_parts_are_few_and_even(lengths, budget):
    parts = list(split_by_tokens(np.arange(len(lengths)), lengths, budget, padded=False))
    assert sorted(np.concatenate(parts)) == list(range(len(lengths)))
    sizes = [int(lengths[part].sum()) for part in parts]
    assert all(len(part) == 1 or size <= budget for part, size in zip(parts, sizes, strict=True))
    # A part stays below its even share by less than one sequence.
    if lengths.max() <= budget // 4:
        assert len(parts) <= 1 + -(-lengths.sum() * 4 // (3 * budget))


def test_padding_does_not_count_where_there_is_none():
    lengths = np.array([100, *[10] * 50])
    parts = [list(split_by_tokens(np.arange(51), lengths, 600, padded=padded)) for padded in (True, False)]
    assert [len(found) for found in parts] == [2, 1]
