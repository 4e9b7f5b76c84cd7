"""Collections are read as BEIR lays them out, and what is wrong with one is named by file and row."""

from __future__ import annotations

import pytest
from collections_toy import write_collection

from modernbert.data.collection import is_collection, read_collection
from modernbert.errors import BadData


@pytest.fixture
def folder(tmp_path):
    return write_collection(tmp_path / "toy")


def test_reads_what_is_judged(folder):
    toy = read_collection(folder)
    assert is_collection(folder)
    assert (toy.name, toy.split, len(toy.documents)) == ("toy", "test", 4)
    assert dict(toy.queries) == {"q1": "good w2", "q2": "awful w4", "q3": "w7 w8"}
    assert toy.judgements["q1"] == {"d1": 2, "d3": 1}
    assert toy.documents.with_titles() == ["w1 good fine w2 w3", "bad awful w4", "w5 w6 w7 w8", ""]
    assert toy.notes == ("documents without text: 1; they stay in the corpus and match nothing",)


def test_the_fingerprint_is_of_everything(folder):
    first = read_collection(folder).fingerprint()
    assert read_collection(folder).fingerprint() == first
    path = folder / "qrels" / "test.tsv"
    path.write_text(path.read_text().replace("q3\td1\t0", "q3\td1\t1"))
    assert read_collection(folder).fingerprint() != first


def test_queries_without_a_relevant_document_are_counted(folder):
    path = folder / "qrels" / "test.tsv"
    path.write_text(path.read_text().replace("q2\td2\t1", "q2\td2\t0"))
    assert "queries without a relevant document: 1" in read_collection(folder).notes[1]


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("corpus.jsonl", lambda t: t + "{broken\n", r"corpus.jsonl, row 5 .*not valid JSON"),
        ("corpus.jsonl", lambda t: t + '{"_id": "d2", "text": "x"}\n', r"row 5: the id 'd2' stands in row 2"),
        ("corpus.jsonl", lambda t: t + '{"title": "x"}\n', r"row 5: a row needs '_id' and 'text'"),
        ("corpus.jsonl", lambda t: "", "the corpus has no documents"),
        ("queries.jsonl", lambda t: t.replace("awful w4", " "), r"queries.jsonl, row 2: query 'q2' is empty"),
        (
            "qrels/test.tsv",
            lambda t: t + "q9\td1\t1\n",
            r"test.tsv, row 6: the query 'q9' is judged and is not in",
        ),
        (
            "qrels/test.tsv",
            lambda t: t + "q1\td9\t1\n",
            r"test.tsv, row 6: the document 'd9' is judged and is not in",
        ),
        ("qrels/test.tsv", lambda t: t + "q1\td2\tyes\n", r"row 6: a judgement has the .* score: 'yes'"),
        ("qrels/test.tsv", lambda t: t + "q1\td1\t1\n", r"row 6: 'q1' and 'd1' are judged twice"),
        (
            "qrels/test.tsv",
            lambda t: t.replace("\t1\n", "\t0\n").replace("\t2\n", "\t-1\n"),
            "no query has a",
        ),
        ("qrels/test.tsv", lambda t: t.split("\n")[0] + "\n", "there are no judgements"),
    ],
)
def test_what_is_wrong_is_named(file, change, message, folder):
    path = folder / file
    path.write_text(change(path.read_text()))
    with pytest.raises(BadData, match=message):
        read_collection(folder)


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl"])
def test_half_a_collection_is_told_what_it_lacks(file, folder):
    (folder / file).unlink()
    assert is_collection(folder)
    with pytest.raises(BadData, match=f"{file}.*no such file"):
        read_collection(folder)


def test_an_unknown_split_names_those_that_are_there(folder):
    with pytest.raises(BadData, match="no split 'dev'") as error:
        read_collection(folder, "dev")
    assert error.value.fix == "Splits here: test."
