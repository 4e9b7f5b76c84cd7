"""Splits by hash: every row on one side, whatever the order; near-duplicates found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modernbert.data.splits import hash_split, near_duplicates

SHARES = {"test": 0.2, "validation": 0.1, "train": 0.7}
rows = st.lists(st.tuples(st.text(max_size=4), st.sampled_from("ab")), min_size=1, max_size=80)


@given(rows)
def test_every_row_is_in_exactly_one_split_and_equal_keys_stay_together(pairs):
    keys = [key for key, _ in pairs]
    parts = hash_split(keys, [stratum for _, stratum in pairs], SHARES)
    assert sorted(i for part in parts.values() for i in part) == list(range(len(pairs)))
    sides = [{keys[i] for i in part} for part in parts.values()]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]


@given(st.permutations(range(60)))
def test_order_has_no_influence(order):
    keys = [f"key {i}" for i in range(60)]
    expected = hash_split(keys, [int(k[-1]) % 2 for k in keys], SHARES)
    found = hash_split([keys[i] for i in order], [int(keys[i][-1]) % 2 for i in order], SHARES)
    for name in SHARES:
        assert {keys[i] for i in expected[name]} == {keys[order[i]] for i in found[name]}


def test_shares_hold_in_each_class_and_small_classes_are_everywhere():
    keys = [f"key {i}" for i in range(1003)]
    strata = ["big"] * 1000 + ["small"] * 3
    parts = hash_split(keys, strata, SHARES)
    assert [len(parts[name]) for name in SHARES] == [201, 101, 701]
    assert all(any(strata[i] == "small" for i in part) for part in parts.values())


def test_near_duplicates_are_found_and_others_are_not():
    base = " ".join(f"word{i}" for i in range(100))
    changed = base.replace("word50", "other").upper()
    half = " ".join(f"word{i}" for i in range(50)) + " " + " ".join(f"new{i}" for i in range(50))
    assert near_duplicates([base, "something else entirely here", changed, half, base]) == [0, 1, 0, 3, 0]
