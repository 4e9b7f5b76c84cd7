"""A table's rows to search: which columns are their text and their id, and how a row becomes chunks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from modernbert.data.columns import TEXTS, guess_text
from modernbert.data.examples import require_columns
from modernbert.data.readers import SUFFIXES, read_rows
from modernbert.data.rows import Rows
from modernbert.files import sha256
from modernbert.index.chunks import LARGEST, Chunk

# Usual names of the column that tells rows apart, and of the one that is searched before the text.
IDS, TITLE = ("id", "_id", "doc_id", "docid", "document_id", "uuid", "key"), "title"


class Table(TypedDict):
    """Columns of an indexed table: what is searched, and what tells rows apart (if none, their numbers)."""

    text: list[str]
    id: str | None


def is_table(path: Path) -> bool:
    """Is a path's ending that of a table?"""
    return path.suffix.lower() in SUFFIXES


def table_of(rows: Rows, text: Sequence[str] = ()) -> Table:
    """Choose a table's columns; what the caller gives is taken as it is.

    Raises:
        BadData: a given column does not exist, or none holds text.
    """
    require_columns(rows, text)
    by_lower = {name.lower(): name for name in rows.columns}
    chosen = list(text)
    if not chosen:
        title = [by_lower[TITLE]] if TITLE in by_lower else []
        body = next(([by_lower[name]] for name in TEXTS if name in by_lower), [])
        chosen = [*title, *body] if body else list(dict.fromkeys([*title, *guess_text(rows)]))
    return Table(text=chosen, id=next((by_lower[name] for name in IDS if name in by_lower), None))


def table_digest(path: Path, table: Table) -> str:
    """Return a hash of a table's bytes and of which of its columns are searched."""
    return hashlib.sha256(f"{sha256(path)} {json.dumps(table, sort_keys=True)}".encode()).hexdigest()


def cut_table(path: Path, table: Table) -> tuple[list[Chunk], list[int]]:
    """Return the rows' chunks, and the numbers of the rows that have no text.

    A chunk's lines are the row's number, counted from 1; a long text is in several chunks.

    Raises:
        BadData: the table cannot be read.
    """
    rows, chunks, empty = read_rows(path), [], []
    for place, number in enumerate(rows.numbers):
        fields = {name: values[place] for name, values in rows.columns.items()}
        parts = [str(fields[name]).strip() for name in table["text"] if fields[name] is not None]
        if not (text := "\n".join(filter(None, parts))):
            empty.append(number)
        whole = json.dumps(_plain(fields), ensure_ascii=False)
        name = "" if table["id"] is None else str(fields[table["id"]])
        chunks += [Chunk(number, number, name, part, whole) for part in _parts(text)]
    return chunks, empty


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: dates, bytes and numbers that are not finite as text."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    is_plain = (
        value is None or isinstance(value, (str, int)) or (isinstance(value, float) and isfinite(value))
    )
    return value if is_plain else str(value)


def _parts(text: str) -> list[str]:
    """Cut a text where words end, into parts that embedding models read whole."""
    parts = []
    while text := text.strip():
        end = len(text) if len(text) <= LARGEST else max(text.rfind(c, LARGEST // 2, LARGEST) for c in " \n")
        end = end if end > 0 else LARGEST
        parts.append(text[:end])
        text = text[end:]
    return parts
