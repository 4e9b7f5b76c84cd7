"""Outputs that are whole or absent: written to a temporary name, flushed, then renamed.

Whoever writes a temporary file or folder holds a lock on it until it has its final name. What no process
holds was left behind by one that was killed, and the next writer in the same folder removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import resource
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from modernbert.errors import BadOption, DiskFull, MbertError

NOT_WRITABLE = {
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
TEMPORARY, REPLACED = ".mbert-tmp", ".mbert-old"
# What a file system allows for a name, less what a temporary one adds.
LONGEST_NAME = 255 - len("..0123456789abcdef") - len(TEMPORARY)


@contextlib.contextmanager
def no_space_is_an_error(path: Path) -> Iterator[None]:
    """Turn what keeps `path` from being written into a user's error: `DiskFull` or `BadOption`.

    Libraries report it in their own ways (safetensors raises its own exception), so the text counts too.
    """
    try:
        yield
    except MbertError:
        raise
    except Exception as error:
        code = getattr(error, "errno", None)
        if isinstance(error, OSError) and code in NOT_WRITABLE and _concerns(error, path):
            raise BadOption(f"cannot write here ({os.strerror(code)})", where=str(path.parent)) from None
        short = _tells_of_a_short_write(error)
        if code == errno.EFBIG or "File too large" in str(error) or (short and _sizes_are_limited()):
            raise DiskFull(
                f"the system allows no file as large as {path} would be",
                fix="What was saved before is intact. Raise the limit (ulimit -f), or write elsewhere.",
            ) from error
        if code not in (errno.ENOSPC, errno.EDQUOT) and not (
            short or _tells_of_no_space(error) or _is_full(path)
        ):
            raise
        raise DiskFull(
            f"the disk is full while writing {path}",
            fix="What was saved before is intact. Free some space.",
        ) from error


def _concerns(error: OSError, path: Path) -> bool:
    """Is the error about `path`'s folder, what is in it, or what it is in?"""
    if not isinstance(error.filename, str):
        return True
    named, folder = Path(error.filename).absolute(), path.absolute().parent
    return named.is_relative_to(folder) or folder.is_relative_to(named)


def _tells_of_no_space(error: Exception) -> bool:
    return "No space left" in str(error) or "disk is full" in str(error)


def _tells_of_a_short_write(error: Exception) -> bool:
    """Did less reach a file than was written? Torch, numpy and SQLite tell so, and not why."""
    return any(words in str(error) for words in ("unexpected pos", " requested and ", "disk I/O error"))


def _sizes_are_limited() -> bool:
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY


def _is_full(path: Path) -> bool:
    return free_space(path) < 4096


def free_space(path: Path) -> int:
    """Return the bytes that are free where `path` is, or would be; a folder that cannot be asked has none."""
    folder = next(parent for parent in [path, *path.absolute().parents] if parent.is_dir())
    # Pseudo file systems (/proc) are no disks: they have no size at all.
    usage = shutil.disk_usage(folder)
    return usage.free if usage.total else 2**63


def own_cache() -> Path:
    """Return where mbert keeps what it can make again: `MBERT_CACHE`, or `~/.cache/mbert`.

    Raises:
        BadOption: neither is there, as for a user without a home folder.
    """
    if named := os.environ.get("MBERT_CACHE"):
        return Path(named)
    try:
        return Path.home() / ".cache" / "mbert"
    except RuntimeError:
        raise BadOption(
            "this user has no home folder to keep a cache in", fix="Name a folder: MBERT_CACHE=FOLDER"
        ) from None


def make_folder(path: Path) -> None:
    """Make a folder with its parents, if it is not there. Raises BadOption or DiskFull when it can't be."""
    with no_space_is_an_error(path / "in it"):
        path.mkdir(parents=True, exist_ok=True)


def require_writable(folder: Path) -> None:
    """Raise BadOption when a folder cannot be written, or not be made; nothing is made to find out."""
    there = next(parent for parent in [folder, *folder.absolute().parents] if os.path.lexists(parent))
    if not there.is_dir():
        raise BadOption("cannot write here (it is no folder)", where=str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadOption("cannot write here (no permission, or a read-only disk)", where=str(there))


@contextlib.contextmanager
def atomic_file(path: Path, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; it takes the name `path` only when the block ends well.

    Raises:
        DiskFull: no space was left; an older file at `path` is untouched.
        BadOption: it cannot be written there.
    """
    with no_space_is_an_error(path):
        sweep(path.parent)
        with _temporary(path, _new_file) as (temporary, handle), _opened(handle, binary=binary) as file:
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
        with _temporary(path, _new_file) as (temporary, _):
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
    with _temporary(path, _new_folder) as (temporary, _):
        yield temporary


@contextlib.contextmanager
def _temporary(path: Path, make: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    """Yield a temporary beside `path` under a name that nobody else has, and its locked handle.

    It is removed whenever the block, or its making, ends: a signal may come between any two lines.
    """
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    locked = False
    while not locked:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{TEMPORARY}")
        try:
            handle = make(temporary)
            try:
                locked = _lock(handle) and _is_at(handle, temporary)
                if locked:  # else it was swept in the moment before
                    yield temporary, handle
            finally:
                os.close(handle)
        finally:
            _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # it was never made, or has its final name
            path.unlink()


def _new_file(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)


def _new_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY)


def _lock(handle: int) -> bool:
    """Lock an open file or folder; False if another process holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks (some network ones): nothing is swept there either
        return True
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def remove(path: Path) -> None:
    """Remove what is at `path`, if anything is: a file, a link, a pipe, or a folder with all it holds."""
    with no_space_is_an_error(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove temporary files and folders that processes left here when they were killed."""
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.endswith((TEMPORARY, REPLACED))]
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            _sweep_one(folder / name)


def sweep_below(folder: Path) -> None:
    """Sweep a folder and every folder in it."""
    for each in (folder, *folder.glob("*/")):
        sweep(each)


def _sweep_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(handle, path):
            return
        if path.name.endswith(REPLACED) and not (final := _replaced_by(path)).exists():
            path.rename(final)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(handle)


def _replaced_by(old: Path) -> Path:
    return old.with_name(old.name.removeprefix(".").removesuffix(REPLACED).rpartition(".")[0])


@contextlib.contextmanager
def held(folder: Path, busy: MbertError | None = None, *, name: str = ".lock") -> Iterator[None]:
    """Hold a folder (which must exist) for this process; the lock ends with the process at the latest.

    Args:
        busy: raised when another process holds it; without one, this waits.
        name: of the file in the folder that carries the lock.
    """
    with no_space_is_an_error(folder / name):
        handle = try_lock(folder / name, wait=busy is None)
    if handle is None:
        assert busy is not None
        raise busy
    try:
        yield
    finally:
        os.close(handle)


def try_lock(path: Path, *, wait: bool = False) -> int | None:
    """Lock a file, made if it is not there; return its handle, or None if another process holds it.

    Raises:
        FileNotFoundError: its folder is not there, or is being removed.
        OSError: it cannot be opened.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    if wait:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
    elif not _lock_soon(handle):
        os.close(handle)
        return None
    if not _is_at(handle, path):
        os.close(handle)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return handle


def _lock_soon(handle: int) -> bool:
    """Lock an open file; one who only looks (`is_held`) has it for a moment, so this tries again."""
    for pause in (0.0, 0.01, 0.05, 0.2):
        time.sleep(pause)
        if _lock(handle):
            return True
    return False


def is_held(folder: Path, *, name: str = ".lock") -> bool:
    """Does a process hold this folder?"""
    try:
        handle = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(handle)
    return False


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
