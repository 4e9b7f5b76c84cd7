"""Search, BM25, fusion and the measures of a ranking."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.evaluation import search
from modernbert.evaluation.bm25 import ANALYSERS, Bm25, word_reader, words_of
from modernbert.evaluation.fusion import DEPTH, fuse
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


def ranking(scores, numbers):
    return np.array([scores], np.float32), np.array([numbers])


def test_of_equals_the_first_rankings_comes_first():
    """7 and 9 are first in one ranking and third in the other; 5 and 4 are fourth in one alone."""
    places = [5, 3, 2, 1]
    scores, numbers = fuse([ranking(places, [9, 8, 7, 5]), ranking(places, [7, 8, 9, 4])], 5)
    assert numbers[0].tolist() == [9, 7, 8, 5, 4]
    assert np.diff(scores[0]).max() < 0


def test_an_evaluation_orders_what_is_fused_as_a_search_shows_it():
    """trec_eval orders equals by id; whatever ids documents have, it must see the order of the fusion."""
    random = np.random.default_rng(0)
    levels = np.tile(np.repeat(np.arange(10, 0, -1), 3), (20, 1))
    rankings = [(levels, np.stack([random.permutation(30) for _ in range(20)])) for _ in range(2)]
    equals = 0
    for scores, numbers, *rows in zip(*fuse(rankings, 30), *(r[1] for r in rankings), strict=True):
        sums = {n: sum(levels[0][row == n].sum() for row in rows) for n in numbers.tolist()}
        equals += 30 - len(set(sums.values()))
        ids = {n: str(random.random()) for n in numbers.tolist()}
        found = {ids[n]: float(s) for n, s in zip(numbers.tolist(), scores, strict=True)}
        in_order = sorted(found, key=lambda one: (np.float32(found[one]), one), reverse=True)
        assert in_order == [ids[n] for n in numbers.tolist()]
        assert list(sums.values()) == sorted(sums.values(), reverse=True)
    assert equals > 20


def test_fusion_adds_standardised_scores():
    """A document that BM25 did not find counts as one that it scores 0; scipy standardises."""
    dense, sparse = ranking([0.9, 0.5, 0.4, 0.2], [7, 8, 9, 5]), ranking([12.0, 3.0], [8, 5])
    scores, numbers = fuse([dense, sparse], 4)
    cosines = dict(zip([7, 8, 9, 5], scipy.stats.zscore([0.9, 0.5, 0.4, 0.2]), strict=True))
    of_8, of_5, of_none, _ = scipy.stats.zscore([12.0, 3.0, 0.0, 0.0])
    expected = {7: cosines[7] + of_none, 8: cosines[8] + of_8, 9: cosines[9] + of_none, 5: cosines[5] + of_5}
    assert dict(zip(numbers[0].tolist(), scores[0].tolist(), strict=True)) == pytest.approx(
        expected, abs=1e-6
    )
    assert numbers[0].tolist() == sorted(expected, key=lambda n: -expected[n])


def test_one_document_with_a_rare_word_comes_first_among_the_alike():
    """The only document that BM25 finds must gain by it, though its ranking has nothing to compare."""
    dense = ranking([0.52, 0.51, 0.50, 0.1], [1, 2, 3, 4])
    assert fuse([dense, ranking([7.5], [3])], 4)[1][0].tolist()[0] == 3


def test_what_a_ranking_cut_off_counts_as_its_last():
    dense = ranking([1.0, 0.9], [DEPTH, DEPTH + 1])
    cut = ranking(np.linspace(9, 5, DEPTH), np.arange(DEPTH))
    scores, numbers = fuse([dense, cut], DEPTH + 2)
    found = dict(zip(numbers[0].tolist(), scores[0].tolist(), strict=True))
    values = np.linspace(9, 5, DEPTH, dtype=np.float32)
    by_words = scipy.stats.zscore(np.append(values, [values[-1]] * 2))
    by_meaning = scipy.stats.zscore([1.0, 0.9, *[0.0] * DEPTH])
    assert found[DEPTH - 1] == pytest.approx(by_words[-1] + by_meaning[-1], abs=1e-3)
    assert found[DEPTH] == pytest.approx(by_words[-1] + by_meaning[0], abs=1e-3)
