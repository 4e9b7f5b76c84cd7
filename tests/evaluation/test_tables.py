"""A file's values come back from Parquet as they were, or the file is refused with the row."""

from __future__ import annotations

import datetime
import json
import tracemalloc
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from modernbert.errors import BadData, BadOption
from modernbert.evaluation import embed_file as module
from modernbert.evaluation.embed_file import embed_file

HERE = SimpleNamespace(size=1)
EMBEDDER = SimpleNamespace(
    runner=HERE,
    begin=lambda texts, kind: np.array([[len(t), 1.0] for t in texts], np.float32),
    finish=lambda vectors: vectors,
)
KEYS = st.sampled_from("abc")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-5, 5)
    | st.floats(-9, 9)
    | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=6
)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def embedded(path, **options):
    """Return the rows that `embed_file` writes, without their vectors."""
    embed_file(EMBEDDER, path, path.with_name("o.parquet"), **options)
    table = parquet.read_table(path.with_name("o.parquet"))
    vectors = table["vector"].to_pylist()
    assert vectors == [[len(text), 1.0] for text in table["text"].to_pylist()]
    return table.drop(["vector"])


def without_nulls(value):
    """Leave out what is null: a table has every column in every row, and every field in every object."""
    if isinstance(value, dict):
        return {name: without_nulls(part) for name, part in value.items() if part is not None}
    return [without_nulls(part) for part in value] if isinstance(value, list) else value


def kinds(value):
    """Return a value with the types of its numbers, whose equality does not tell 1, 1.0 and True apart."""
    if isinstance(value, dict):
        return {name: kinds(part) for name, part in value.items()}
    if isinstance(value, list):
        return [kinds(part) for part in value]
    return ("number" if type(value) in (int, float) else type(value).__name__, value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(KEYS, VALUES, max_size=3), min_size=1, max_size=5))
def test_whatever_json_holds_comes_back_or_is_refused(rows, tmp_path):
    path = write(tmp_path / "in.jsonl", [{"text": "x", **row} for row in rows])
    try:
        found = embedded(path).to_pylist()
    except BadData as error:
        assert "in.jsonl, row " in str(error)
        return
    expected = [without_nulls({"text": "x", **row}) for row in rows]
    assert kinds([without_nulls(row) for row in found]) == kinds(expected)


@pytest.mark.parametrize(
    ("first", "later", "kind"),
    [
        (1, 0.5, pyarrow.float64()),
        (None, 7, pyarrow.int64()),
        (None, "ann", pyarrow.string()),
        (1, 2**64 - 1, pyarrow.uint64()),
        ([], [0.5], pyarrow.list_(pyarrow.float64())),
        ({"a": 1}, {"a": 0.5, "b": "x"}, pyarrow.struct([("a", pyarrow.float64()), ("b", pyarrow.string())])),
        (True, None, pyarrow.bool_()),
        (None, None, pyarrow.null()),
    ],
)
def test_types_come_from_the_whole_file(first, later, kind, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_ROWS", 4)
    rows = [{"text": "x", "value": first}] * 10 + [{"text": "y", "value": later, "late": 1}]
    found = embedded(write(tmp_path / "in.jsonl", rows))
    assert found.schema.field("value").type == kind and found.schema.field("late").type == pyarrow.int64()
    assert without_nulls(found.to_pylist()[-1]) == without_nulls(rows[-1])
    assert without_nulls(found.to_pylist()[0]) == without_nulls(rows[0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, "2"], "row 2: the column 'v' holds text here and a whole number in row 1"),
        ([True, 1], "row 2: the column 'v' holds a whole number here and true or false in row 1"),
        ([0, -1, 2**64 - 1], "row 3: .*do not fit into 64 bits together"),
        ([2**64], "row 1: .*do not fit into 64 bits"),
        ([0.5, 2**53 + 1], r"row 2: .*beyond 2\^53"),
        ([{}, {}], "row 1: .*empty objects"),
        ([[1], {"a": 1}], "row 2: the column 'v' holds an object here and a list in row 1"),
        ([[1, "a"]], "row 1: the column 'v' holds text here and a whole number in row 1"),
        ([{"a": 1}, {"a": "x"}], "row 2: the column 'v.a'"),
        ([{f"w{i}": 1} for i in range(1002)], "row 1001: an object has its 1,001th different name"),
        ([json.loads("[" * 60 + "]" * 60)], "row 1: .*nests deeper than 40"),
    ],
)
def test_what_no_type_holds_is_refused_with_its_row(values, message, tmp_path):
    path = write(tmp_path / "in.jsonl", [{"text": "x", "v": value} for value in values])
    with pytest.raises(BadData, match=message):
        embedded(path)
    assert [found.name for found in tmp_path.iterdir()] == ["in.jsonl"], "nothing is written"


