"""Files of JSON that mbert wrote, or a user: read whole, checked, and named when they are wrong.

Every JSON in the package is parsed here. What Python's parser lets through and nothing else can carry on
(lone surrogates), or fails on in ways of its own (deep nesting, numbers of thousands of digits), is an error
with the file's name and the line, as is a value of another type than the one that is expected.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
from codecs import BOM_UTF8
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from modernbert.errors import BadData, MbertError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")
# Deeper JSON is parsed by some parsers, and then written, compared or walked through by none.
DEEPEST = 100
# What to do about NaN and infinities; null is no label either.
NOT_A_NUMBER = "Write null where nothing is known; leave a row out whose label or text that is."


def parse_json(
    text: str | bytes, *, where: str, error: type[MbertError] = BadData, strict: bool = False
) -> Any:
    """Parse JSON.

    Args:
        text: UTF-8, or characters.
        where: file and line, for the message.
        error: what to raise.
        strict: refuse what Python's parser lets through and others do not: NaN, infinities, and an object
            with a name twice, of which only the last value would be kept.

    Raises:
        error: it is not valid, nests too deep, has a number that is too long, or half a character.
    """
    try:
        # The codec utf-8-sig is Python's own, and takes a third of the time of a large file.
        decoded = text if isinstance(text, str) else text.removeprefix(BOM_UTF8).decode()
        value = json.loads(decoded, **(_STRICT if strict else {}))
        if decoded.count("[") + decoded.count("{") > DEEPEST and _is_deep(value):
            raise RecursionError
        if "\\u" in decoded:  # the only way to half a surrogate pair, which UTF-8 cannot hold
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as problem:
        raise error(f"not valid JSON ({problem.msg})", where=where) from None
    except UnicodeDecodeError:
        raise error("not UTF-8", where=where) from None
    except UnicodeEncodeError:
        raise error(
            "half of a character (a lone surrogate), which no text can hold",
            where=where,
            fix="Write the whole character, or leave it out.",
        ) from None
    except RecursionError:
        raise error(f"JSON that nests too deep (more than {DEEPEST} levels)", where=where) from None
    except _NotFinite as problem:
        raise error(f"{problem}, which JSON does not have", where=where, fix=NOT_A_NUMBER) from None
    except _Twice as problem:
        raise error(f"an object has the name {str(problem)!r} twice", where=where) from None
    except ValueError:
        fix = "Put it in quotes: then it is text."
        raise error("a number of too many digits", where=where, fix=fix) from None
    return value


def _is_deep(value: Any) -> bool:
    parts = [value]
    for _ in range(DEEPEST):
        inner = (part.values() if isinstance(part, dict) else part for part in parts)
        parts = [part for found in inner for part in found if isinstance(part, (dict, list))]
    return bool(parts)


class _NotFinite(ValueError):
    """A number that is none, or too large for a computer's."""


class _Twice(ValueError):
    """A name that an object has twice."""


def _refuse_constant(name: str) -> Any:
    raise _NotFinite(name)


def _finite_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _NotFinite(f"a number beyond 1e308 ({digits[:20]})")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return found


_STRICT: dict[str, Any] = {
    "parse_constant": _refuse_constant,
    "parse_float": _finite_float,
    "object_pairs_hook": _unique,
}


def read_bytes(path: Path, error: type[MbertError] = BadData, *, what: str = "the file") -> bytes:
    """Read a whole file. Raises `error` when it is missing, a folder, a pipe or a device, or unreadable."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe without a writer would wait for one
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise error(f"{what} cannot be read (it is no file)", where=str(path))
            return file.read()
    except OSError as problem:
        raise error(f"{what} cannot be read ({problem.strerror})", where=str(path)) from None


def read_json(path: Path, error: type[MbertError] = BadData, *, what: str = "the file") -> Any:
    """Read a file of JSON. Raises `error`, with the file's name, as `read_bytes` and `parse_json` do."""
    return parse_json(read_bytes(path, error, what=what), where=str(path), error=error)


def read_object(path: Path, error: type[MbertError] = BadData, *, what: str = "the file") -> dict[str, Any]:
    """Read a file that holds one JSON object. Raises `error` as `read_json`, or for another value."""
    return checked(dict[str, Any], read_json(path, error, what=what), where=str(path), error=error)


def read_lines(
    path: Path, error: type[MbertError] = BadData, *, what: str = "the file"
) -> Iterator[tuple[str, Any]]:
    """Yield (file and line, value) of a file with one JSON value a line; blank lines are left out.

    Lines end with a newline and nothing else: JSON may hold U+2028 and its like as they are.
    """
    for number, line in enumerate(read_bytes(path, error, what=what).split(b"\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, parse_json(line, where=where, error=error)


def checked(kind: type[T], value: Any, *, where: str, error: type[MbertError] = BadData) -> T:
    """Return `value` if it is what `kind` (a type, TypedDict or dataclass) says; nothing is converted.

    JSON has lists, so `kind` says `list` where it means a sequence; `pydantic.FiniteFloat` leaves out NaN.

    Raises:
        error: it is not; the message names the place in the value and what is expected there.
    """
    adapter: TypeAdapter[T] = _adapter(cast(Any, kind))  # a type is hashable, which mypy does not see
    with _named_place(where, error):
        return adapter.validate_python(value, strict=True)


def read_as(kind: type[T], path: Path, error: type[MbertError] = BadData, *, what: str = "the file") -> T:
    """Read a file of JSON back into a dataclass: its lists become tuples, its objects dataclasses.

    Raises:
        error: as `read_json` and `checked`.
    """
    return checked_json(kind, read_json(path, error, what=what), where=str(path), error=error)


def checked_json(kind: type[T], value: Any, *, where: str, error: type[MbertError] = BadData) -> T:
    """Return what parsed JSON says, as a dataclass or model: lists become tuples, objects dataclasses.

    Raises:
        error: as `checked`.
    """
    adapter: TypeAdapter[T] = _adapter(cast(Any, kind))
    with _named_place(where, error):
        return adapter.validate_json(json.dumps(value), strict=True)


@contextlib.contextmanager
def _named_place(where: str, error: type[MbertError]) -> Iterator[None]:
    """Turn pydantic's error into one of ours that names the place in the value."""
    from pydantic import ValidationError

    try:
        yield
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = first["msg"][0].lower() + first["msg"][1:]
        raise error(f"{place}: {message}" if place else message, where=where) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
