"""What type a column needs to hold every value of a file without loss: found while all its rows pass."""

from __future__ import annotations

from typing import Any

from modernbert.errors import BadData

# Whole numbers up to here are exact in a 64-bit floating-point number.
EXACT = 2**53
# Lists and objects within each other: readers of Parquet stop at 100 levels, and a list takes two.
DEEPEST = 40
# Names in an object; each becomes a column of its own, and thousands would be slower than anything else.
MOST_FIELDS = 1000
NAMES = {bool: "true or false", int: "a whole number", float: "a fraction", str: "text", list: "a list",
         dict: "an object"}  # fmt: skip
FIX = "Make all values of the column of one kind: in quotes, each is text."


class ColumnType:
    """The kinds of values that a column, or one part of its values, was seen to hold.

    Numbers become wider where that loses nothing: whole numbers to 64 bits with or without a sign, or to
    floating point where some are fractions. Everything else that differs from row to row is refused.
    """

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self.first: dict[type, str] = {}
        self.low = self.high = 0
        self.outermost = ""
        self.items: ColumnType | None = None
        self.fields: dict[str, ColumnType] = {}

    def add(self, value: Any, where: str) -> None:
        """Take note of one value, and of its row."""
        if value is None:
            return
        kind = type(value)
        assert kind in NAMES, "values are those of JSON"
        self.first.setdefault(kind, where)
        if kind is int and not self.low <= value <= self.high:
            self.low, self.high, self.outermost = min(self.low, value), max(self.high, value), where
        elif kind is list:
            self.items = self.items or ColumnType()
            for item in value:
                self.items.add(item, where)
        elif kind is dict:
            for name, part in value.items():
                self.fields.setdefault(name, ColumnType()).add(part, where)
            if len(self.fields) > MOST_FIELDS:
                raise BadData(f"an object has its {MOST_FIELDS + 1:,}th different name here", where=where,
                              fix="Write it as text: the whole object in quotes.")  # fmt: skip

    def as_arrow(self, column: str, depth: int = 0) -> Any:
        """Return the Arrow type. Raises BadData, with the row, where there is none for all values."""
        import pyarrow as arrow

        kinds = set(self.first)
        if depth > DEEPEST:
            what = f"the column '{column[:40]}' nests deeper than {DEEPEST} levels, which Parquet cannot"
            raise BadData(what, where=next(iter(self.first.values()), None))
        if kinds == {int, float}:
            return self._mixed_numbers(column)
        if len(kinds) > 1:
            raise self._mixed(column)
        if kinds == {int}:
            return self._whole_numbers(column)
        if kinds == {list}:
            assert self.items is not None
            return arrow.list_(self.items.as_arrow(column, depth + 1))
        if kinds == {dict}:
            return self._object(column, depth + 1)
        scalars = {bool: arrow.bool_(), float: arrow.float64(), str: arrow.string()}
        return scalars[kinds.pop()] if kinds else arrow.null()

    def _mixed(self, column: str) -> BadData:
        (one, first), (other, second), *_ = self.first.items()
        what = f"the column '{column}' holds {NAMES[other]} here and {NAMES[one]} in {first.split(', ')[-1]}"
        return BadData(what, where=second, fix=FIX)

    def _whole_numbers(self, column: str) -> Any:
        import pyarrow as arrow

        if self.low >= -(2**63) and self.high < 2**63:
            return arrow.int64()
        if self.low >= 0 and self.high < 2**64:
            return arrow.uint64()
        what = f"the column '{column}' holds whole numbers that do not fit into 64 bits together"
        raise BadData(what, where=self.outermost, fix=FIX)

    def _mixed_numbers(self, column: str) -> Any:
        import pyarrow as arrow

        if max(-self.low, self.high) <= EXACT:
            return arrow.float64()
        what = f"the column '{column}' holds fractions, and a whole number beyond 2^53: no type holds both"
        raise BadData(what, where=self.outermost, fix=FIX)

    def _object(self, column: str, depth: int) -> Any:
        import pyarrow as arrow

        if not self.fields:
            what = f"the column '{column}' holds empty objects alone, which Parquet cannot"
            raise BadData(what, where=self.first[dict], fix="Write null instead, or leave it out.")
        parts = self.fields.items()
        return arrow.struct([(name, kind.as_arrow(f"{column}.{name}", depth)) for name, kind in parts])
