"""Bundles: folders of tasks and models with checksums, for machines without a network.

Layout: `<family>/<task>/<split>.jsonl`, `models/<name>/...`, and `SHA256SUMS` in the format of the
`sha256sum` command: one file for the whole bundle, and one in the folder of each task and model. The latter
takes its place together with what it lists, so that a killed download leaves no folder without its checksums.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from modernbert.errors import BadData
from modernbert.files import atomic_file, sha256
from modernbert.reading import read_bytes

CHECKSUMS = "SHA256SUMS"
# `sha256sum` writes a name with one of these in it so, and a backslash before the line.
ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
FETCH_AGAIN = "Fetch it again with `mbert download`."
WRITE_AGAIN = "Remove this list and run `mbert download` again: it writes a new one."


def read_checksums(folder: Path) -> dict[str, str]:
    """Return {path relative to the folder: SHA-256}; empty when the folder has no list of checksums.

    Raises:
        BadData: the list cannot be read, is empty, or has a malformed line.
    """
    path = folder / CHECKSUMS
    if not os.path.lexists(path):
        return {}
    try:
        text = read_bytes(path, what="the list of checksums").decode()
    except UnicodeDecodeError:
        raise BadData("the list of checksums is not UTF-8", where=str(path), fix=WRITE_AGAIN) from None
    if not text:
        raise BadData("the list of checksums is empty", where=str(path), fix=WRITE_AGAIN)
    lines = enumerate(text.removesuffix("\n").split("\n"), start=1)
    return dict(_parsed(line, f"{path}, line {number}") for number, line in lines)


def _parsed(line: str, where: str) -> tuple[str, str]:
    match = LINE.fullmatch(line)
    if match is None:
        raise BadData("not a checksum line", where=where, fix=WRITE_AGAIN)
    escaped, digest, name = match.groups()
    if escaped:
        letters = {written: letter for letter, written in ESCAPES.items()}
        name = re.sub(r"\\[\\nr]", lambda found: letters[found[0]], name)
    return name, digest


def _write(folder: Path, sums: dict[str, str]) -> None:
    with atomic_file(folder / CHECKSUMS) as out:
        for name, digest in sorted(sums.items()):
            written = "".join(ESCAPES.get(letter, letter) for letter in name)
            mark = "\\" if written != name else ""
            out.write(f"{mark}{digest}  {written}\n")


def write_checksums(folder: Path) -> None:
    """List the files of a task or a model in its own folder."""
    _write(folder, {file.relative_to(folder).as_posix(): sha256(file) for file in _files(folder)})


def add_checksums(bundle: Path) -> None:
    """List the files of every task and model in the bundle's own list, from the lists in their folders.

    What older versions wrote has no list in its folder: its lines stay. The caller holds the bundle, as
    another download may be doing the same.
    """
    sums = read_checksums(bundle)
    for own in sorted(bundle.glob(f"*/*/{CHECKSUMS}")):
        prefix = _prefix(bundle, own.parent)
        sums = {name: digest for name, digest in sums.items() if not name.startswith(prefix)}
        sums |= {prefix + name: digest for name, digest in read_checksums(own.parent).items()}
    _write(bundle, sums)


def verify(bundle: Path, path: Path) -> str:
    """Check a file, or every file of a task's or model's folder, against the bundle's checksums.

    Returns:
        "verified", or "no checksums" when the bundle carries none.

    Raises:
        BadData: a checksum differs, or is missing from a bundle that has checksums; a file is missing, or
            is no file but a pipe, a device or a broken link.
    """
    whole = path.is_dir()
    folder = path if whole else path.parent
    prefix = _prefix(bundle, folder)
    listed = read_checksums(bundle)
    if own := read_checksums(folder):
        listed = {prefix + name: digest for name, digest in own.items()}
    found = {file.relative_to(bundle).as_posix(): file for file in (_files(folder) if whole else [path])}
    for name, file in found.items():
        digest = _digest(file)
        if listed and listed.get(name) != digest:
            what = "its checksum differs" if name in listed else "its checksum is not in the bundle"
            raise BadData(
                f"{what}: the file was changed or damaged after the bundle was made",
                where=str(file),
                fix=FETCH_AGAIN,
            )
    for name in listed:
        if whole and name.startswith(prefix) and name not in found:
            raise BadData("the file is gone from the bundle", where=str(bundle / name), fix=FETCH_AGAIN)
    return "verified" if listed else "no checksums"


def _prefix(bundle: Path, folder: Path) -> str:
    return folder.relative_to(bundle).as_posix() + "/"


def _files(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder and below it, but folders and the folder's list of checksums."""
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in sorted([*names, *links]):
            if Path(place, name) != folder / CHECKSUMS:
                yield Path(place, name)


def _digest(file: Path) -> str:
    """Return the SHA-256 of a file. Raises BadData when it is none, or cannot be read."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise BadData(
                "a pipe, a device or a folder where a file should be", where=str(file), fix=FETCH_AGAIN
            )
        return sha256(file)
    except OSError as error:
        raise BadData(f"it cannot be read ({error.strerror})", where=str(file), fix=FETCH_AGAIN) from None
