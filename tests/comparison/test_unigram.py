"""The baseline of tagged words: each word's most frequent tag."""

from __future__ import annotations

from dataclasses import replace

import pytest
from helpers import request_of, toy_sentences, write_conll
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from modernbert.comparison.outcomes import read_outcomes
from modernbert.comparison.unigram import Unigram, run_unigram
from modernbert.data.entities import as_iob2
from modernbert.data.rows import Rows
from modernbert.data.sentences import read_sentences


def sentences_of(pairs):
    columns = {"tokens": [words for words, _ in pairs], "tags": [tags for _, tags in pairs]}
    return read_sentences(Rows.of(columns, "made up"), "tokens", "tags").all


def test_a_word_has_its_most_frequent_tag_and_a_new_word_that_of_all():
    model = Unigram()
    tagged = [
        (["May", "in", "May"], ["B-PER", "O", "B-DATE"]),
        (["May", "of", "Oslo"], ["B-DATE", "O", "B-LOC"]),
        (["Oslo", "on"], ["B-ORG", "O"]),
    ]
    model.fit(sentences_of(tagged))
    (asked,) = sentences_of([(["May", "Oslo", "may"], ["O", "O", "O"])])
    assert model.tags(asked) == ["B-DATE", "B-LOC", "O"], "of two as frequent, the first in the alphabet"


def test_without_words_nothing_is_tagged():
    model = Unigram()
    model.fit([])
    (asked,) = sentences_of([(["May"], ["O"])])
    assert model.tags(asked) == ["O"]


def test_it_is_a_run_scored_as_seqeval_scores(tmp_path, store):
    train, held = toy_sentences(80), toy_sentences(40, seed=1)
    path = write_conll(tmp_path / "words.conll", train)
    asked = replace(request_of(path, "unigram"), validation=str(write_conll(tmp_path / "held.conll", held)))
    (outcome,) = read_outcomes(store, run_unigram(asked, store))
    found = outcome.model, outcome.seed, outcome.trained, outcome.task
    assert found == ("unigram", None, False, "own/words")
    model = Unigram()
    model.fit(sentences_of(train))
    tags = [as_iob2(model.tags(sentence))[0] for sentence in sentences_of(held)]
    expected = f1_score([tags for _, tags in held], tags, mode="strict", scheme=IOB2)
    assert outcome.value == pytest.approx(expected) and 0 < expected < 1
