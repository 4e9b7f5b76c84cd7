"""Embed a file of any size in constant memory: every row with its vector, as Parquet.

Shape suffixes: N rows of a chunk, D vector size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.ahead import ahead
from modernbert.data.columns import TEXTS
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.rows import Unchanged, require_other_file
from modernbert.evaluation.runner import Begun
from modernbert.evaluation.tables import open_table
from modernbert.files import atomic_file
from modernbert.model.embedding import TextKind

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
    kind: TextKind = "document",
    notes: Mapping[str, str] | None = None,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Embedded:
    """Embed every row of a file, in order; the output appears whole or not at all.

    Args:
        embedder: the model.
        path: CSV, TSV, JSONL or Parquet.
        output: a Parquet file: the input's columns, and `vector`, fp32. Each column has a type that holds
            all its values; those of a Parquet file stay as they are.
        column: the text; by default the first of the usual names.
        kind: which of the model's prompts to put before each text.
        notes: what the Parquet file says of itself (its key-value metadata).
        on_progress: told the number of rows done.

    Raises:
        BadData: a row cannot be read or has no text, or a column's values are of several kinds; nothing is
            written.
        BadOption: the output is no Parquet file or the input itself, or that has a column `vector` already.
    """
    import pyarrow.parquet as parquet

    if output.suffix.lower() != ".parquet":
        raise BadOption(f"cannot write '{output.suffix}' files", where=str(output), fix="Use .parquet.")
    require_other_file(path, output)
    before = Unchanged(path)
    table = open_table(path)
    if VECTOR in table.columns:
        raise BadOption(f"the file has a column '{VECTOR}' already", where=table.columns[VECTOR],
                        fix="Rename it.")  # fmt: skip
    column = column or _text_column(table.columns, path)
    table.require_texts(column)
    writer = None
    with (
        phase("embedding", table.rows, "rows", by_text=True) as now,
        atomic_file(output, binary=True) as file,
    ):
        chunks = before.watch(table.chunks(CHUNK_ROWS))
        for chunk, begun in ahead(partial(_begin, embedder, column, kind), chunks, embedder.runner.size):
            vectors_ND = embedder.finish(begun)
            chunk = chunk.append_column(VECTOR, _as_arrow(vectors_ND))
            writer = writer or parquet.ParquetWriter(file, chunk.schema)
            writer.write_table(chunk)
            now.advance(len(chunk))
            on_progress(now.done)
        assert writer is not None, "a file without rows was refused"
        writer.add_key_value_metadata(dict(notes or {}))
        writer.close()
    return Embedded(output, now.done, column, int(vectors_ND.shape[1]))


def _begin(embedder: Embedder, column: str, kind: TextKind, chunk: Any) -> tuple[Any, Begun]:
    return chunk, embedder.begin(chunk[column].to_pylist(), kind)


def _as_arrow(vectors_ND: np.ndarray) -> Any:
    import pyarrow as arrow

    flat = arrow.array(vectors_ND.ravel(), type=arrow.float32())
    return arrow.FixedSizeListArray.from_arrays(flat, vectors_ND.shape[1])


def _text_column(columns: Collection[str], path: Path) -> str:
    found = next((name for name in TEXTS if name in columns), None)
    if found is None:
        raise BadData(
            f"there is no column with a usual name for text; the columns are {', '.join(columns)}",
            where=str(path),
            fix="Name it with --text-col.",
        )
    return found