def test_a_csv_file_is_all_text(tmp_path):
    (tmp_path / "in.csv").write_text("id,text,score\n001,good,1\n002,bad,0.5\n")
    found = embedded(tmp_path / "in.csv")
    assert found.to_pylist()[0] == {"id": "001", "text": "good", "score": "1"}


def test_a_parquet_file_keeps_its_schema(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_ROWS", 2)
    day = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    schema = pyarrow.schema(
        [
            pyarrow.field("id", pyarrow.uint64(), nullable=False),
            pyarrow.field("text", pyarrow.large_string()),
            pyarrow.field("day", pyarrow.timestamp("ns", "UTC")),
            pyarrow.field("price", pyarrow.decimal128(20, 3)),
            pyarrow.field("kind", pyarrow.dictionary(pyarrow.int32(), pyarrow.string())),
            pyarrow.field("bytes", pyarrow.binary()),
            pyarrow.field("small", pyarrow.int8()),
            pyarrow.field("map", pyarrow.map_(pyarrow.string(), pyarrow.int16())),
            pyarrow.field("none", pyarrow.null()),
        ],
        metadata={"made by": "a test"},
    )
    row = {
        "id": 2**64 - 1,
        "text": "good",
        "day": day,
        "price": Decimal("1.250"),
        "kind": "a",
        "bytes": b"\xff",
    }
    rows = [row | {"small": 1, "map": [("a", 1)], "none": None, "id": i} for i in range(5)]
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    parquet.write_table(table, tmp_path / "in.parquet")
    found = embedded(tmp_path / "in.parquet")
    assert found.schema.remove_metadata() == schema.remove_metadata() and found.equals(table)
    assert found.schema.metadata[b"made by"] == b"a test"


def test_a_text_that_a_row_lacks_is_named_before_anything_is_embedded(tmp_path):
    calls: list[int] = []
    embedder = SimpleNamespace(runner=HERE, begin=lambda texts, kind: calls.append(1))
    jsonl = write(tmp_path / "a.jsonl", [{"text": "x"}, {"other": 1.5}])
    table = pyarrow.table({"text": ["x", None]})
    parquet.write_table(table, tmp_path / "a.parquet")
    broken = pyarrow.array([b"x", b"\xff"]).cast(pyarrow.string(), safe=False)
    parquet.write_table(pyarrow.table({"text": broken}), tmp_path / "b.parquet")
    for path, said in (
        (jsonl, "no text"),
        (tmp_path / "a.parquet", "no text"),
        (tmp_path / "b.parquet", "UTF-8"),
    ):
        with pytest.raises(BadData, match=f"row 2.*{said}"):
            embed_file(embedder, path, tmp_path / "o.parquet")
    assert not calls
    with pytest.raises(BadData, match="no column 'x'; the columns are text"):
        embed_file(embedder, jsonl, tmp_path / "o.parquet", column="x")


def test_a_vector_of_a_later_row_is_refused(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"text": "x"}] * 5000 + [{"text": "y", "vector": [1.0]}])
    with pytest.raises(BadOption, match="row 5001: the file has a column 'vector' already"):
        embedded(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_ten_times_the_rows_take_no_more_memory(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_ROWS", 256)
    peaks = []
    for count in (2_000, 20_000):
        path = write(tmp_path / "in.jsonl", [{"text": "x", "id": i, "n": [i]} for i in range(count)])
        if suffix == ".parquet":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            path = tmp_path / "in.parquet"
            parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=1000)
            del rows
        tracemalloc.start()
        embed_file(EMBEDDER, path, tmp_path / "o.parquet")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The 18,000 rows more take over a megabyte; what differs otherwise is a few row groups' descriptions.
    assert peaks[1] < peaks[0] + 200_000
