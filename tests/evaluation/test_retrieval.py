"""Search, BM25, fusion and the measures of a ranking."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.evaluation import search
from modernbert.evaluation.bm25 import ANALYSERS, Bm25, word_reader, words_of
from modernbert.evaluation.fusion import fuse
from modernbert.evaluation.hits import NOTHING
from modernbert.evaluation.ranking import score_ranking
from modernbert.evaluation.search import exact_search


@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 12), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_exact_search_equals_sorting_everything(queries, documents, k, seed):
    random = np.random.default_rng(seed)
    q, d = random.normal(size=(queries, 5)), random.normal(size=(documents, 5))
    cuts = np.sort(random.integers(0, documents, 2))
    scores, numbers = exact_search(q, np.split(d, cuts), k)
    everything = q @ d.T
    expected = -np.sort(-everything, axis=1)[:, :k]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(everything, numbers, 1), expected, atol=1e-5)


def test_search_in_small_parts_gives_the_same(monkeypatch):
    random = np.random.default_rng(0)
    q, d = random.normal(size=(7, 5)), random.normal(size=(50, 5))
    whole = exact_search(q, [d], 10)
    monkeypatch.setattr(search, "MAX_SCORES", 21)
    for a, b in zip(whole, exact_search(q, [d], 10), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.integers(1, 7), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_document_scores_as_its_best_passage(sizes, k, seed):
    random = np.random.default_rng(seed)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    q, d = random.normal(size=(3, 4)), random.normal(size=(len(owners), 4))
    cuts = np.sort(random.integers(0, len(owners), 2))
    scores, numbers = exact_search(q, np.split(d, cuts), k, owners)
    best = np.stack([(q @ d.T)[:, owners == i].max(axis=1) for i in range(len(sizes))], axis=1)
    np.testing.assert_allclose(scores, -np.sort(-best, axis=1)[:, :k], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(best, numbers, 1), scores, atol=1e-5)


def test_measures_are_those_of_their_definitions():
    judgements = {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": {"x": 0}, "d": {"x": -1}}
    ranking = {"a": {"z": 3.0, "x": 2.0}, "b": {"x": 2.0, "y": 1.0}, "c": {"x": 1.0}, "d": {"x": 1.0}}
    found = score_ranking(ranking, judgements)
    assert set(found.by_query) == {"a", "b"}, "c and d have nothing relevant"
    log2, log3 = math.log2(2), math.log2(3)
    ideal = 2 / log2 + 1 / log3
    assert found.by_query["a"]["ndcg_at_10"] == pytest.approx(1 / log3)
    assert found.by_query["b"]["ndcg_at_10"] == pytest.approx((1 / log2 + 2 / log3) / ideal)
    assert found.by_query["a"]["mrr_at_10"] == 0.5
    assert found.by_query["b"]["map"] == 1
    assert found.main.metric == "ndcg_at_10"
    assert found.main.n == 2
    assert found.main.low <= found.main.value <= found.main.high


def test_a_query_without_results_scores_zero_and_mrr_looks_at_ten():
    judgements = {"a": {"x": 1}, "b": {"x": 1}}
    ranking = {"a": {f"d{i}": 20.0 - i for i in range(10)} | {"x": 1.0}}
    found = score_ranking(ranking, judgements)
    assert found.by_query["a"]["mrr_at_10"] == 0
    assert found.by_query["a"]["recall_at_100"] == 1
    assert found.by_query["b"] == dict.fromkeys(found.by_query["b"], 0.0)


def test_code_words_are_split_and_kept_whole():
    def plain(words):
        return words

    names = "readFileAsync read_file_async HTTPServer2"
    assert words_of(names, split_names=True, stem=plain) == [
        "read", "file", "async", "readfileasync", "read", "file", "async", "read_file_async",
        "http", "server", "2", "httpserver2",
    ]  # fmt: skip
    assert words_of("Read the File", split_names=False, stem=plain) == ["read", "file"]


def test_bm25_is_its_formula():
    """Lucene's form: idf = ln(1 + (N - n + 0.5) / (n + 0.5))."""
    index = Bm25(["apple apple pear", "pear plum", "plum plum plum plum"], "english")
    scores, places = index.search(["apple"], 3)
    idf, k1, b = math.log(1 + (3 - 1 + 0.5) / 1.5), 0.9, 0.4
    expected = idf * 2 / (2 + k1 * (1 - b + b * 3 / 3))
    assert places[0][0] == 0
    assert scores[0][0] == pytest.approx(expected, rel=1e-4)
    assert places[0][1:].tolist() == [NOTHING, NOTHING]


