"""What may stand behind an option: each function reads one kind of value, or says what is wrong with it.

A wrong value is refused before a command does anything. `name` is the option, for the message.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from modernbert.errors import BadData, BadOption, MbertError, did_you_mean
from modernbert.index.server import Address, is_address, read_address
from modernbert.places import LONGEST_FILE_NAME, no_such_file
from modernbert.ranges import LENGTHS, Range
from modernbert.run_names import check_run_name
from modernbert.settings.fields import Setting

# Of a text that is shown in a message.
SHOWN = 60
LONGEST_TEXT, LONGEST_PATH, LONGEST_PART = 10_000, 4_000, 255


def shown(value: str | Path, most: int = SHOWN) -> str:
    """Return a value as a message can show it: short, and without characters that steer a terminal."""
    text = str(value)
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:most])
    return plain + ("..." if len(text) > most else "")


def _shown_path(path: Path) -> str:
    return shown(path, SHOWN * 4)


def _refuse(name: str, text: str, rule: str) -> NoReturn:
    raise BadOption(f"{name} is '{shown(text)}'; it must be {rule}")


def text(text: str, name: str) -> str:
    """Read any text but an empty one."""
    if not text.strip():
        raise BadOption(f"{name} is empty", fix="Leave it out, or say what it is.")
    if len(text) > LONGEST_TEXT:
        _refuse(name, text, f"at most {LONGEST_TEXT:,} characters long")
    with contextlib.suppress(UnicodeEncodeError):
        text.encode()
        return text
    _refuse(name, text, "UTF-8")


def number(limits: Range) -> Callable[[str, str], float]:
    """Read a number within limits, in plain digits."""

    def read(text: str, name: str) -> float:
        plain = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text)
        if plain is None or (value := float(text)) not in limits:
            _refuse(name, text, f"a number, {limits}")
        return value

    return read


def whole(limits: Range) -> Callable[[str, str], int]:
    """Read a whole number within limits, in plain digits."""

    def read(text: str, name: str) -> int:
        # A number of thousands of digits is no number for Python, and never within limits.
        if not re.fullmatch(r"[+-]?[0-9]{1,30}", text) or (value := int(text)) not in limits:
            _refuse(name, text, f"a whole number, {limits}")
        return value

    return read


def whole_list(limits: Range) -> Callable[[str, str], list[int]]:
    """Read different whole numbers with commas between."""

    def read(text: str, name: str) -> list[int]:
        found = [whole(limits)(part.strip(), name) for part in text.split(",")]
        if len(set(found)) < len(found):
            _refuse(name, text, "a list in which no number stands twice")
        return found

    return read


def words(text_: str, name: str) -> list[str]:
    """Read words with commas between."""
    return [text(part.strip(), name) for part in text_.split(",")]


def one_of(*choices: str) -> Callable[[str, str], str]:
    """Read one of some words."""

    def read(text: str, name: str) -> str:
        if text not in choices:
            what = {"--to": "format", "--sort": "order"}.get(name) or name.lstrip("-").replace("-", " ")
            fix = did_you_mean(text, choices) + f"Use {name} {', '.join(choices)}."
            raise BadOption(f"there is no {what} '{shown(text)}'", fix=fix)
        return text

    read.choices = choices  # type: ignore[attr-defined]
    return read


def word_or_number(limits: Range, *choices: str) -> Callable[[str, str], float | str]:
    """Read one of some words, or a number within limits."""

    def read(text: str, name: str) -> float | str:
        with contextlib.suppress(BadOption):
            return number(limits)(text, name)
        if text not in choices:
            _refuse(name, text, f"{', '.join(choices)} or a number, {limits}")
        return text

    read.choices = choices  # type: ignore[attr-defined]
    return read


def word_or_file(*choices: str) -> Callable[[str, str], str]:
    """Read one of some words, or the path of a file that is there."""

    def read(text: str, name: str) -> str:
        return text if text in choices else str(source(text, name).absolute())

    read.choices = choices  # type: ignore[attr-defined]
    return read


def length(text: str, name: str) -> int:
    """Read a length in tokens; `auto` is 0."""
    limits = Range(LENGTHS.low, LENGTHS.high)
    if text != "auto" and not re.fullmatch("[0-9]{1,30}", text):
        raise BadOption(f"{name} cannot be '{shown(text)}'", fix="Give a number of tokens, or auto.")
    return 0 if text == "auto" else whole(limits)(text, name)


def setting(found: Setting) -> Callable[[str, str], Any]:
    """Read a value of a setting, within the setting's own limits."""
    if found.name == "metric":
        return metric
    readers: dict[type, Callable[..., Any]] = {float: number, int: whole, tuple: whole_list}
    words_ = [word for word in found.choices if word]
    if found.otherwise is float:
        assert found.limits is not None, "a number has limits"
        return word_or_number(found.limits, *words_)
    if words_:
        return word_or_file(*words_) if found.otherwise else one_of(*words_)
    if found.limits == LENGTHS:
        return length
    kind = type(found.default)
    return readers[kind](found.limits) if found.limits else words if kind is tuple else text


