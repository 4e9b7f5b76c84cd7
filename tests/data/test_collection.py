"""Collections are read as BEIR lays them out, and what is wrong with one is named by file and row."""

from __future__ import annotations

import math

import pytest
from collections_toy import write_collection

from modernbert.data.collection import Documents, checked_collection, is_collection, read_collection
from modernbert.errors import BadData
from modernbert.evaluation.ranking import score_ranking


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
            lambda t: t + "q9\td1\t1\n",
            r"test.tsv, row 6: the query 'q9' is judged and is not in",
        ),
        ("qrels/test.tsv", lambda t: t + "q1\td2\tyes\n", r"row 6: the score 'yes' is not a whole number"),
        (
            "corpus.jsonl",
            lambda t: t + '{"_id": "d9", "text": ["a", "b"]}\n',
            "row 5: column 'text' holds",
        ),
        (
            "corpus.jsonl",
            lambda t: t + '{"_id": "d9", "text": 0}\n',
            "'text' holds 0 where",
        ),
        (
            "corpus.jsonl",
            lambda t: t + '{"_id": "d9", "text": "a", "title": 7}\n',
            "'title' holds 7",
        ),
        (
            "corpus.jsonl",
            lambda t: t + '{"_id": ["d9"], "text": "a"}\n',
            "row 5: the id is",
        ),
        (
            "queries.jsonl",
            lambda t: t + '{"_id": "q9", "text": {"a": 1}}\n',
            "'text' holds {",
        ),
        (
            "qrels/test.tsv",
            lambda t: t.partition("\n")[2],
            r"line 1: the header has no 'query-id': the first line is 'q1'(.|\n)*query-id<tab>corpus",
        ),
        (
            "qrels/test.tsv",
            lambda t: "0\t0\t1\n",
            "no 'query-id': the first line is '0'",
        ),
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


def test_a_judged_document_that_the_corpus_lacks_is_relevant_and_not_found(folder):
    """As trec_eval counts it: q2 has one of its two first, so nDCG is 1 / (1 + 1 / log2(3))."""
    with (folder / "qrels/test.tsv").open("a") as file:
        file.write("q2\tgone\t1\n")
    collection = read_collection(folder)
    assert any("judged documents that the corpus lacks: 1, such as gone" in n for n in collection.notes)
    found = score_ranking({"q2": {"d2": 1.0}}, {"q2": collection.judgements["q2"]})
    assert found.main.value == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert "gone" not in collection.to_learn_from().judgements["q2"]


def test_judgements_of_another_corpus_are_told(folder):
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tx\t1\nq2\ty\t1\n")
    with pytest.raises(BadData, match="no judged document is in the collection"):
        read_collection(folder)


def test_of_documents_with_one_id_the_first_is_kept():
    documents = Documents(["a", "b", "a"], ["", "", ""], ["first", "other", "second"])
    found = checked_collection("t", "test", documents, {"q": "x"}, {"q": {"a": 1}}, where="hub")
    assert (found.documents.ids, found.documents.texts) == (["a", "b"], ["first", "other"])
    assert found.notes == ("documents with the id of another one: 1; the first of each is kept",)
