"""What can happen to a file of numbers in a cache: each takes the file's path and changes what is there."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np


def _cut(share: float):
    def damage(path: Path) -> None:
        os.truncate(path, int(path.stat().st_size * share))

    return damage


def _flipped(place: float):
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(place * (len(content) - 1))] ^= 0x40
        path.write_bytes(content)

    return damage


def _saved(change):
    """Write an array of the kind that is there, as numpy does, with the right values changed."""

    def damage(path: Path) -> None:
        changed = change(np.load(path).copy())
        with path.open("wb") as file:
            np.save(file, changed, allow_pickle=True)

    return damage


def _in_its_place(make):
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def _npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.zeros((2, 2)))


DAMAGES = {
    **{f"cut to {share}": _cut(share) for share in (0, 0.1, 0.5, 0.99)},
    **{f"a bit flipped at {place}": _flipped(place) for place in (0, 0.01, 0.3, 0.8, 1)},
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "of another shape": _saved(lambda found: np.zeros((3, 5), found.dtype)),
    "of another type": _saved(lambda found: found.astype(np.int64)),
    "not a number": _saved(lambda found: np.full(found.shape, np.nan)),
    "in another order": _saved(lambda found: found[::-1]),
    "without checksum": _saved(lambda found: found),
    "pickled": _saved(lambda found: found.astype(object)),
    "a pickle": lambda path: path.write_bytes(pickle.dumps([1, 2])),
    "npz": _npz,
    "a pipe": _in_its_place(os.mkfifo),
    "a folder": _in_its_place(lambda path: (path / "in it").mkdir(parents=True)),
    "a broken link": _in_its_place(lambda path: path.symlink_to("nowhere")),
    "a loop of links": _in_its_place(lambda path: path.symlink_to(path.name)),
    "a device": _in_its_place(lambda path: path.symlink_to("/dev/zero")),
}
