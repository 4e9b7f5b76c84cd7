"""Outputs that are whole or absent: written to a temporary name, flushed, then renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from modernbert.errors import BadOption, DiskFull

NOT_WRITABLE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR)


@contextlib.contextmanager
def no_space_is_an_error(path: Path) -> Iterator[None]:
    """Turn what keeps `path` from being written into a user's error: `DiskFull` or `BadOption`.

    Libraries report it in their own ways (safetensors raises its own exception), so the text counts too.
    """
    try:
        yield
    except Exception as error:
        code = getattr(error, "errno", None)
        full = code in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error) or _disk_is_full(path)
        if not full and isinstance(error, OSError) and code in NOT_WRITABLE:
            raise BadOption(f"cannot write here ({os.strerror(code)})", where=str(path.parent)) from None
        if not full:
            raise
        raise DiskFull(
            f"the disk is full while writing {path}",
            fix="What was saved before is intact. Free some space.",
        ) from error


def _disk_is_full(path: Path) -> bool:
    return free_space(path) < 4096


def free_space(path: Path) -> int:
    """Return the bytes that are free where `path` is, or would be."""
    folder = next(parent for parent in [path, *path.absolute().parents] if parent.is_dir())
    return shutil.disk_usage(folder).free


def own_cache() -> Path:
    """Return where mbert keeps what it can make again: `MBERT_CACHE`, or `~/.cache/mbert`."""
    return Path(os.environ.get("MBERT_CACHE", Path.home() / ".cache" / "mbert"))


@contextlib.contextmanager
def atomic_file(path: Path, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; it takes the name `path` only when the block ends well.

    Raises:
        DiskFull: no space was left; an older file at `path` is untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with no_space_is_an_error(path):
            with _open(temporary, binary=binary) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _open(path: Path, *, binary: bool) -> IO[Any]:
    return path.open("wb") if binary else path.open("w", encoding="utf-8", newline="")


@contextlib.contextmanager
def atomic_folder(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that takes the name `path` (which must not exist) when the block ends well.

    Args:
        shared: another process may make the same folder meanwhile; the first that is whole stays.

    Raises:
        DiskFull: no space was left; nothing stays behind.
    """
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with no_space_is_an_error(path):
            temporary.mkdir(parents=True)
            yield temporary
            for file in temporary.rglob("*"):
                flush_to_disk(file)
            try:
                temporary.rename(path)
            except OSError:
                if not (shared and path.is_dir()):
                    raise
            flush_to_disk(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Like `atomic_folder`, for a `path` that may exist: the old folder stays until the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new, old = (
        path.with_name(f".{path.name}.new-{os.getpid()}"),
        path.with_name(f".{path.name}.old-{os.getpid()}"),
    )
    with atomic_folder(new) as temporary:
        yield temporary
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def flush_to_disk(path: Path) -> None:
    """Make the file or folder at `path` survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
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
