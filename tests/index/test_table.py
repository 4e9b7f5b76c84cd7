"""A table is indexed by rows: its columns, its ids, long texts, and what a change costs."""

from __future__ import annotations

import json

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from helpers import write_csv

from modernbert.data.readers import read_rows
from modernbert.errors import BadData, BadOption
from modernbert.index.build import build_index
from modernbert.index.chunks import LARGEST
from modernbert.index.query import Searcher, find_index
from modernbert.index.record import default_folder
from modernbert.index.table import cut_table, table_of

ROWS = [{"id": f"x{i}", "title": f"good w{i}", "text": f"w{i} w{i + 1}", "n": str(i)} for i in range(8)]


def written(path, rows):
    if path.suffix == ".parquet":
        parquet.write_table(arrow.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    elif path.suffix == ".tsv":
        path.write_text("\n".join("\t".join(row) for row in [list(rows[0]), *map(dict.values, rows)]))
    else:
        write_csv(path, rows)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_answers_with_all_columns(suffix, tmp_path, embedder):
    path = written(tmp_path / f"a{suffix}", ROWS)
    done = build_index(path, embedder, default_folder(path))
    assert (done.files, done.chunks, done.table) == (1, 8, {"text": ["title", "text"], "id": "id"})
    searcher = Searcher(find_index(path), embedder)
    hit = searcher.search("good w5 w5 w6", 1, hybrid=True)[0]
    assert (hit.path, hit.row, hit.name, hit.columns) == (path.name, 6, "x5", ROWS[5])
    assert [found.row for found in searcher.like("x5", 8)].count(6) == 0
    with pytest.raises(BadOption, match="no row with this id"):
        searcher.like("5", 8)  # rows have ids: the fifth row is not meant
    assert not hit.stale


def test_values_of_any_type_are_kept_as_json(tmp_path, embedder):
    import datetime

    day = datetime.date(2026, 1, 2)
    path = written(tmp_path / "a.parquet", [{"text": "good", "day": day, "list": [1], "x": float("nan")}])
    build_index(path, embedder, default_folder(path))
    (hit,) = Searcher(default_folder(path), embedder).search("good", 5)
    assert hit.columns == {"text": "good", "day": "2026-01-02", "list": [1], "x": "nan"}


def test_only_rows_that_changed_are_embedded_again(tmp_path, embedder):
    path = written(tmp_path / "a.csv", ROWS)
    build_index(path, embedder, default_folder(path))
    assert build_index(path, embedder, default_folder(path)).embedded == 0
    written(path, [*ROWS[:3], ROWS[3] | {"n": "other"}, ROWS[4] | {"text": "bad"}, *ROWS[6:]])
    stale = Searcher(default_folder(path), embedder).search("good", 1)
    assert stale[0].stale
    done = build_index(path, embedder, default_folder(path))
    assert (done.changed, done.chunks, done.embedded) == (1, 7, 1)
    rows = {hit.name: hit.columns for hit in Searcher(default_folder(path), embedder).search("good", 9)}
    assert rows["x3"]["n"] == "other" and rows["x4"]["text"] == "bad" and "x5" not in rows


def test_a_long_row_is_found_once(tmp_path, embedder):
    long = "w1 w2 w3 " * LARGEST
    path = written(tmp_path / "a.jsonl", [{"text": long}, {"text": "w1"}, {"text": "bad"}])
    assert build_index(path, embedder, default_folder(path)).chunks > 5
    searcher = Searcher(default_folder(path), embedder)
    assert sorted(hit.row for hit in searcher.search("w1 w2 w3", 3)) == [1, 2, 3]
    assert sorted(hit.row for hit in searcher.like("1", 3)) == [2, 3], "without an id a row's number names it"


def test_parts_of_a_long_text_lose_nothing(tmp_path):
    text = " ".join(f"word{i}" for i in range(2000)) + " " + "x" * 5000
    path = written(tmp_path / "a.jsonl", [{"text": text}])
    chunks, empty = cut_table(path, table_of(read_rows(path)))
    assert not empty and max(len(chunk.text) for chunk in chunks) <= LARGEST
    assert "".join(chunk.text for chunk in chunks).replace(" ", "") == text.replace(" ", "")


def test_rows_without_text_are_told(tmp_path, embedder):
    path = written(tmp_path / "a.jsonl", [{"text": "good"}, {"text": None}, {"text": " "}])
    done = build_index(path, embedder, default_folder(path))
    assert done.left_out == {"a.jsonl, row 2": "no text", "a.jsonl, row 3": "no text"}
    empty = written(tmp_path / "b.jsonl", [{"text": " "}])
    with pytest.raises(BadData, match="no row has a text"):
        build_index(empty, embedder, default_folder(empty))


def test_one_index_is_of_one_thing(tree, tmp_path, embedder):
    path, folder = written(tmp_path / "a.csv", ROWS), tmp_path / "index"
    build_index(path, embedder, folder)
    other = written(tmp_path / "b.csv", ROWS)
    for wrong in (other, tree):
        with pytest.raises(BadOption, match=r"of the table a\.csv|this is the index of"):
            build_index(wrong, embedder, folder)
    assert build_index(other, embedder, folder, anew=True).new == 1
    with pytest.raises(BadOption, match="this is no table"):
        build_index(tree, embedder, tmp_path / "files", text=["text"])
    with pytest.raises(BadData, match="nothere"):
        build_index(path, embedder, tmp_path / "third", text=["nothere"])
