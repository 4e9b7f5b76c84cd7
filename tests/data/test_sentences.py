"""Tagged words: how files are read, what is mended and said, what is refused with its row."""

from __future__ import annotations

import json

import pyarrow
import pytest
from helpers import toy_sentences, write_conll
from pyarrow import parquet

from modernbert.data.conll import iter_conll
from modernbert.data.entities import Span, as_iob2, spans_of, tags_of
from modernbert.data.own import OwnData
from modernbert.data.own_sentences import token_task
from modernbert.data.rows import Rows
from modernbert.data.sentences import read_sentences, words_of
from modernbert.data.tagged_files import is_tagged
from modernbert.data.targets import resolve
from modernbert.errors import BadData, BadOption

WORDS = ["Ana", "Ruiz", "saw", "Oslo"]
TAGS = ["B-PER", "I-PER", "O", "B-LOC"]


def read(text, label, *, first="tokens", second="tags"):
    rows = Rows.of({first: [text], second: [label]}, "a file")
    return read_sentences(rows, first, second)


def test_conll_columns_are_split_at_any_blanks(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text(
        "-DOCSTART- -X- O O\n\n# id 7\nAna NNP B-PER\n#\tHT   O\n\n\nOslo  NNP B-LOC", encoding="utf-8"
    )
    assert list(iter_conll(path)) == [
        (1, {"tokens": ["Ana", "#"], "tags": ["B-PER", "O"]}),
        (2, {"tokens": ["Oslo"], "tags": ["B-LOC"]}),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Ana B-PER\nalone\n", "line 2: one column"),
        ("a O\nb X O\n", "line 2: 3 columns; the first line has 2"),
    ],
)
def test_a_ragged_conll_file_is_refused_with_its_line(tmp_path, text, said):
    path = tmp_path / "a.conll"
    path.write_text(text)
    with pytest.raises(BadData, match=said):
        list(iter_conll(path))


@pytest.mark.parametrize(
    ("given", "expected", "begun"),
    [
        # IOB1 as its authors define it: B- only between two entities of one label.
        ("I-PER I-PER B-PER O I-LOC I-PER", "B-PER I-PER B-PER O B-LOC B-PER", 3),
        ("B-PER E-PER S-LOC S-LOC O", "B-PER I-PER B-LOC B-LOC O", 0),  # BIOES
        ("B-PER I-PER L-PER I-PER U-LOC", "B-PER I-PER I-PER B-PER B-LOC", 1),  # BILOU
        ("B-PER I-LOC", "B-PER B-LOC", 1),
    ],
)
def test_other_schemes_are_read_as_iob2(given, expected, begun):
    assert as_iob2(given.split()) == (expected.split(), begun)


def test_spans_and_tags_are_each_others_inverse():
    spans = [Span(0, 2, "PER"), Span(2, 3, "PER"), Span(4, 5, "LOC")]
    assert spans_of(tags_of(spans, 6)) == spans


def test_words_in_a_list_are_joined_with_blanks():
    sentence = read(WORDS, TAGS).all[0]
    assert sentence.text == "Ana Ruiz saw Oslo"
    assert [(sentence.text[a:b], label) for a, b, label in sentence.entities] == [
        ("Ana Ruiz", "PER"),
        ("Oslo", "LOC"),
    ]


@pytest.mark.parametrize(
    "spans", [[{"start": 13, "end": 17, "label": "LOC"}, {"start": 0, "end": 8, "label": "PER"}],
              [[0, 8, "PER"], [13, 17, "LOC"]]],
)  # fmt: skip
def test_spans_in_a_text_give_the_same_tags(spans):
    assert read("Ana Ruiz saw Oslo", spans).all[0].tags == tuple(TAGS)


def test_a_span_within_a_word_covers_it_and_is_told():
    found = read("unhappy Ana", [[2, 7, "MOOD"], [8, 11, "PER"]])
    assert found.all[0].entities == [Span(0, 7, "MOOD"), Span(8, 11, "PER")]
    assert found.notes == ("a file: 1 span that begins or ends inside a word cover the whole word",)


def test_what_continues_nothing_is_told():
    assert read(["a", "b"], ["I-PER", "O"]).notes == (
        "a file: 1 tag I- that continues nothing is read as B-",
    )


