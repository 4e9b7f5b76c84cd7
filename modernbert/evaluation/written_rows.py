"""Rows with predictions beside them, as JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

from modernbert.data.labels import SEPARATORS
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.tables import open_table

Row = dict[str, Any]
# Rows that a Parquet file holds together, and that are in memory until they are written.
ROW_GROUP = 8192


def plain(row: Mapping[str, Any], where: str) -> Row:
    """Return a row as JSON and CSV can hold it: dates become text, NaN becomes null.

    Raises:
        BadData: it holds bytes or an infinity, which neither can.
    """
    return {name: _plain(value, name, where) for name, value in row.items()}


def _plain(value: Any, column: str, where: str) -> Any:
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, dict):
        return {str(name): _plain(part, column, where) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part, column, where) for part in value]
    if isinstance(value, bytes) or (isinstance(value, float) and math.isinf(value)):
        found = "bytes" if isinstance(value, bytes) else "an infinity"
        raise BadData(f"the column '{column}' holds {found}, which neither JSON nor CSV can", where=where,
                      fix="Leave the column out, or write it as text.")  # fmt: skip
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return str(value)


class JsonLines:
    """One object a line: the row as it is, then what was predicted."""

    binary: ClassVar[bool] = False
    # What the file says of itself; a Parquet file can.
    notes: Mapping[str, str] = {}

    def __init__(
        self, file: IO[Any], columns: Mapping[str, str], sample: Row, prefix: str, path: Path
    ) -> None:
        """Raise BadOption when the input has a new column's name already.

        Args:
            file: what is written to.
            columns: of the input, each with the place of the first row that has it.
            sample: some prediction; all have its names and types.
            prefix: put before these.
            path: the input.
        """
        self.file, self.prefix = file, prefix
        self.columns = [*columns, *(prefix + name for name in self.shaped(sample))]
        for name in self.columns[len(columns) :]:
            if name in columns:
                raise BadOption(f"the file has a column '{name}' already", where=columns[name],
                                fix="Rename new ones with --prefix.")  # fmt: skip

    @staticmethod
    def held(row: Mapping[str, Any], where: str) -> Row:
        """Return a row as this format can hold it. Raises BadData for what it cannot."""
        return plain(row, where)

    def shaped(self, predicted: Row) -> Row:
        """Return a prediction as this format shows it."""
        return predicted

    def write(self, row: Row, predicted: Row) -> None:
        """Write one row."""
        self._put(row | {self.prefix + name: value for name, value in self.shaped(predicted).items()})

    def _put(self, row: Row) -> None:
        self.file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")

    def close(self) -> None:
        """Write what is still to be written; the file stays open."""


def spread(predicted: Row) -> Row:
    """Return a prediction with a column of its own for each probability."""
    shares = {f"probability_{name}": p for name, p in predicted.get("probabilities", {}).items()}
    for place, best in enumerate(predicted.get("top", ()), start=1):
        shares |= {f"label_{place}": best["label"], f"probability_{place}": best["probability"]}
    return {n: value for n, value in predicted.items() if n not in ("probabilities", "top")} | shares


class CsvTable(JsonLines):
    """One row a line, with every column of every row; each class has a column of its own."""

    def __init__(
        self, file: IO[Any], columns: Mapping[str, str], sample: Row, prefix: str, path: Path
    ) -> None:
        """Write the header."""
        super().__init__(file, columns, sample, prefix, path)
        self.table = csv.DictWriter(file, self.columns)
        self.table.writeheader()

    def shaped(self, predicted: Row) -> Row:
        """Spread probabilities over columns; several labels are one cell, as `mbert finetune` reads them."""
        answer = predicted["prediction"]
        joined = SEPARATORS[0].join(answer) if isinstance(answer, list) else answer
        return spread(predicted) | {"prediction": joined}

    def _put(self, row: Row) -> None:
        self.table.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> Any:
    """Return a value as a cell: text and numbers as they are, everything else as JSON, nothing for null."""
    if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
        return value
    return json.dumps(value, ensure_ascii=False)


class ParquetTable(JsonLines):
    """Typed columns: those of a Parquet file as they are, of any other file such as hold all its values."""

    binary: ClassVar[bool] = True

    def __init__(
        self, file: IO[Any], columns: Mapping[str, str], sample: Row, prefix: str, path: Path
    ) -> None:
        """Find the columns' types. Raises BadData where there is none for all values of a column."""
        import pyarrow as arrow
        import pyarrow.parquet as parquet

        super().__init__(file, columns, sample, prefix, path)
        self.schema = open_table(path).schema
        for name, value in self.shaped(sample).items():
            self.schema = self.schema.append(arrow.field(prefix + name, _arrow_type(value)))
        self.table = parquet.ParquetWriter(file, self.schema)
        self.rows: list[Row] = []

    @staticmethod
    def held(row: Mapping[str, Any], where: str) -> Row:
        """Return the row: Parquet holds everything that can be read."""
        return dict(row)

    def shaped(self, predicted: Row) -> Row:
        """Spread probabilities over columns; several labels are a list."""
        return spread(predicted)

    def _put(self, row: Row) -> None:
        self.rows.append(row)
        if len(self.rows) == ROW_GROUP:
            self._write_rows()

    def _write_rows(self) -> None:
        import pyarrow as arrow

        self.table.write_table(arrow.Table.from_pylist(self.rows, schema=self.schema))
        self.rows = []

    def close(self) -> None:
        """Write the last rows and the footer."""
        if self.rows:
            self._write_rows()
        self.table.add_key_value_metadata(dict(self.notes))
        self.table.close()


def _arrow_type(value: Any) -> Any:
    import pyarrow as arrow

    if isinstance(value, list):
        return arrow.list_(arrow.string())
    return arrow.string() if isinstance(value, str) else arrow.float64()


WRITERS: dict[str, type[JsonLines]] = {".jsonl": JsonLines, ".csv": CsvTable, ".parquet": ParquetTable}
