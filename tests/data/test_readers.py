"""Files are read row by row, and whatever is wrong is named by its row."""

from __future__ import annotations

import json

import pytest

from modernbert.data.readers import iter_rows, read_rows
from modernbert.errors import BadData


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path, suffix):
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    rows = [{"text": "a, b", "label": "x"}, {"text": 'say "hi"', "label": "y"}]
    path = tmp_path / f"rows{suffix}"
    if suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    elif suffix == ".parquet":
        parquet.write_table(arrow.Table.from_pylist(rows), path)
    else:
        mark = "\t" if suffix == ".tsv" else ","
        path.write_text(f'text{mark}label\n"a, b"{mark}x\n\n"say ""hi"""{mark}y\n')
    found = read_rows(path)
    assert dict(found.columns) == {"text": ["a, b", 'say "hi"'], "label": ["x", "y"]}
    assert found.where(1) == f"{path}, row 2"


def test_a_byte_order_mark_and_windows_line_ends_are_dropped(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes("text,label\r\ngood,1\r\n".encode("utf-8-sig"))
    assert dict(read_rows(path).columns) == {"text": ["good"], "label": ["1"]}


def test_a_cell_may_hold_line_breaks_and_a_whole_document(tmp_path):
    path = tmp_path / "long.csv"
    long = "word " * 60_000
    path.write_text(f'text,label\n"two\nlines",a\n"{long}",b\n')
    assert read_rows(path).columns["text"] == ["two\nlines", long]


TSV = b'label\ttext\npos\t"I slept\nneg\tNo fun\nneg\tat 55"\npos\t"So" he said\n'


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.tsv", TSV, ['"I slept', "No fun", 'at 55"', '"So" he said']),
        ("a.tsv", TSV.replace(b"\n", b"\r\n"), ['"I slept', "No fun", 'at 55"', '"So" he said']),
        ("a.tsv", b'label\ttext\npos\t"one ""and"" two"\nneg\tfine\n', ['one "and" two', "fine"]),
        ("a.tsv", b'label\ttext\npos\t"So good"\nneg\tat 55"\n', ['"So good"', 'at 55"']),
        ("a.tsv", b'label\ttext\npos\t"two\nlines"\nneg\tfine\n', ["two\nlines", "fine"]),
        ("a.tsv", b'text\tlabel\n"a\tb"\tpos\nfine\tneg\n', ["a\tb", "fine"]),
        ("a.tsv", b"text,label\ngood,1\n", ["good"]),
        ("a.csv", b"text;label\ngood, old;1\n", ["good, old"]),
        ("a.csv", b"text\tlabel\ngood, old\t1\n", ["good, old"]),
        ("a.csv", b"\xef\xbb\xbftext;label\ngood;1\n", ["good"]),
        ("a.csv", b"sep=;\r\ntext;label\r\ngood;1\r\n", ["good"]),
        ("a.csv", b"sep=|\ntext|label\n\ngood; bad|1\n", ["good; bad"]),
        ("a.csv", b"text,label\rgood,1\rbad,0\r", ["good", "bad"]),
        ("a.csv", b'text,label\r"two\rlines",1\rbad,0', ["two\rlines", "bad"]),
        ("a.csv", b'text,label\n"two\r\nlines",1\n', ["two\r\nlines"]),
        ("a.csv", b'text\n"two\nlines"\nfine\n', ["two\nlines", "fine"]),
        ("a.jsonl", b'{"text": "a"}\r{"text": "b"}\r', ["a", "b"]),
    ],
)
def test_separators_quotes_and_line_ends_are_told_from_the_file(tmp_path, name, content, texts):
    path = tmp_path / name
    path.write_bytes(content)
    assert read_rows(path).columns["text"] == texts


