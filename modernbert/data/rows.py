"""Rows of one split, by column, that remember where they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rows:
    """Columns of equal length.

    `numbers[i]` is the 1-based number of row i in `origin` (a file, or a data set's split), so that a
    message can name it and an example keeps its identity when rows are split or left out.
    """

    columns: Mapping[str, Sequence[Any]]
    origin: str
    numbers: Sequence[int]

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Any]], origin: str) -> Rows:
        """Number the rows from 1."""
        size = len(next(iter(columns.values()), []))
        assert all(len(column) == size for column in columns.values()), "columns differ in length"
        return cls(columns, origin, range(1, size + 1))

    @classmethod
    def from_records(
        cls, records: Iterable[tuple[int, Mapping[str, Any]]], origin: str, *, columns: Sequence[str] = ()
    ) -> Rows:
        """Collect (row number, row) pairs; a column missing from a row holds None there.

        `columns` are there even if no row has them.
        """
        pairs = list(records)
        names = list(dict.fromkeys((*columns, *(name for _, row in pairs for name in row))))
        values = {name: [row.get(name) for _, row in pairs] for name in names}
        return cls(values, origin, [number for number, _ in pairs])

    def __len__(self) -> int:
        return len(self.numbers)

    def parts(self, name: str) -> list[str]:
        """Return the columns that a name stands for: its own, or several with commas between them."""
        return [name] if name in self.columns else name.split(",")

    def cells(self, name: str) -> Sequence[Any]:
        """Return a column's cells; of several columns, an object of them for each row."""
        if name in self.columns:
            return self.columns[name]
        parts = self.parts(name)
        rows = zip(*(self.columns[part] for part in parts), strict=True)
        return [dict(zip(parts, row, strict=True)) for row in rows]

    def where(self, index: int) -> str:
        """Name row `index` for a message."""
        return f"{self.origin}, row {self.numbers[index]}"

    def take(self, indices: Sequence[int]) -> Rows:
        """Return the rows at `indices`, in that order."""
        columns = {name: [column[i] for i in indices] for name, column in self.columns.items()}
        return Rows(columns, self.origin, [self.numbers[i] for i in indices])

    def fingerprint(self, columns: Sequence[str]) -> str:
        """Return a SHA-256 over the row numbers and the named columns, the identity of this data."""
        digest = hashlib.sha256()
        parts = [part for name in columns for part in self.parts(name)]
        present = [self.columns[part] for part in parts if part in self.columns]
        for number, *values in zip(self.numbers, *present, strict=True):
            digest.update(json.dumps([number, *values], ensure_ascii=False, default=str).encode())
        return digest.hexdigest()
