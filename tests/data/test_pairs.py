"""Pairs and triplets of one's own become a collection."""

from __future__ import annotations

import json

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from helpers import write_csv

from modernbert.data.collections import hold_out
from modernbert.data.own import OwnData, own_task
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
        ({"query": "a", "pos": ["b"], "neg": ["c"]}, True),
        ({"anchor": "a", "positive": "b", "label": 1}, False),
        ({"anchor": "a", "positive": "b", "label": "0"}, False),
        ({"anchor": "a", "positive": "b", "label": True}, False),
        ({"anchor": "a", "positive": "b", "score": 0.75}, False),
        ({"anchor": "a", "positive": "b", "label": "billing"}, True),
        ({"query": "a", "positive": "b", "negative": "c", "label": 2.5}, True),
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
        ({"query": "a", "positive": []}, "row 2: the column 'positive' is empty"),
        ({"query": "a", "positive": ["b", 1]}, "row 2: the column 'positive' holds something"),
        ({"query": "a", "positive": "b", "negative": 3}, "row 2: the column 'negative' holds something"),
        ({"query": "a", "positive": "b", "scores": [1, 2]}, "row 2: the scores must be a list"),
    ],
)
def test_mistakes_name_the_row(row, message, tmp_path):
    first = {"query": "x", "positive": "y", "negative": "", "scores": [1]}
    with pytest.raises(BadData, match=message):
        read_pairs(write(tmp_path / "p.jsonl", [first, row]), "train")


def test_lists_of_positives_and_negatives_and_numbered_negatives(tmp_path):
    rows = [
        {"query": "a", "positive": ["one", "two"], "negatives": ["three"], "scores": [3, 2, 1]},
        {"query": "b", "positive": ["four"], "negative_1": "one", "negative_2": "five", "scores": [2, 1, 0]},
    ]
    found, note = read_pairs(write(tmp_path / "p.jsonl", rows), "train")
    texts = dict(zip(found.documents.ids, found.documents.texts, strict=True))
    judged = {q: {texts[d]: grade for d, grade in grades.items()} for q, grades in found.judgements.items()}
    assert judged == {"q0": {"one": 1, "two": 1, "three": 0}, "q1": {"four": 1, "one": 0, "five": 0}}
    assert {texts[d]: score for d, score in found.teacher["q0"].items()} == {"one": 3, "two": 2, "three": 1}
    assert "negative <- negatives, negative_1, negative_2" in note


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_text_that_looks_like_a_list_stays_a_text(tmp_path, suffix):
    texts = ["[i * i for i in range(10)]", '["a", "b"]', "print('x')"]
    rows = [{"query": f"q{i}", "positive": f"p{i}", "negative": text} for i, text in enumerate(texts)]
    path = tmp_path / f"p{suffix}"
    if suffix == ".jsonl":
        write(path, rows)
    elif suffix == ".csv":
        write_csv(path, rows)
    else:
        parquet.write_table(arrow.Table.from_pylist(rows), path)
    found, _ = read_pairs(path, "train")
    assert set(texts) <= set(found.documents.texts)


def test_a_column_of_a_table_whose_cells_are_all_lists_holds_lists(tmp_path):
    rows = [{"query": f"q{i}", "positive": f'["p{i}", "r{i}"]', "negative": '["n", "[1]"]'} for i in range(3)]
    found, note = read_pairs(write_csv(tmp_path / "p.csv", rows), "train")
    assert set(found.documents.texts) == {"p0", "p1", "p2", "r0", "r1", "r2", "n", "[1]"}
    assert "positive <- positive (lists), negative <- negative (lists)" in note


def test_labelled_pairs_are_a_task_of_labels_and_of_search_when_asked(tmp_path):
    rows = [{"anchor": f"a{i // 2}", "positive": f"p{i}", "label": i % 2, "id": i} for i in range(40)]
    path = write(tmp_path / "p.jsonl", rows)
    task, _ = own_task(OwnData(path=str(path)))
    assert (task.text, task.labels) == (("anchor", "positive"), ("0", "1"))
    found, note = read_pairs(path, "train")
    assert found.judgements["q1"] == {"d2": 0, "d3": 1}
    assert "grade <- label (1 relevant, 0 not) (not read: id)" in note


def test_held_out_pairs_have_a_relevant_document(tmp_path):
    rows = [{"anchor": f"a{i}", "positive": f"p{i}", "label": int(i < 3)} for i in range(60)]
    found, _ = read_pairs(write(tmp_path / "p.jsonl", rows), "train")
    assert any("queries without a relevant document: 57" in note for note in found.notes)
    for part in hold_out(found):
        assert any(1 in grades.values() for grades in part.judgements.values())
    path = write(tmp_path / "one.jsonl", rows[2:])
    with pytest.raises(BadData, match="too few different queries with a relevant document"):
        hold_out(read_pairs(path, "train")[0])
    with pytest.raises(BadData, match="no query has a relevant document"):
        read_pairs(write(tmp_path / "none.jsonl", rows[3:]), "train")


def test_pairs_that_all_match_are_told_of_search(tmp_path):
    rows = [{"anchor": f"a{i}", "positive": f"p{i}", "label": 1} for i in range(40)]
    with pytest.raises(BadData, match=r"has 1 different value;(.|\n)*--kind retrieval"):
        own_task(OwnData(path=str(write(tmp_path / "p.jsonl", rows))))


def test_a_missing_column_is_named(tmp_path):
    path = write(tmp_path / "p.jsonl", [{"text": "a", "body": "b"}])
    with pytest.raises(BadData, match=r"no column for the query\nColumns here: text, body"):
        read_pairs(path, "train")
    with pytest.raises(BadData, match="two text columns, and 1 were named"):
        read_pairs(path, "train", text=("text",))
