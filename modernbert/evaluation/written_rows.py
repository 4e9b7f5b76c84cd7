"""Rows with predictions beside them, as JSON lines or as CSV."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping
from typing import IO, Any

from modernbert.data.labels import SEPARATORS
from modernbert.errors import BadData, BadOption

Row = dict[str, Any]


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

    def __init__(self, file: IO[str], columns: Mapping[str, str], sample: Row, prefix: str) -> None:
        """Raise BadOption when the input has a new column's name already.

        Args:
            file: what is written to.
            columns: of the input, each with the place of the first row that has it.
            sample: some prediction; all have its names.
            prefix: put before these.
        """
        self.file, self.prefix = file, prefix
        self.columns = [*columns, *(prefix + name for name in self.shaped(sample))]
        for name in self.columns[len(columns) :]:
            if name in columns:
                raise BadOption(f"the file has a column '{name}' already", where=columns[name],
                                fix="Rename new ones with --prefix.")  # fmt: skip

    def shaped(self, predicted: Row) -> Row:
        """Return a prediction as this format shows it."""
        return predicted

    def write(self, row: Row, predicted: Row) -> None:
        """Write one row."""
        self._put(row | {self.prefix + name: value for name, value in self.shaped(predicted).items()})

    def _put(self, row: Row) -> None:
        self.file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


class CsvTable(JsonLines):
    """One row a line, with every column of every row; each class has a column of its own."""

    def __init__(self, file: IO[str], columns: Mapping[str, str], sample: Row, prefix: str) -> None:
        """Write the header."""
        super().__init__(file, columns, sample, prefix)
        self.table = csv.DictWriter(file, self.columns)
        self.table.writeheader()

    def shaped(self, predicted: Row) -> Row:
        """Spread probabilities over columns; several labels are one cell, as `mbert finetune` reads them."""
        shares = {f"probability_{name}": p for name, p in predicted.get("probabilities", {}).items()}
        answer = predicted["prediction"]
        if isinstance(answer, list):
            answer = SEPARATORS[0].join(answer)
        others = {name: value for name, value in predicted.items() if name != "probabilities"}
        return others | {"prediction": answer} | shares

    def _put(self, row: Row) -> None:
        self.table.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> Any:
    """Return a value as a cell: text and numbers as they are, everything else as JSON, nothing for null."""
    if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
        return value
    return json.dumps(value, ensure_ascii=False)


WRITERS: dict[str, Callable[[IO[str], Mapping[str, str], Row, str], JsonLines]] = {
    ".jsonl": JsonLines,
    ".csv": CsvTable,
}
