"""Token arrays agree with the tokenizer, count what was cut, and mark the second text of a pair."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from helpers import tokens_of

from modernbert.data import tokens as module
from modernbert.data.tokens import TokenLengths, auto_max_length, joined, measure, tokenize

TEXTS = [("good w1 w2",), ("bad",), ("w1 " * 30,), ("",)]


def test_flat_arrays_are_what_the_tokenizer_gives(tiny_tokenizer, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 3)
    found = tokenize(tiny_tokenizer, TEXTS, 12)
    for i, (text,) in enumerate(TEXTS):
        expected = tiny_tokenizer(text, truncation=True, max_length=12)["input_ids"]
        assert found.ids[found.starts[i] : found.starts[i + 1]].tolist() == expected
    assert found.full.lengths.tolist() == [5, 3, 32, 2]
    assert found.lengths.tolist() == [5, 3, 12, 2]
    assert found.full.share_over(12) == 0.25
    assert measure(tiny_tokenizer, TEXTS).lengths.tolist() == [5, 3, 32, 2]


def test_the_longer_text_of_a_pair_is_cut_first(tiny_tokenizer):
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.model_input_names = ["input_ids", "token_type_ids"]
    found = tokenize(tokenizer, [("good w1", "w2 " * 40)], 12)
    assert found.ids.tolist()[:4] == tiny_tokenizer("good w1")["input_ids"]
    assert found.type_ids.tolist() == [0] * 4 + [1] * 8


def test_no_texts_give_empty_arrays(tiny_tokenizer):
    assert len(tokenize(tiny_tokenizer, [], 12)) == 0


def test_the_automatic_length_covers_99_percent_and_fits_the_context():
    lengths = TokenLengths(np.array([10] * 199 + [500]))
    assert auto_max_length(lengths, 512) == 16
    assert auto_max_length(TokenLengths(np.array([700])), 512) == 512
    assert auto_max_length(TokenLengths(np.zeros(0, int)), 512) == 8


@pytest.mark.parametrize("types", [False, True])
def test_parts_joined_in_another_order_are_those_texts(types):
    whole = tokens_of([[5], [6, 7, 8], [], [9, 10]])
    if types:
        whole = replace(whole, type_ids=np.array([0, 0, 0, 1, 0, 1], np.int8))
    parts = whole.parts()
    assert [part.ids.tolist() for part in parts] == [[5], [6, 7, 8], [], [9, 10]]
    assert [part.starts.tolist() for part in parts] == [[0, 1], [0, 3], [0, 0], [0, 2]]
    again = joined([parts[3], parts[1]])
    assert again.ids.tolist() == [9, 10, 6, 7, 8]
    assert again.starts.tolist() == [0, 2, 5]
    assert again.full.lengths.tolist() == [2, 3]
    assert (again.type_ids.tolist() if types else again.type_ids) == ([0, 1, 0, 0, 1] if types else None)
    pairs = whole.parts(2)
    assert [pair.starts.tolist() for pair in pairs] == [[0, 1, 4], [0, 0, 2]]
    assert [pair.full.lengths.tolist() for pair in pairs] == [[1, 3], [0, 2]]
