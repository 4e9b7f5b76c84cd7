"""How the cells of a label column are read: decided once for the whole column, and kept with the run."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from modernbert.errors import BadData
from modernbert.reading import parse_json
from modernbert.records.data import Form

# The largest number in fp32.
LARGEST = (2 - 2**-23) * 2.0**127
# Python's `float` also takes `1_000`, `nan` and digits of other scripts, which in a file are names.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# `[0 1 1]`, `0,1,1` or `(0.0, 1.0)`: zeros and ones written out.
VECTOR = re.compile(r"[\[(]?\s*[01](\.0*)?((\s*[,;|]\s*|\s+)[01](\.0*)?)+\s*[\])]?")
BRACKETS = {"[": "]", "(": ")", "{": "}"}
# What stands in numpy's way of writing a list: quoted texts or bare words, with blanks between them.
ITEM = re.compile(r"""'[^']*'|"[^"]*"|[^\s'"]+""")


@dataclass(frozen=True)
class Cells:
    """How every cell of one label column is read.

    Attributes:
        form: a name as it stands; a whole number, however it is written (`1`, `1.0`); names with a separator
            between them; a list of names; a zero or a one for each class; an object of names with zeros and
            ones. A list or an object may be written as text, as Python, numpy and JSON do.
        separator: what stands between the names, in the form `separated`.
        size: the number of classes, in the form `vectors`.
    """

    form: Form = "names"
    separator: str = ""
    size: int = 0

    def names(self, value: Any, *, column: str, where: str) -> list[str]:
        """Return the labels that a cell holds.

        Raises:
            BadData: the cell is not of this column's form.
        """
        found = self._names(value)
        if found is None or any(is_missing(name) for name in found):
            raise BadData(f"column '{column}' holds {_shown(value)} where {self} is expected", where=where)
        return [str(name) for name in found]

    def _names(self, value: Any) -> list[Any] | None:
        """Return a cell's labels, or None when it is of another form."""
        match self.form:
            case "vectors":
                vector = vector_of(value)
                fits = vector is not None and len(vector) == self.size
                return [i for i, number in enumerate(vector or ()) if number] if fits else None
            case "flags":
                flags = structure_of(value)
                return [k for k, v in flags.items() if flag_of(v)] if is_flags(flags) else None
            case "lists":
                items = structure_of(value)
                return _items(items) if isinstance(items, list) else None
            case "separated" if isinstance(value, str):
                return [part.strip() for part in value.split(self.separator) if part.strip()]
            case "numbers" if (number := as_number(value)) is not None and number == int(number):
                return [whole_number(value)]
        return _items(value) if isinstance(value, (list, tuple)) else [value]

    def __str__(self) -> str:
        """Say what a cell should be, for a message."""
        return {
            "names": "a label",
            "numbers": "a whole number",
            "separated": f"labels with '{self.separator}' between them",
            "lists": "a list of labels",
            "vectors": f"a list of {self.size} zeros and ones",
            "flags": "an object of labels with zeros and ones",
        }[self.form]


def is_missing(value: Any) -> bool:
    """Is this cell empty: None, blank, or not a number?"""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def as_number(value: Any) -> float | None:
    """Return a cell as a number that a model can compute with (fp32, so below 3e38); None if it is none."""
    if isinstance(value, bool) or (isinstance(value, str) and not NUMBER.fullmatch(value.strip())):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= LARGEST else None


def whole_number(value: Any) -> int:
    """Return a cell that writes a whole number: exactly, however many digits it has."""
    try:
        return int(value)
    except ValueError:  # `1.0`
        return int(float(value))


def structure_of(value: Any) -> Any:
    """Return the list or object that a cell is, or writes as text; None for any other cell."""
    if isinstance(value, dict):
        return value
    if isinstance(value, (list, tuple)):
        return list(value)
    written = _written(value.strip()) if isinstance(value, str) else None
    return list(written) if isinstance(written, list) else written


def vector_of(value: Any) -> list[float] | None:
    """Return the zeros and ones of a cell; None for any other cell."""
    if isinstance(value, str) and VECTOR.fullmatch(value.strip()):
        return [float(number) for number in re.findall(r"[01](?:\.0*)?", value)]
    items = structure_of(value)
    if not isinstance(items, list) or any(isinstance(item, str) for item in items):
        return None
    return items if all(flag_of(i) in (0, 1) for i in items) else None


def is_flags(value: Any) -> bool:
    """Is this an object whose values are zeros and ones?"""
    return isinstance(value, dict) and all(flag_of(flag) in (0, 1) for flag in value.values())


def flag_of(value: Any) -> float | None:
    """Return a cell as a number, of which true is one and false is zero; None if it is none."""
    return float(value) if isinstance(value, bool) else as_number(value)


def _items(values: Sequence[Any]) -> list[Any] | None:
    """Return a list's labels, without blanks around them, `2` for 2.0; None where something else stands."""
    whole = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    found = [value.strip() if isinstance(value, str) else value for value in whole]
    return found if all(isinstance(value, (str, int)) for value in found) else None


@lru_cache(10_000)  # the same few cells, again and again
def _written(text: str) -> Any:
    if len(text) < 2 or BRACKETS.get(text[0]) != text[-1]:
        return None
    for read in (_numpy, _python, _json, _bare):
        value = read(text)
        if value is not None:
            return value if isinstance(value, dict) else list(value)
    return None


def _numpy(text: str) -> Sequence[Any] | None:
    """Read `['a' 'b']`, which Python would take for one text."""
    items = ITEM.findall(text[1:-1])
    if "," in text or text[0] != "[" or len(items) < 2:
        return None
    values = [_python(item) for item in items]
    return None if any(value is None for value in values) else values


def _python(text: str) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # of a backslash that escapes nothing
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _json(text: str) -> Any:
    try:
        return parse_json(text, where="")
    except BadData:
        return None


def _bare(text: str) -> Sequence[str] | None:
    """Read `[a, b]`."""
    inside = text[1:-1]
    return None if text[0] != "[" or set(inside) & set("'\"[]{}") else inside.split(",") if inside else []


def _shown(value: Any) -> str:
    text = repr(value)
    return "nothing" if is_missing(value) else text if len(text) <= 60 else f"{text[:57]}..."
