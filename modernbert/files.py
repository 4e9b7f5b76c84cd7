"""Outputs that are whole or absent: written to a temporary name, flushed, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from modernbert.errors import BadOption
from modernbert.places import no_space_is_an_error
from modernbert.temporary import REPLACED, new_file, new_folder, sweep, temporary_beside


@contextlib.contextmanager
def atomic_file(path: Path, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; it takes the name `path` only when the block ends well.

    Raises:
        DiskFull: no space was left; an older file at `path` is untouched.
        BadOption: it cannot be written there.
    """
    with no_space_is_an_error(path):
        sweep(path.parent)
        with temporary_beside(path, new_file) as (temporary, handle), _opened(handle, binary=binary) as file:
            yield file
            file.flush()
            os.fsync(handle)
            temporary.replace(path)  # before it is closed: the lock ends with that


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Yield an empty file beside `path`, for a library to write by its name and the caller to rename.

    Raises:
        DiskFull: no space was left; nothing stays behind.
        BadOption: it cannot be written there.
    """
    with no_space_is_an_error(path):
        sweep(path.parent)
        with temporary_beside(path, new_file) as (temporary, _):
            yield temporary


def _opened(handle: int, *, binary: bool) -> IO[Any]:
    if binary:
        return open(handle, "wb", closefd=False)
    return open(handle, "w", encoding="utf-8", newline="", closefd=False)


@contextlib.contextmanager
def atomic_folder(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that takes the name `path` (which must not exist) when the block ends well.

    Args:
        shared: another process may make the same folder meanwhile; the first that is whole stays.

    Raises:
        DiskFull: no space was left; nothing stays behind.
        BadOption: it cannot be written there.
    """
    with no_space_is_an_error(path), _temporary_folder(path) as temporary:
        yield temporary
        try:
            _flushed(temporary).rename(path)
        except OSError:
            if not (shared and path.is_dir()):
                raise
        flush_to_disk(path.parent)


@contextlib.contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Like `atomic_folder`, for a `path` that may exist: the old folder stays until the new one is whole.

    No file system renames a folder over another one, so the old one steps aside first. Killed between
    the two renames, the next writer there puts it back.
    """
    with no_space_is_an_error(path), _temporary_folder(path) as temporary:
        yield temporary
        old = path.with_name(f".{path.name}.{secrets.token_hex(8)}{REPLACED}")
        _flushed(temporary)
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)
        flush_to_disk(path.parent)


@contextlib.contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    with temporary_beside(path, new_folder) as (temporary, _):
        yield temporary


def _flushed(folder: Path) -> Path:
    for file in folder.rglob("*"):
        flush_to_disk(file)
    return folder


def flush_to_disk(path: Path) -> None:
    """Make the file or folder at `path` survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def json_text(value: Any) -> str:
    """Return `value` as indented JSON. Raises BadOption when a file's name in it is no UTF-8."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        name = text[text.rindex('"', 0, error.start) + 1 :].partition('"')[0]
        raise BadOption(f"the name '{name}' is no UTF-8, and cannot be recorded", fix="Rename it.") from None
    return text


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. Raises as `json_text` and `atomic_file`."""
    text = json_text(value)
    with atomic_file(path) as file:
        file.write(text)


def write_jsonl(path: Path, rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> None:
    """Write one JSON object per line, atomically."""
    with atomic_file(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def checksums(folder: Path) -> dict[str, str]:
    """Return {file name: SHA-256} of the files in a folder."""
    return {file.name: sha256(file) for file in sorted(folder.iterdir()) if file.is_file()}


def model_checksums(folder: Path) -> dict[str, str]:
    """Return the checksums of a saved model; its card is left out, as its owner may edit that."""
    return {name: value for name, value in checksums(folder).items() if name != "README.md"}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
