"""Pairs and triplets of one's own become a collection."""

from __future__ import annotations

import json

import pytest

from modernbert.data.pairs import is_pairs_file, pairs_task, read_pairs
from modernbert.errors import BadData

ROWS = [
    {"query": "a", "positive": "one", "negative": "two"},
    {"query": "b", "positive": "two", "negative": ["three", "one"]},
    {"query": "a", "positive": "four", "negative": ""},
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_equal_texts_are_one_and_negatives_are_judged_zero(tmp_path):
    found, note = read_pairs(write(tmp_path / "p.jsonl", ROWS), "train")
    assert dict(found.queries) == {"q0": "a", "q1": "b"}
    assert list(found.documents.texts) == ["one", "two", "three", "four"]
    assert found.judgements["q0"] == {"d0": 1, "d1": 0, "d3": 1}
    assert found.judgements["q1"] == {"d1": 1, "d2": 0, "d0": 0}
    assert note == "query <- query, positive <- positive, negative <- negative: 2 queries, 4 documents"


def test_a_positive_stays_one_when_another_row_calls_it_a_negative(tmp_path):
    rows = [{"query": "a", "positive": "one"}, {"query": "a", "positive": "two", "negative": "one"}]
    found, _ = read_pairs(write(tmp_path / "p.jsonl", rows), "train")
    assert found.judgements["q0"] == {"d0": 1, "d1": 1}


def test_a_teachers_scores_are_kept_by_document(tmp_path):
    rows = [{"query": "a", "positive": "one", "negatives": ["two", "three"], "scores": [3.0, 1.0, 2.0]}]
    found, _ = read_pairs(write(tmp_path / "p.jsonl", rows), "train")
    assert found.teacher == {"q0": {"d0": 3.0, "d1": 1.0, "d2": 2.0}}


def test_csv_and_named_columns(tmp_path):
    path = tmp_path / "faq.csv"
    path.write_text('frage,antwort,negatives\nwie,so,"[""nein"", ""nie""]"\nwann,heute,\n')
    task, notes = pairs_task(path, text=("frage", "antwort"))
    train = task.source.make()["train"]
    assert train.judgements["q0"] == {"d0": 1, "d1": 0, "d2": 0}
    assert task.splits == ("train",)
    assert "query <- frage" in notes[0]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ({"query": "a", "positive": "b"}, True),
        ({"anchor": "a", "positive": "b", "negative": "c"}, True),
        ({"title": "a", "text": "b", "label": "c"}, False),
        ({"question": "a", "answer": "b"}, False),
    ],
)
def test_pairs_are_told_from_labelled_texts(first, expected, tmp_path):
    assert is_pairs_file(write(tmp_path / "p.jsonl", [first])) is expected
    assert not is_pairs_file(tmp_path / "missing.jsonl")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": " ", "positive": "b"}, "row 2: the column 'query' is empty"),
        ({"query": "a", "positive": None}, "row 2: the column 'positive' is empty"),
        ({"query": "a", "positive": "b", "negative": [""]}, "row 2: the column 'negative' holds something"),
        ({"query": "a", "positive": "b", "negative": "[oops]"}, "row 2: not valid JSON"),
        ({"query": "a", "positive": "b", "scores": [1, 2]}, "row 2: the scores must be a list"),
    ],
)
def test_mistakes_name_the_row(row, message, tmp_path):
    first = {"query": "x", "positive": "y", "negative": "", "scores": [1]}
    with pytest.raises(BadData, match=message):
        read_pairs(write(tmp_path / "p.jsonl", [first, row]), "train")


def test_a_missing_column_is_named(tmp_path):
    path = write(tmp_path / "p.jsonl", [{"text": "a", "body": "b"}])
    with pytest.raises(BadData, match=r"no column for the query\nColumns here: text, body"):
        read_pairs(path, "train")
    with pytest.raises(BadData, match="two text columns, and 1 were named"):
        read_pairs(path, "train", text=("text",))