def test_scripts_without_blanks_have_words_of_one_character():
    assert [("東京に John."[a:b]) for a, b in words_of("東京に John.")] == ["東", "京", "に", "John", "."]


@pytest.mark.parametrize(
    ("text", "label", "said"),
    [
        (WORDS, TAGS[:3], "a file, row 1: 3 tags for 4 words"),
        (WORDS, ["PER", "O", "O", "O"], "the tag of word 1 is 'PER'"),
        (WORDS, [1, 0, 0, 0], "a list of tags is expected"),
        (["Ana", " "], ["O", "O"], "word 2 is blank"),
        (None, TAGS, "words or a text is expected"),
        ("Ana", "PER", "a list of spans is expected"),
        ("Ana", [["a", 3, "PER"]], "is no span"),
        ("Ana", [[0, 4, "PER"]], "not within the text's 3 characters"),
        ("Ana  Ruiz", [[3, 5, "PER"]], "holds no word"),
        ("Ana Ruiz", [[0, 8, "PER"], [4, 8, "LAST"]], "shares a word"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_row(text, label, said):
    with pytest.raises(BadData, match=said) as caught:
        read(text, label)
    assert caught.value.where == "a file, row 1"


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_tagged_files_are_known_by_their_columns(tmp_path):
    words = [{"tokens": w, "tags": t} for w, t in toy_sentences(4)]
    spans = [{"text": "Ana", "spans": []}, {"text": "Ana", "spans": [{"start": 0, "end": 3, "label": "PER"}]}]
    topics = [{"text": "Ana", "entities": ["PER"]}, {"text": "Oslo", "entities": []}]
    parquet.write_table(pyarrow.Table.from_pylist(words), tmp_path / "w.parquet")
    found = {
        "words.jsonl": write_jsonl(tmp_path / "words.jsonl", words),
        "spans.jsonl": write_jsonl(tmp_path / "spans.jsonl", spans),
        "w.parquet": tmp_path / "w.parquet",
        "a.conll": write_conll(tmp_path / "a.conll", toy_sentences(4)),
    }
    for name, path in found.items():
        assert resolve(str(path)).form == "tagged", name
    other = write_jsonl(tmp_path / "topics.jsonl", topics)
    assert resolve(str(other)).form == "labelled"
    assert resolve(str(other), kind="tokens").form == "tagged"
    assert resolve(str(found["words.jsonl"]), kind="multi_label").form == "labelled"


def test_a_folder_of_splits(tmp_path):
    for split, count in (("train", 20), ("dev", 5), ("test", 6)):
        write_conll(tmp_path / f"{split}.conll", toy_sentences(count))
    assert is_tagged(tmp_path)
    task, notes = token_task(OwnData(path=str(tmp_path)))
    assert {name: len(rows) for name, rows in task.splits.items()} == {
        "train": 20,
        "validation": 5,
        "test": 6,
    }
    assert task.labels == ("O", "B-MINUS", "I-MINUS", "B-PLUS", "I-PLUS")
    assert notes == ["tokens <- words, tags <- tags (2 labels: MINUS, PLUS)"]


def test_one_file_is_split_by_its_texts(tmp_path):
    sentences = toy_sentences(60)
    first, _ = token_task(OwnData(path=str(write_conll(tmp_path / "a.conll", sentences))))
    other, notes = token_task(OwnData(path=str(write_conll(tmp_path / "b.conll", sentences[::-1]))))
    held = [{tuple(words) for words in t.splits["validation"].columns["tokens"]} for t in (first, other)]
    assert held[0] == held[1]
    assert "6 of 60 rows held out for validation" in notes[1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cluster": "tags"}, "--cluster is for labelled texts"),
        ({"text": ("a", "b")}, "one text column"),
    ],
)
def test_what_does_not_apply_is_refused(tmp_path, more, said):
    path = write_conll(tmp_path / "a.conll", toy_sentences(4))
    with pytest.raises(BadOption, match=said):
        token_task(OwnData(path=str(path), **more))


def test_a_file_without_entities_is_refused(tmp_path):
    path = write_conll(tmp_path / "a.conll", [(["a"], ["O"])] * 4)
    with pytest.raises(BadData, match="no word has a label in column 'tags'"):
        token_task(OwnData(path=str(path)))
