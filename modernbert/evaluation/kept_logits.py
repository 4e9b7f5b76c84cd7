"""Logits of a file's rows, kept beside the output until it is whole: a stopped prediction goes on from them.

Shape suffixes: N rows of a chunk (or words, of tagged words), C outputs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from modernbert.errors import BadData, BadOption
from modernbert.places import no_space_is_an_error
from modernbert.reading import parse_json
from modernbert.temporary import try_lock

# Put behind the output's name.
SUFFIX = ".partial"


class KeptLogits:
    """A line of JSON for each chunk of rows, in the order of the file; the first line says what they are of.

    A line that is torn or damaged ends the file: what comes behind it is computed again.

    Attributes:
        rows: how many rows had been scored before.
    """

    def __init__(self, output: Path, made_from: Mapping[str, Any]) -> None:
        """Name the file, and read nothing yet.

        Args:
            output: what is written in the end.
            made_from: everything that the logits depend on; those of anything else are dropped.
        """
        self.path = output.with_name(output.name + SUFFIX)
        self.head = (json.dumps({"logits of": made_from}, sort_keys=True, default=str) + "\n").encode()
        self.rows = 0
        self._handle: int | None = None

    def __enter__(self) -> Self:
        """Open what is there. Raises BadOption when another process works on the same output."""
        if self.path.is_file():
            self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the file when all went well; else keep it."""
        if self._handle is not None:
            if kind is None:
                self.path.unlink(missing_ok=True)
            os.close(self._handle)

    def _open(self) -> None:
        with no_space_is_an_error(self.path):
            self._handle = try_lock(self.path)
            if self._handle is None:
                raise BadOption("another process is writing this output", where=str(self.path),
                                fix="Wait for it, or give another -o.")  # fmt: skip
            self._file = os.fdopen(self._handle, "r+b", closefd=False)
            if self._file.readline() != self.head:
                self._file.seek(0)
                self._file.write(self.head)
                self._cut()

    def _cut(self) -> None:
        self._file.truncate()
        self._file.flush()

    def next(self, size: int, *, rows: int | None = None) -> tuple[np.ndarray, int] | None:
        """Return the logits (N, C) of the next chunk and how many texts were truncated, if kept.

        Args:
            size: N.
            rows: of the chunk, where that is not N.
        """
        if self._handle is None:
            return None
        place = self._file.tell()
        found = _read(self._file.readline())
        if found is None or len(found[0]) != size:
            self._file.seek(place)
            self._cut()
            return None
        self.rows += size if rows is None else rows
        return found

    def add(self, logits_NC: np.ndarray, truncated: int) -> None:
        """Keep a chunk. Raises DiskFull when there is no space for it."""
        if self._handle is None:
            self._open()
        with no_space_is_an_error(self.path):
            self._file.write(_written(logits_NC, truncated))
            self._file.flush()


def _written(logits_NC: np.ndarray, truncated: int) -> bytes:
    raw = np.ascontiguousarray(logits_NC, "<f4").tobytes()
    kept = {"shape": logits_NC.shape, "truncated": truncated, "sha256": hashlib.sha256(raw).hexdigest()}
    return (json.dumps({**kept, "logits": base64.b64encode(raw).decode()}) + "\n").encode()


def _read(line: bytes) -> tuple[np.ndarray, int] | None:
    """Return what a line holds; None if it is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        kept = parse_json(line, where="kept logits")
        raw = base64.b64decode(kept["logits"], validate=True)
        if hashlib.sha256(raw).hexdigest() != kept["sha256"]:
            return None
        return np.frombuffer(raw, "<f4").reshape(kept["shape"]), int(kept["truncated"])
    except (BadData, ValueError, KeyError, TypeError):
        return None
