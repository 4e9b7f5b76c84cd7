"""A query's own document is left out of its results, before anything is cut; no document is no hit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.data.collection import Collection, Documents
from modernbert.errors import BadModel
from modernbert.evaluation.bm25 import Bm25
from modernbert.evaluation.fusion import fuse
from modernbert.evaluation.hits import NOTHING, unit
from modernbert.evaluation.ranking import depth, ranking_of, score_ranking, without_identical
from modernbert.evaluation.rerank import rerank
from modernbert.evaluation.search import exact_search
from modernbert.training.negatives import mine
from modernbert.training.reranking import make_groups


def collection_of(documents: int, queries: list[str], *, ignore: bool = True) -> Collection:
    ids = [f"d{i}" for i in range(documents)]
    judgements = {query: {ids[-1]: 1} for query in queries}
    held = Documents(ids, [""] * documents, [f"w{i % 3} w{i}" for i in range(documents)])
    texts = {query: f"w{i % 3} w{i}" for i, query in enumerate(queries)}
    return Collection("toy", "test", held, texts, judgements, ignore_identical=ignore)


@given(st.integers(2, 12), st.integers(1, 14), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_the_results_are_those_of_a_corpus_without_the_document(documents, k, seed):
    """The oracle searches, for each query, a corpus from which its own document was taken out."""
    draw = np.random.default_rng(seed)
    collection = collection_of(documents, ["d0", "x", f"d{documents - 1}"])
    q, d = draw.normal(size=(3, 4)), draw.normal(size=(documents, 4))
    found = without_identical(collection, exact_search(q, [d], depth(collection, k)), k)
    assert found[1].shape[1] <= k
    for place, (query, ranked) in enumerate(ranking_of(collection, *found).items()):
        others = [i for i in range(documents) if f"d{i}" != query]
        best = sorted(others, key=lambda i: -(d[i] @ q[place]))[:k]
        assert list(ranked) == [f"d{i}" for i in best]


def test_scores_that_are_no_numbers_rank_nothing():
    collection = collection_of(3, ["x", "y"])
    hits = np.array([[3.0, np.nan], [1.0, -np.inf]]), np.array([[0, 1], [0, NOTHING]])
    with pytest.raises(BadModel, match="scores of 1 of 2 queries are not numbers"):
        ranking_of(collection, *hits)


def test_nothing_changes_where_the_task_does_not_ask_for_it():
    collection = collection_of(5, ["d0"], ignore=False)
    hits = (np.array([[3.0, 2.0, 1.0]]), np.array([[0, 1, 2]]))
    assert depth(collection, 3) == 3
    assert [part.tolist() for part in without_identical(collection, hits, 3)] == [[[3, 2, 1]], [[0, 1, 2]]]


def test_bm25_finds_only_documents_that_share_a_word():
    scores, numbers = Bm25(["apple pear", "plum", "apple", "fig"]).search(["apple", "melon"], 4)
    assert sorted(numbers[0][:2].tolist()) == [0, 2]
    assert numbers[0][2:].tolist() == [NOTHING, NOTHING]
    assert numbers[1].tolist() == [NOTHING] * 4
    assert np.isneginf(scores[1]).all()


def test_fusion_does_not_reward_documents_that_bm25_did_not_find():
    """The dense ranking is right; BM25 knows none of the words. Fused, the ranking must stay right."""
    documents = [f"doc{i}" for i in range(50)]
    collection = Collection("t", "test", Documents([*documents], [""] * 50, documents), {"q": "none"}, {})
    dense = (np.linspace(1, 0, 10)[None], np.arange(40, 50)[None])
    sparse = Bm25(documents).search(["none"], 10)
    fused = ranking_of(collection, *fuse([dense, sparse], 10))["q"]
    assert list(fused) == documents[40:]
    assert score_ranking({"q": fused}, {"q": {"doc40": 1}}).main.value == 1


def test_a_reranker_reads_what_is_there_and_keeps_the_rest_behind():
    numbers = np.array([[4, 2, 7, NOTHING], [NOTHING] * 4])
    read = []

    def score(pairs):
        read.extend(pairs)
        return np.array([float(len(document)) for _, document in pairs])

    texts = ["", "", "long text", "", "short", "", "", "x"]
    scores, found = rerank(score, ["a", "b"], texts, numbers, depth=2)
    assert found.tolist() == [[2, 4, 7, NOTHING], [NOTHING] * 4]
    assert scores[0][2] < scores[0][1]
    assert [document for _, document in read] == ["short", "long text"]


def test_negatives_are_never_the_query_itself():
    collection = collection_of(6, ["d0", "d1"])
    vectors = np.eye(6, dtype=np.float32)[:, :4] + 0.01
    vectors[5] = vectors[0] + vectors[1] + 1
    mined, _ = mine(collection, vectors[:2], vectors, per_query=6, seed=0)
    assert all(query not in grades for query, grades in mined.items())
    for group in make_groups(collection, "english", 4, seed=0):
        texts = dict(zip(collection.queries.values(), collection.queries, strict=True))
        own = collection.documents.texts[collection.documents.ids.index(texts[group[0][0]])]
        assert own not in [document for _, document in group]


@pytest.mark.parametrize("ignore", [True, False])
@pytest.mark.filterwarnings("ignore")  # of what mteb imports
def test_mteb_agrees_with_and_without(ignore):
    """mteb's own search and scores, from the same vectors."""
    pytest.importorskip("mteb")
    from modernbert.evaluation import via_mteb

    draw = np.random.default_rng(1)
    collection = collection_of(30, [f"d{i}" for i in range(12)] + ["x"], ignore=ignore)
    vectors = {text: draw.normal(size=8).astype(np.float32) for text in collection.documents.texts}

    class Embedder:
        class settings:
            similarity = "cosine"

        def encode(self, texts, kind="document"):
            return np.stack([vectors[text] for text in texts])

    embedder = Embedder()
    queries = unit(embedder.encode(list(collection.queries.values())))
    hits = exact_search(queries, [unit(np.stack([*vectors.values()]))], depth(collection, 20))
    found = without_identical(collection, hits, 20)
    ours = score_ranking(ranking_of(collection, *found), collection.judgements).main.value
    theirs = via_mteb.mteb_scores(collection, embedder)["ndcg_at_10"]
    assert ours == pytest.approx(theirs, abs=1e-4)
