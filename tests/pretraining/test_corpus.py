"""The corpus: which files count, what is repeated, how pieces are cut, packed and kept."""

from __future__ import annotations

import gzip
import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modernbert.errors import BadData
from modernbert.pretraining import store as module
from modernbert.pretraining.corpus import LONGEST, Corpus
from modernbert.pretraining.rows import pack_rows
from modernbert.pretraining.store import Pieces, build, read_found
from modernbert.pretraining.tokenizer import train_tokenizer


@pytest.fixture
def folder(tmp_path):
    """Forty texts of forty words, a table, and things that are no text."""
    draw = random.Random(0)
    words = [f"w{i}" for i in range(60)]
    root = tmp_path / "corpus"
    root.mkdir()
    for number in range(40):
        (root / f"{number}.txt").write_text(" ".join(draw.choices(words, k=40)))
    rows = [json.dumps({"text": " ".join(draw.choices(words, k=20))}) for _ in range(5)]
    (root / "table.jsonl").write_text("\n".join(rows))
    (root / "picture.png").write_bytes(b"\x89PNG")
    return root


def test_files_and_rows_are_texts(folder):
    assert len(list(Corpus.of([folder]).texts())) == 45


def test_what_is_no_text_is_named(folder):
    (folder / "bad.txt").write_bytes(b"\xff\xfe\x00")
    (folder / "zero.md").write_bytes(b"a\0b")
    corpus = Corpus.of([folder])
    assert len(list(corpus.texts())) == 45
    assert {path.rsplit("/")[-1]: why for path, why in corpus.left_out.items()} == {
        "bad.txt": "not UTF-8 text",
        "zero.md": "not UTF-8 text",
    }


def test_a_huge_file_is_cut_at_line_ends(tmp_path):
    path = tmp_path / "huge.txt"
    path.write_text("a line of text\n" * (LONGEST // 10))
    parts = list(Corpus.of([path]).texts())
    assert len(parts) == 2
    assert "".join(parts) == path.read_text()
    assert parts[0].endswith("\n")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "nowhere", "no such file or folder"),
        (lambda root: (root / "empty").mkdir() or root / "empty", "no file here can be read"),
    ],
)
def test_nothing_to_read_is_an_error(make, message, tmp_path):
    with pytest.raises(BadData, match=message):
        Corpus.of([make(tmp_path)])


def test_a_table_without_text_is_an_error(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadData, match=r"no text in column 'text' or 'content' \(columns: a, b\)"):
        list(Corpus.of([path]).texts())


def test_a_sample_is_spread(folder):
    taken = list(Corpus.of([folder]).sample(2_000))
    assert 5 <= len(taken) <= 20


def test_a_store_holds_every_text_once(folder, tmp_path, tiny_tokenizer, monkeypatch):
    monkeypatch.setattr(module, "SHARD_TOKENS", 300)
    (folder / "again.txt").write_text((folder / "0.txt").read_text().replace(" ", "\n"))
    target = tmp_path / "store"
    target.mkdir()
    found = build(Corpus.of([folder]), tiny_tokenizer, target, length=32, held_out=0.2)
    assert found == read_found(target)
    assert (found["texts"], found["repeated_texts"]) == (45, 1)
    splits = {name: Pieces.open(target, name) for name in ("train", "held_out")}
    assert len(splits["train"].shards) > 1
    assert sum(found[name]["tokens"] for name in splits) == sum(p.lengths.sum() for p in splits.values())
    seen = {
        tiny_tokenizer.decode(pieces[i], skip_special_tokens=True)
        for pieces in splits.values()
        for i in range(len(pieces))
    }
    first = (folder / "7.txt").read_text().split()
    assert {" ".join(first[:30]), " ".join(first[30:])} <= seen
    for pieces in splits.values():
        assert all(pieces[i][0] == 2 and pieces[i][-1] == 3 for i in range(len(pieces)))
        assert pieces.lengths.max() <= 32


def test_what_is_held_out_does_not_depend_on_the_other_texts(folder, tmp_path, tiny_tokenizer):
    def held_out(name):
        (tmp_path / name).mkdir()
        build(Corpus.of([folder]), tiny_tokenizer, tmp_path / name, length=64, held_out=0.2)
        pieces = Pieces.open(tmp_path / name, "held_out")
        return {pieces[i].tobytes() for i in range(len(pieces))}

    before = held_out("a")
    for number in range(10):
        (folder / f"0-more-{number}.txt").write_text(f"w{number} " * 20)
    assert before <= held_out("b")


def test_a_corpus_without_held_out_text_is_an_error(tmp_path, tiny_tokenizer):
    path = tmp_path / "one.txt"
    path.write_text("w1 w2 w3 w4 w5 w6 w7 w8")
    with pytest.raises(BadData, match="no text left for"):
        build(Corpus.of([path]), tiny_tokenizer, tmp_path, length=32, held_out=0.5)


def test_compressed_tables_are_not_taken_for_text(tmp_path):
    path = tmp_path / "table.txt"
    path.write_bytes(gzip.compress(b"text"))
    corpus = Corpus.of([path])
    assert not list(corpus.texts())
    assert corpus.left_out


@given(st.lists(st.integers(1, 64), min_size=1, max_size=200), st.integers(0, 3))
def test_rows_hold_every_piece_once_and_are_full(lengths, seed):
    lengths = np.array(lengths)
    rows = pack_rows(lengths, 64, seed)
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(lengths)))
    sums = [lengths[row].sum() for row in rows]
    assert max(sums) <= 64
    # Two rows that are both at most half full would have been one.
    assert sum(total <= 32 for total in sums) <= 1


def test_a_vocabulary_writes_every_text(tmp_path):
    texts = ["the cat sat on the mat", "def f(x):\n    return x + 1"] * 20
    tokenizer = train_tokenizer(texts, 300, 512)
    for text in ("the cat", "\tzażółć gęślą 日本 🙂\r\n", "x  =   1"):
        ids = tokenizer(text)["input_ids"]
        assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
        assert tokenizer.decode(ids[1:-1]) == text
    assert tokenizer.pad_token_id == 0
    assert list(tokenizer("a")) == ["input_ids", "attention_mask"]