def name(text_: str, name: str) -> str:
    """Read what may be the name of a task, model or run, or a path."""
    if not text_.strip():
        text(text_, name)
    if len(text_) > LONGEST_PATH or any(len(os.fsencode(p)) > LONGEST_PART for p in Path(text_).parts):
        raise BadOption(f"{name} is '{shown(text_)}'", fix="Nothing has a name that long.")
    return text_


def tag(text_: str, name: str) -> str:
    """Read a tag of a run."""
    if not re.fullmatch(r"[^\s,]{1,50}", text_) or not text_.isprintable():
        _refuse(name, text_, "a word of at most 50 characters, without blanks and commas")
    return text(text_, name)


def metric(text_: str, name: str) -> str:
    """Read what may be a metric: whether it is one, the task decides."""
    if not re.fullmatch("[a-z0-9_]{1,50}", text_):
        _refuse(name, text_, "the name of a metric, such as macro_f1")
    return text_


def run_name(text: str, name_: str) -> str:
    """Read the name of a run that is to be made."""
    check_run_name(name(text, name_))
    return text


def _path(text: str, name_: str) -> Path:
    return Path(name(text, name_))


def _is(path: Path, what: Callable[[Path], bool], error: type[MbertError]) -> bool:
    try:
        return what(path)
    except OSError as problem:
        raise error(f"it cannot be looked at ({problem.strerror})", where=_shown_path(path)) from None


def source(text: str, name_: str) -> Path:
    """Read the path of a file that is there."""
    path = _path(text, name_)
    if _is(path, Path.is_dir, BadData):
        raise BadData("a folder, where a file is expected", where=f"{name_} {_shown_path(path)}")
    if not _is(path, Path.exists, BadData):
        raise no_such_file(path, shown=_shown_path(path))
    return path


def source_or_stdin(text: str, name_: str) -> Path:
    """Read the path of a file that is there, or `-` for standard input."""
    return Path(text) if text == "-" else source(text, name_)


def source_or_shards(text: str, name_: str) -> str:
    """Read the path of a file that is there; or, for a cluster, a folder, a pattern or an address."""
    path = _path(text, name_)
    if _is_address(text) or any(sign in text for sign in "*?[") or _is(path, Path.is_dir, BadData):
        return text
    return text if text == "-" else str(source(text, name_))


def _is_address(text: str) -> bool:
    """Is it one of fsspec's, such as `s3://bucket/folder`?"""
    return re.match("[a-z][a-z0-9+.-]*://.", text) is not None


def place(text: str, name_: str) -> Path:
    """Read the path of a file or folder that is there."""
    path = _path(text, name_)
    if not _is(path, Path.exists, BadData):
        raise no_such_file(path, "file or folder", shown=_shown_path(path))
    return path


def place_or_database(text: str, name_: str) -> Path | Address:
    """Read the path of a file or folder that is there, or the address of a database."""
    return database(text, name_) if is_address(text) else place(text, name_)


def database(text: str, name_: str) -> Address:
    """Read the address of a database. What is wrong with it is said without repeating it: see `Address`."""
    try:
        return read_address(text)
    except BadOption as error:
        raise BadOption(error.what, where=name_, fix=error.fix) from None


def target(*suffixes: str) -> Callable[[str, str], Path]:
    """Read the path of a file to write, with one of these suffixes."""

    def read(text: str, name_: str) -> Path:
        path = _path(text, name_)
        if text.endswith(("/", os.sep)) or _is(path, Path.is_dir, BadOption):
            raise BadOption("a folder, where a file is expected", where=f"{name_} {shown(text)}")
        if path.suffix.lower() not in suffixes:
            fix = f"Use {', '.join(suffixes)}."
            raise BadOption(f"cannot write '{path.suffix}' files", where=_shown_path(path), fix=fix)
        if len(os.fsencode(path.name)) > LONGEST_FILE_NAME:
            raise BadOption("cannot write here (File name too long)", where=shown(text))
        _require_writable(path.parent)
        return path

    return read


def target_or_shards(*suffixes: str) -> Callable[[str, str], str]:
    """Read the path of a file to write, as `target`; or, for a cluster, a folder or an address."""

    def read(text: str, name_: str) -> str:
        path = _path(text, name_)
        if _is_address(text):
            return text
        if path.suffix and not text.endswith("/") and not _is(path, Path.is_dir, BadOption):
            return str(target(*suffixes)(text, name_))
        return str(folder(text, name_))

    return read


def _require_writable(folder: Path) -> None:
    if not _is(folder, Path.exists, BadOption):
        raise BadOption("cannot write here (No such file or directory)", where=_shown_path(folder))
    if not folder.is_dir():
        raise BadOption("cannot write here (Not a directory)", where=_shown_path(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadOption("cannot write here (Permission denied)", where=_shown_path(folder))


def folder(text: str, name_: str) -> Path:
    """Read the path of a folder, which may be there or be made."""
    path = _path(text, name_)
    above = next((p for p in (path, *path.absolute().parents) if _is(p, Path.exists, BadOption)), path)
    if above == path and not path.is_dir() and path.exists():
        raise BadOption("a file, where a folder is expected", where=f"{name_} {_shown_path(path)}")
    if not above.is_dir():
        raise BadOption("cannot write here (Not a directory)", where=_shown_path(path))
    return path