def test_a_row_after_excels_own_line_is_named_by_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("sep=;\ntext;label\ngood;1\nbad\n")
    with pytest.raises(BadData, match=r"row 2 \(line 4\): 1 cell where the header has 2"):
        read_rows(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv: the file is empty"),
        ("a.csv", b"text,text\n", "line 1: the header names 'text' twice"),
        ("a.csv", b"text,label\n\na,1\nb\n", "row 2 .line 4.: 1 cell where the header has 2"),
        ("a.csv", b'text\n"open\n', "line 2: not valid CSV"),
        ("a.csv", b"text\nok\n\xff\n", "line 3: not UTF-8 .byte 0xff at column 1."),
        ("a.csv", "text\nok\n".encode("utf-16"), "iconv -f UTF-16"),
        ("a.jsonl", b'{"a": 1}\n\n{"a": \n', "row 2 .line 3.: not valid JSON"),
        ("a.jsonl", b"[1]\n", "row 1 .line 1.: a list where an object is expected"),
        ("a.jsonl", b"\n\n", "a.jsonl: the file has no rows"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\\ud83d"}\n', "row 2 .line 2.: half of a character"),
        ("a.jsonl", b'{"a": 1}\n{"\\udfff": 1}\n', "row 2 .line 2.: half of a character"),
        ("a.jsonl", b'{"a": 1}\n{"a": [{"b": "\\ud800"}]}\n', "row 2 .line 2.: half of a character"),
        ("a.jsonl", b'{"a": ' + b"7" * 5000 + b"}\n", "row 1 .line 1.: a number of too many digits"),
        (
            "a.jsonl",
            b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}\n",
            "row 1 .line 1.: JSON that nests too deep",
        ),
        ("a.jsonl", b'{"a": ' * 150 + b"1" + b"}" * 150 + b"\n", "row 1 .line 1.: JSON that nests too deep"),
        ("a.jsonl", b'{"a": 1}\n{"a": NaN}\n', "row 2 .line 2.: NaN, which JSON does not have"),
        ("a.jsonl", b'{"a": -Infinity}\n', "row 1 .line 1.: -Infinity, which JSON does not have"),
        ("a.jsonl", b'{"a": 1, "b": 2, "a": 3}\n', "row 1 .line 1.: an object has the name 'a' twice"),
        ("a.jsonl", b'{"a": 1e999}\n', "row 1 .line 1.: a number beyond 1e308"),
        ("a.csv", b"0,0,1\n0,1,1\n", "line 1: there is no header: the first line is '0', '0', '1'"),
        ("a.csv", b"text;label\ngood\n", "row 1 .line 2.: 1 cell where the header has 2"),
        (
            "a.csv",
            b'label,text\npos,"I slept through it\nneg,No fun\nneg,Small at 55"\npos,fine\n',
            "row 1: a quote opens here and closes in another line",
        ),
        ("a.tsv", b'text\n"I slept\nfine\nat 55"\n', "row 1: a quote opens here and closes in another line"),
        ("a.tsv", b'label\ttext\npos\t"I slept\nneg\nneg\tat 55"\n', "row 2 .line 3.: 1 cell where"),
        ("a.parquet", b"PAR1 no", "not a valid Parquet file"),
        ("a.xlsx", b"", "'.xlsx' is not a format mbert reads"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadData) as caught:
        read_rows(path)
    assert caught.match(message)


def test_reading_stops_at_the_bad_row_not_before(tmp_path):
    """Constant memory: rows come one at a time."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\nbroken\n')
    rows = iter_rows(path)
    assert next(rows) == (1, {"a": 1})
    with pytest.raises(BadData):
        next(rows)


def test_a_key_missing_from_a_json_row_is_none(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1, "b": 2}\n{"a": 3}\n')
    assert read_rows(path).columns["b"] == [2, None]


def test_line_separators_within_a_text_end_no_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "one\u2028two\x85three"}\n{"a": "b"}\n')
    assert read_rows(path).columns["a"] == ["one\u2028two\x85three", "b"]


def arrow_file(path, **columns):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_parquet_cells_that_python_cannot_hold_are_named(tmp_path):
    import pyarrow

    invalid = pyarrow.array([b"good", b"\xff\xfe"]).cast(pyarrow.binary()).view(pyarrow.string())
    far = pyarrow.array([0, 2**31 - 1], pyarrow.int32()).view(pyarrow.date32())
    moment = pyarrow.array([1, 1], pyarrow.int64()).view(pyarrow.timestamp("us", "No/Where"))
    for column, message in {
        "text": (invalid, "row 2: column 'bad' holds text that is not UTF-8"),
        "date": (far, "row 2: column 'bad' holds what cannot be read"),
        "time zone": (moment, "row 1: column 'bad' holds what cannot be read"),
        "inside": (
            pyarrow.StructArray.from_arrays([invalid], ["x"]),
            "row 2: column 'bad' holds text that is not UTF-8",
        ),
    }.values():
        path = arrow_file(tmp_path / "a.parquet", text=["a", "b"], bad=column)
        with pytest.raises(BadData, match=message):
            read_rows(path)


def test_parquet_columns_of_one_name_are_refused(tmp_path):
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(BadData, match="names 'text' twice"):
        read_rows(tmp_path / "a.parquet")


def test_what_is_said_of_nan_works_for_any_column(tmp_path):
    """A label that is null is missing: its row must go."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": NaN}\n')
    with pytest.raises(BadData) as caught:
        list(iter_rows(path))
    assert "null where nothing is known" in caught.value.fix
    assert "leave a row out whose label" in caught.value.fix
