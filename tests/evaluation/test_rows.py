"""Rows by the chunk; an output never replaces its own input."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import toy_rows, write_csv

from modernbert.errors import BadData, BadOption
from modernbert.evaluation.rows import chunks_of_rows, find_columns, require_other_file


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (6, [3, 3]), (7, [3, 3, 1])])
def test_every_row_comes_once_in_order(count, sizes, tmp_path):
    rows = toy_rows(count)
    chunks = list(chunks_of_rows(write_csv(tmp_path / "a.csv", rows), 3))
    assert [len(chunk) for chunk in chunks] == sizes
    assert [row for chunk in chunks for row in chunk] == list(enumerate(rows, start=1))


def test_a_file_without_rows_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("text\n")
    with pytest.raises(BadData, match="no rows"):
        next(chunks_of_rows(tmp_path / "a.csv", 3))


def test_columns_are_found_in_every_row(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"b": 2, "a": 1}\n' + '{"a": 3}\n' * 2000 + '{"c": 1}\n')
    seen: list[int] = []
    look = lambda chunk: seen.extend(number for number, _ in chunk)  # noqa: E731
    found, count = find_columns(tmp_path / "a.jsonl", look)
    rows = {name: int(where.rpartition(" ")[2]) for name, where in found.items()}
    assert rows == {"a": 1, "b": 2, "c": 2003} and seen == list(range(1, 2004))
    assert count == 2003


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_an_output_that_is_the_input_is_refused_under_any_name(link, tmp_path):
    path = write_csv(tmp_path / "a.csv", toy_rows(3))
    output = Path(os.path.relpath(path)).parent / "." / "a.csv"
    if link is not None:
        output = tmp_path / "b.csv"
        link(path, output)
    with pytest.raises(BadOption, match="the output is the input"):
        require_other_file(path, output)


@pytest.mark.parametrize("command", ["predict", "embed"])
def test_the_commands_keep_their_input(command, tmp_path, tiny_modernbert, store):
    from modernbert.evaluation.embed_file import embed_file
    from modernbert.evaluation.predict_file import predict_file

    output = tmp_path / ("a.jsonl" if command == "predict" else "a.parquet")
    output.write_text('{"text": "good"}\n')
    (tmp_path / "link.jsonl").symlink_to(output)
    make = predict_file if command == "predict" else embed_file
    scorer = SimpleNamespace(task=SimpleNamespace(text=("text",)))
    with pytest.raises(BadOption, match="the output is the input"):
        make(scorer, tmp_path / "link.jsonl", output)
    assert output.read_text() == '{"text": "good"}\n'