@given(st.lists(st.text("abcde ", max_size=30), min_size=1, max_size=20), st.text("abcdefg ", max_size=20))
@settings(max_examples=50, deadline=None)
def test_bm25_scores_as_the_bm25s_package_does(documents, query):
    bm25s = pytest.importorskip("bm25s")
    documents = ["fig", *documents]  # bm25s divides by the mean length
    read, chosen = word_reader("code"), ANALYSERS["code"]
    oracle = bm25s.BM25(k1=chosen.k1, b=chosen.b, method="lucene")
    vocabulary = {word: i for i, word in enumerate(sorted({w for text in documents for w in read(text)}))}
    numbers = [[vocabulary[word] for word in read(text)] for text in documents]
    oracle.index((numbers, vocabulary or {"": 0}), show_progress=False)
    known = [vocabulary[word] for word in read(query) if word in vocabulary]
    expected = oracle.get_scores_from_ids(known) if known else np.zeros(len(documents))
    scores, places = Bm25(documents, "code").search([query], len(documents))
    found = np.zeros(len(documents))
    there = places[0] != NOTHING
    found[places[0][there]] = scores[0][there]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert there.sum() == (expected > 0).sum()


def test_of_documents_that_score_alike_bm25_puts_the_first_first():
    texts = ["plum", "pear", "pear fig", "pear", "pear"]
    assert Bm25(texts).search(["pear"], 3)[1].tolist() == [[1, 3, 4]]


def test_bm25_of_unknown_words_and_of_empty_documents():
    scores, places = Bm25(["", "word"]).search(["unknown", ""], 5)
    assert places.tolist() == [[NOTHING] * 2] * 2
    assert np.isneginf(scores).all()


def test_of_equals_the_first_rankings_comes_first():
    """7 and 9 are first in one ranking and third in the other; 5 and 4 are in one alone, at rank four."""
    scores, numbers = fuse([np.array([[9, 8, 7, 5]]), np.array([[7, 8, 9, 4]])], 5)
    assert numbers[0].tolist() == [9, 7, 8, 5, 4]
    assert np.diff(scores[0]).max() < 0


def test_an_evaluation_orders_what_is_fused_as_a_search_shows_it():
    """trec_eval orders equals by id; whatever ids documents have, it must see the order of the fusion."""
    random = np.random.default_rng(0)
    rankings = [np.stack([random.permutation(50)[:30] for _ in range(20)]) for _ in range(2)]
    scores_QK, numbers_QK = fuse(rankings, 30)
    plain, equals = [1 / (60 + np.arange(1, 31))] * 2, 0
    for scores, numbers, *rows in zip(scores_QK, numbers_QK, *rankings, strict=True):
        sums = {
            n: sum(p[row == n].sum() for p, row in zip(plain, rows, strict=True)) for n in numbers.tolist()
        }
        equals += 30 - len({round(value, 9) for value in sums.values()})
        ids = {n: str(random.random()) for n in numbers.tolist()}
        found = {ids[n]: float(s) for n, s in zip(numbers.tolist(), scores, strict=True)}
        in_order = sorted(found, key=lambda one: (np.float32(found[one]), one), reverse=True)
        assert in_order == [ids[n] for n in numbers.tolist()]
        assert list(sums.values()) == pytest.approx(sorted(sums.values(), reverse=True))
    assert equals > 20


def test_fusion_adds_reciprocal_ranks():
    scores, numbers = fuse([np.array([[7, 8, 9]]), np.array([[8, 9, 5]])], 3)
    assert numbers.tolist() == [[8, 9, 7]]
    assert scores[0].tolist() == pytest.approx([1 / 62 + 1 / 61, 1 / 63 + 1 / 62, 1 / 61])
