"""Folders and arrays in mbert's cache: made once, by one process at a time, checked when taken up again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.errors import BadData
from modernbert.files import atomic_folder, checksums, write_json
from modernbert.places import make_folder
from modernbert.reading import checked, read_json
from modernbert.temporary import held, remove, sweep

CHECKSUMS, ARRAY = "checksums.json", "array.npy"


def kept_folder(
    folder: Path, make: Callable[[Path], object], on_note: Callable[[str], None] = lambda note: None
) -> None:
    """Make a folder, unless it is there and whole; a damaged one is made again.

    Args:
        folder: named after everything that its content depends on. Once made it stays, for runs may share it.
        make: writes the files into the empty folder that it is given.
        on_note: told when the folder was damaged.

    Raises:
        BadOption, DiskFull: it cannot be written; nothing stays behind.
    """
    make_folder(folder.parent)
    sweep(folder.parent)
    if _is_whole(folder):
        return
    with held(folder.parent, name=f".{folder.name}.lock"):  # another process may be making it
        if _is_whole(folder):
            return
        if os.path.lexists(folder):
            on_note(f"{folder} was damaged, and was made again")
            remove(folder)
        with atomic_folder(folder) as temporary:
            make(temporary)
            write_json(temporary / CHECKSUMS, checksums(temporary))


def _is_whole(folder: Path) -> bool:
    """Does the folder hold the files that were written, unchanged, and no others?"""
    try:
        path = folder / CHECKSUMS
        written = checked(dict[str, str], read_json(path), where=str(path))
        found = checksums(folder)
    except (BadData, OSError):
        return False
    found.pop(CHECKSUMS, None)
    return found == written


def kept_array(folder: Path, key: Any, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Return an array that is kept below `folder`, as `kept_folder` keeps; made if it is not there.

    Args:
        folder: of arrays of this kind.
        key: everything that the array depends on, as JSON can hold it.
        make: returns the array.

    Raises:
        BadOption, DiskFull: it cannot be written.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    place = folder / digest[:32]
    kept_folder(place, lambda empty: np.save(empty / ARRAY, make()))
    return np.asarray(np.load(place / ARRAY))
