"""An index ranks by words, and by words and vectors, as an evaluation of the same texts does."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from modernbert.errors import BadData
from modernbert.evaluation.bm25 import Bm25
from modernbert.evaluation.fusion import DEPTH, fuse
from modernbert.evaluation.hits import unit
from modernbert.evaluation.search import exact_search
from modernbert.index import words
from modernbert.index.build import build_index
from modernbert.index.chunks import text_of
from modernbert.index.query import Searcher
from modernbert.index.record import RECORD, checked_chunks, model_of, read_record
from modernbert.index.store import open_store
from modernbert.index.words import ANALYSER

QUERIES = ("good w1", "w3 w4 w4 w9", "readFile", "f7.txt", "the", "w11 w12 fine bad_w2")


@pytest.fixture
def texts(tree):
    draw = random.Random(0)
    for number in range(60):
        (tree / f"f{number}.txt").write_text(" ".join(f"w{draw.randrange(20)}" for _ in range(12)) + "\n")
    return tree


def opened(folder):
    return open_store(checked_chunks(folder, read_record(folder)))


def as_documents(folder, embedder):
    """Return the texts of the chunks in order, and their vectors as the index keeps them."""
    with opened(folder) as store:
        ids = store.words().ids_N.tolist()
        stored = store.get(ids)
        found, halves = zip(*store.vectors(embedder.size), strict=True)
        vectors = dict(zip(np.concatenate(found).tolist(), np.concatenate(halves), strict=True))
    chunks = [stored[number] for number in ids]
    texts = [text_of(chunk.path, chunk.chunk) for chunk in chunks]
    return chunks, texts, np.stack([vectors[number] for number in ids]).astype(np.float32)


def compare(folder, embedder, k=200):
    chunks, texts, vectors_ND = as_documents(folder, embedder)
    sparse = Bm25(texts, ANALYSER).search(QUERIES, DEPTH)
    queries_QD = unit(embedder.encode(QUERIES, "query"))
    dense = exact_search(queries_QD, [unit(vectors_ND)], DEPTH)
    searcher = Searcher(folder, embedder)
    with opened(folder) as store:
        for query, row in zip(QUERIES, sparse[1].tolist(), strict=True):
            found = store.words().find(store.database, query, DEPTH)[1].tolist()
            assert found == [place for place in row if place >= 0], query
    for row, query in enumerate(QUERIES):
        rankings = [(scores[row : row + 1], places[row : row + 1]) for scores, places in (dense, sparse)]
        scores, places = fuse(rankings, len(chunks))
        hits = searcher.search(query, k, hybrid=True)
        assert [hit.text for hit in hits] == [chunks[place].chunk.text for place in places[0]]
        assert [hit.score for hit in hits] == pytest.approx(scores[0].tolist(), abs=1e-5)


def test_an_evaluation_of_the_same_texts_finds_the_same(texts, tmp_path, embedder):
    build_index(texts, embedder, tmp_path / "index")
    compare(tmp_path / "index", embedder)


@pytest.mark.parametrize("changes", [1, 40, 10**6])
def test_words_come_and_go_with_their_files(changes, texts, tmp_path, embedder, monkeypatch):
    monkeypatch.setattr(words, "CHANGES", changes)
    folder = tmp_path / "index"
    build_index(texts, embedder, folder)
    for number in range(0, 60, 3):
        (texts / f"f{number}.txt").unlink()
    for number in range(1, 60, 3):
        (texts / f"f{number}.txt").write_text(f"readFile w{number % 20} w3 w3\n")
    (texts / "new.txt").write_text("w4 w9\n")
    build_index(texts, embedder, folder)
    compare(folder, embedder)
    build_index(texts, embedder, tmp_path / "fresh")
    assert counts(folder) == counts(tmp_path / "fresh")


def counts(folder):
    """Return how many chunks hold each word."""
    with opened(folder) as store:
        rows = store.database.execute("SELECT word, length(postings) FROM words").fetchall()
    return dict(rows)


def test_an_index_without_chunks_finds_nothing(tree, tmp_path, embedder):
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    for path in (tree / "a.py", tree / "sub" / "b.md"):
        path.write_text("\n")
    build_index(tree, embedder, folder)
    assert Searcher(folder, embedder).search("w1", hybrid=True) == []


def test_an_index_of_the_second_version_is_built_anew_with_its_model(tree, tmp_path, embedder):
    """Its words were SQLite's, which ranks by a formula of its own."""
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    record = read_record(folder)
    with closing(sqlite3.connect(folder / record["chunks"])) as database, database:
        database.execute("DROP TABLE words")
        database.execute("CREATE VIRTUAL TABLE words USING fts5 (body)")
    (folder / RECORD).write_text(json.dumps(record | {"format": 2, "model": "mine"}))
    assert model_of(folder) == ("mine", embedder.settings.max_length)
    with pytest.raises(BadData, match="the index has format 2; this version of mbert reads format 4"):
        Searcher(folder, embedder)
    done = build_index(tree, embedder, folder)
    assert "format 2" in done.repaired
    assert done.repaired.endswith("it was rebuilt")
    compare(folder, embedder, 50)
