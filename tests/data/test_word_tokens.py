"""Where each word's first token is: beside transformers' own `word_ids`, and where sentences are cut."""

from __future__ import annotations

import numpy as np
import pytest

from modernbert.data.sentences import Sentence, words_of
from modernbert.data.word_tokens import NOWHERE, tokenize_words
from modernbert.model.loading import load_tokenizer
from modernbert.model.locate import locate_model

TEXTS = ("Ana Ruiz-Weißmüller saw Oslo .", "x", "", "naïve 😀 Straße 12345")


@pytest.fixture
def tokenizer(store):
    return load_tokenizer(locate_model("modernbert-nano", store=store))


def sentence_of(text):
    starts = [i for i, c in enumerate(text) if c != " " and (i == 0 or text[i - 1] == " ")]
    return Sentence(text, tuple((start, start + len(text[start:].split(" ")[0])) for start in starts))


def test_the_first_tokens_are_those_of_transformers(tokenizer):
    """Word by word, transformers needs the blank that each word but the first has in a text.

    A token of this blank alone is of the word there; here the word begins with its first letter.
    """
    found = tokenize_words(tokenizer, [sentence_of(text) for text in TEXTS], 64)
    for text, places, start, end in zip(
        TEXTS, found.first, found.tokens.starts, found.tokens.starts[1:], strict=False
    ):
        words = [word if i == 0 else f" {word}" for i, word in enumerate(text.split())]
        encoded = tokenizer(words, is_split_into_words=True)
        first = [encoded.word_ids().index(i) for i in range(len(words))]
        expected = [n + (tokenizer.decode(encoded["input_ids"][n]) == " ") for n in first]
        assert places.tolist() == expected
        assert found.tokens.ids[start:end].tolist() == encoded["input_ids"]


def test_words_that_are_cut_off_are_nowhere(tokenizer):
    whole = tokenize_words(tokenizer, [sentence_of(TEXTS[0])], 64)
    cut = tokenize_words(tokenizer, [sentence_of(TEXTS[0])], 6)
    assert whole.words_nowhere == 0
    assert len(cut.tokens.ids) == 6
    assert cut.tokens.full.lengths.tolist() == whole.tokens.lengths.tolist()
    seen = whole.first[0] < 5  # the sixth place is the separator's
    assert np.array_equal(cut.first[0], np.where(seen, whole.first[0], NOWHERE))
    assert cut.words_nowhere == (~seen).sum() > 0


def test_a_token_of_two_words_is_the_first_of_both(tokenizer):
    """Byte pairs may join punctuation that counts as two words."""
    text = 'He said "no".'
    found = tokenize_words(tokenizer, [Sentence(text, words_of(text))], 64)
    assert found.words_nowhere == 0
    places = found.first[0].tolist()
    assert places == sorted(places)
