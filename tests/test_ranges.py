"""Limits of numbers."""

from __future__ import annotations

import math

import pytest

from modernbert.ranges import LENGTHS, SEEDS, Range


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan, 10**400, -1])
def test_what_is_no_number_to_compute_with_is_in_no_range(wrong):
    for limits in (LENGTHS, SEEDS, Range(0, 1), Range(0, 1, above=True, below=True)):
        assert wrong not in limits


def test_ends_are_in_or_out_as_the_words_say():
    for limits, inside, outside, words in (
        (Range(0, 1), (0, 0.5, 1), (1.01,), "from 0 to 1"),
        (Range(0, 1, below=True), (0, 0.99), (1,), "at least 0 and below 1"),
        (Range(0, 9_000, above=True), (1e-9, 9_000), (0,), "greater than 0 and at most 9,000"),
        (Range(5, 9, zero=True), (0, 5, 9), (1, 4, 10), "0 or from 5 to 9"),
    ):
        assert all(number in limits for number in inside)
        assert not any(number in limits for number in outside)
        assert str(limits) == words
