"""A user's file as Arrow tables of one schema, which holds every value of every row as it was."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modernbert.data.readers import Record, iter_rows, parquet_file, read_cell
from modernbert.errors import BadData
from modernbert.evaluation.column_types import ColumnType
from modernbert.evaluation.rows import chunks_of_rows, find_columns


class TableFile(ABC):
    """A file of rows, read by the chunk in constant memory.

    Attributes:
        path: the file.
        schema: of every chunk, an Arrow schema.
        columns: their names, each with the place of the first row that has it.
    rows: how many.
    """

    path: Path
    schema: Any
    columns: dict[str, str]
    rows: int

    @abstractmethod
    def chunks(self, size: int) -> Iterator[Any]:
        """Yield Arrow tables of `size` rows."""

    @abstractmethod
    def _cells(self, column: str) -> Iterator[tuple[int, Any]]:
        """Yield (row number, value) of a column."""

    def require_texts(self, column: str) -> None:
        """Raise BadData, with the row, unless a column holds text in every row."""
        if column not in self.columns:
            known = ", ".join(self.columns)
            raise BadData(f"there is no column '{column}'; the columns are {known}", where=str(self.path))
        for number, value in self._cells(column):
            if not isinstance(value, str):
                where = f"{self.path}, row {number}"
                raise BadData(f"the column '{column}' is missing or no text", where=where)


def open_table(path: Path) -> TableFile:
    """Look through a file for its columns and their types.

    Raises:
        BadData: it has no rows, one that cannot be read, or a column whose values no one type can hold.
    """
    return ParquetTable(path) if path.suffix.lower() == ".parquet" else TextTable(path)


class ParquetTable(TableFile):
    """A Parquet file: it says its types itself, and its values never become Python's."""

    def __init__(self, path: Path) -> None:
        """Read the schema."""
        with parquet_file(path) as file:
            if not file.metadata.num_rows:
                raise BadData("the file has no rows", where=str(path))
            self.path, self.schema, self.rows = path, file.schema_arrow, file.metadata.num_rows
        self.columns = dict.fromkeys(self.schema.names, str(path))

    def chunks(self, size: int) -> Iterator[Any]:
        """Yield Arrow tables of at most `size` rows."""
        import pyarrow as arrow

        with parquet_file(self.path) as file:
            for batch in file.iter_batches(size):
                yield arrow.Table.from_batches([batch], schema=self.schema)

    def _cells(self, column: str) -> Iterator[tuple[int, Any]]:
        with parquet_file(self.path) as file:
            cells = (cell for batch in file.iter_batches(columns=[column]) for cell in batch.column(column))
            for number, cell in enumerate(cells, start=1):
                yield number, read_cell(cell, f"{self.path}, row {number}", column)


class TextTable(TableFile):
    """A CSV, TSV or JSONL file: its types are those that all its rows need."""

    def __init__(self, path: Path) -> None:
        """Look at every value."""
        import pyarrow as arrow

        types: defaultdict[str, ColumnType] = defaultdict(ColumnType)

        def look(chunk: list[Record]) -> None:
            for number, row in chunk:
                where = f"{path}, row {number}"
                for name, value in row.items():
                    types[name].add(value, where)

        self.path = path
        self.columns, self.rows = find_columns(path, look)
        self.schema = arrow.schema([(name, types[name].as_arrow(name)) for name in self.columns])

    def chunks(self, size: int) -> Iterator[Any]:
        """Yield Arrow tables of at most `size` rows; what a row lacks is null."""
        import pyarrow as arrow

        for chunk in chunks_of_rows(self.path, size):
            yield arrow.Table.from_pylist([row for _, row in chunk], schema=self.schema)

    def _cells(self, column: str) -> Iterator[tuple[int, Any]]:
        return ((number, row.get(column)) for number, row in iter_rows(self.path))
