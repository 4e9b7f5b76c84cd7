"""Token arrays agree with the tokenizer, count what was cut, and mark the second text of a pair."""

from __future__ import annotations

import copy

import numpy as np

from modernbert.data import tokens as module
from modernbert.data.tokens import TokenLengths, auto_max_length, measure, tokenize

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
