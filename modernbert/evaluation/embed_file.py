"""Embed a file of any size in constant memory: every row with its vector, as Parquet.

Shape suffixes: N rows of a chunk, D vector size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.data.columns import TEXTS
from modernbert.data.readers import Record
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.rows import chunks_of_rows
from modernbert.files import atomic_file
from modernbert.model.embedding import Kind

CHUNK_ROWS = 4096
VECTOR = "vector"


@dataclass(frozen=True)
class Embedded:
    """What was written."""

    output: Path
    rows: int
    column: str
    size: int


def embed_file(
    embedder: Embedder,
    path: Path,
    output: Path,
    *,
    column: str | None = None,
    kind: Kind = "document",
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Embedded:
    """Embed every row of a file, in order; the output appears whole or not at all.

    Args:
        embedder: the model.
        path: CSV, TSV, JSONL or Parquet.
        output: a Parquet file: the input's columns, and `vector`, fp32.
        column: the text; by default the first of the usual names.
        kind: which of the model's prompts to put before each text.
        on_progress: told the number of rows done.

    Raises:
        BadData: a row cannot be read, or has no text; nothing is written.
        BadOption: the output is no Parquet file or the input itself, or that has a column `vector` already.
    """
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    if output.suffix.lower() != ".parquet":
        raise BadOption(f"cannot write '{output.suffix}' files", where=str(output), fix="Use .parquet.")
    chunks = chunks_of_rows(path, output, CHUNK_ROWS)
    first = next(chunks)
    column = column or _text_column(first[0][1], path)
    if VECTOR in first[0][1]:
        raise BadOption(f"the file has a column '{VECTOR}' already", where=str(path))
    done, writer = 0, None
    with atomic_file(output, binary=True) as file:
        for chunk in itertools.chain([first], chunks):
            vectors_ND = embedder.encode([_text(row, column, path) for row in chunk], kind)
            table = _table([row for _, row in chunk], vectors_ND, writer.schema if writer else None, path)
            writer = writer or parquet.ParquetWriter(file, table.schema)
            writer.write_table(table)
            done += len(chunk)
            on_progress(done)
        assert isinstance(writer, parquet.ParquetWriter) and isinstance(table, arrow.Table)
        writer.close()
    return Embedded(output, done, column, int(vectors_ND.shape[1]))


def _table(rows: list[dict[str, Any]], vectors_ND: np.ndarray, schema: Any, path: Path) -> Any:
    """Return rows with their vectors; later chunks take the first one's types."""
    import pyarrow as arrow

    flat = arrow.array(vectors_ND.ravel(), type=arrow.float32())
    vectors = arrow.FixedSizeListArray.from_arrays(flat, vectors_ND.shape[1])
    own = None if schema is None else arrow.schema([field for field in schema if field.name != VECTOR])
    try:
        table = arrow.Table.from_pylist(rows, schema=own)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:
        raise BadData(f"a column changes its type from row to row ({error})", where=str(path)) from None
    return table.append_column(VECTOR, vectors)


def _text_column(row: dict[str, Any], path: Path) -> str:
    found = next((name for name in TEXTS if name in row), None)
    if found is None:
        raise BadData(
            f"there is no column with a usual name for text; the columns are {', '.join(row)}",
            where=str(path),
            fix="Name it with --text-col.",
        )
    return str(found)


def _text(record: Record, column: str, path: Path) -> str:
    number, row = record
    value = row.get(column)
    if not isinstance(value, str):
        raise BadData(f"the column '{column}' is missing or no text", where=f"{path}, row {number}")
    return value
