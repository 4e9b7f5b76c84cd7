"""Shards: Parquet files here or in an object store, and the files of the same names that they become.

A shard is finished when a file has its final name and says in its footer what it was made from. It gets the
name by a rename, so nothing half-written has it.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from modernbert.errors import BadData, BadOption, NotAvailable

# The key of a Parquet file's metadata under which it says what it was made from.
MADE_FROM = "mbert"
# By what a file system says whether a file has changed: the first of these that it knows, beside the size.
STATES = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
TEMPORARY = ".mbert-tmp"


@dataclass(frozen=True)
class Shard:
    """A file to read and the one to write, both as addresses; `name` is where they are in their folders."""

    name: str
    source: str
    target: str


def find_shards(source: str, output: str) -> list[Shard]:
    """Return the Parquet files of a folder, or those that a pattern matches, in the order of their names.

    Args:
        source: a folder, a file or a pattern such as `data/*.parquet`; a path or an address
            (`s3://bucket/data`).
        output: the folder to write, likewise.

    Raises:
        BadData: there are none.
        BadOption: the output lies in the input, or the other way round.
        NotAvailable: it cannot be reached.
    """
    fs, path = file_system(source)
    target_fs, target = file_system(output)
    root = path
    with _reachable(source):
        if is_pattern(path):
            found, root = fs.glob(path), _plain_part(path)
        elif fs.isfile(path):
            found, root = [path], path.rpartition("/")[0]
        else:
            found = fs.find(path) if fs.isdir(path) else []
    is_mixed = _is_in(target, path) or any(_is_in(file, target) for file in found)
    if type(fs) is type(target_fs) and is_mixed:
        raise BadOption("the shards and what they become would lie in one folder", where=output,
                        fix="Give -o another folder.")  # fmt: skip
    names = sorted(file[len(root) :].lstrip("/") for file in found)
    shown = [n for n in names if n.endswith(".parquet") and not any(p[0] in "._" for p in n.split("/"))]
    if not shown:
        raise BadData("there are no Parquet files", where=source)
    at, to = fs.unstrip_protocol(root), target_fs.unstrip_protocol(target)
    return [Shard(name, f"{at}/{name}", f"{to}/{name}") for name in shown]


def is_pattern(path: str) -> bool:
    """Does a path stand for all that match it?"""
    return any(sign in path for sign in "*?[")


def _plain_part(pattern: str) -> str:
    parts = pattern.split("/")
    return "/".join(parts[: next(i for i, part in enumerate(parts) if is_pattern(part))])


def _is_in(path: str, folder: str) -> bool:
    return PurePosixPath(path).is_relative_to(folder)


def file_system(address: str) -> tuple[Any, str]:
    """Return a file system of fsspec, and the path in it.

    Raises:
        NotAvailable: the package that fsspec needs for it is not installed.
        BadOption: there is no such kind of address.
    """
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(address)
    except ImportError as error:
        raise NotAvailable(f"it cannot be reached ({error})", where=address) from None
    except ValueError as error:
        raise BadOption(f"it cannot be reached ({error})", where=address) from None
    return fs, path.rstrip("/")


@contextlib.contextmanager
def _reachable(address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotAvailable(f"it cannot be read ({error})", where=address) from None


def state_of(address: str) -> list[str]:
    """Return the size of a file and by what its content is told from that of any other time."""
    fs, path = file_system(address)
    info = fs.info(path)
    return [str(info["size"]), *(str(info[name]) for name in STATES if name in info)][:2]


def is_made_from(address: str, made_from: str) -> bool:
    """Is a file there whole, and made from just this?"""
    import pyarrow
    import pyarrow.parquet as parquet

    fs, path = file_system(address)
    try:
        with fs.open(path, "rb") as file:
            said = parquet.read_metadata(file).metadata or {}
    except (OSError, pyarrow.ArrowInvalid):  # there is none, or it is damaged
        return False
    return said.get(MADE_FROM.encode()) == made_from.encode()


def require_free(address: str, *, overwrite: bool) -> None:
    """Raise BadOption for an output that is there already, unless it may be replaced."""
    fs, path = file_system(address)
    if not overwrite and fs.exists(path):
        raise BadOption("the file is there already, and was made from something else", where=address,
                        fix="Add --overwrite to replace it, or name another folder.")  # fmt: skip


@contextlib.contextmanager
def local_copy(address: str) -> Iterator[Path]:
    """Yield a file of this machine: the file itself, or a copy of one that is elsewhere."""
    fs, path = file_system(address)
    if _is_local(fs):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="mbert-") as folder:
        copy = Path(folder) / PurePosixPath(path).name
        fs.get_file(path, str(copy))
        yield copy


@contextlib.contextmanager
def written(address: str) -> Iterator[Path]:
    """Yield a path of this machine to write to; when the block ends well, the file is at its address, whole.

    Whoever writes to the path does so by a rename.
    """
    fs, path = file_system(address)
    folder, _, name = path.rpartition("/")
    fs.makedirs(folder, exist_ok=True)
    if _is_local(fs):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="mbert-") as temporary:
        yield Path(temporary) / name
        uploaded = f"{folder}/.{name}.{secrets.token_hex(8)}{TEMPORARY}"
        fs.put_file(str(Path(temporary) / name), uploaded)
        fs.mv(uploaded, path)
        for left in fs.glob(f"{folder}/.{name}.*{TEMPORARY}"):  # by a process that was killed
            fs.rm_file(left)


def _is_local(fs: Any) -> bool:
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(fs, LocalFileSystem)
