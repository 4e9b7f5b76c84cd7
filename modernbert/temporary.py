"""Temporary files and folders that are removed whatever happens, and locks between processes.

Whoever writes a temporary file or folder holds a lock on it until it has its final name. What no process
holds was left behind, and the next writer in the same folder removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from modernbert.errors import MbertError
from modernbert.locks import lock_alone, lock_shared
from modernbert.places import LONGEST_FILE_NAME, no_space_is_an_error

TEMPORARY, REPLACED = ".mbert-tmp", ".mbert-old"


@contextlib.contextmanager
def temporary_beside(path: Path, make: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    """Yield a temporary beside `path` under a name that nobody else has, and its locked handle.

    It is removed whenever the block, or its making, ends: a signal may come between any two lines.
    """
    if len(os.fsencode(path.name)) > LONGEST_FILE_NAME:
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


def new_file(path: Path) -> int:
    """Make an empty file, for `temporary_beside`; return its handle."""
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)


def new_folder(path: Path) -> int:
    """Make an empty folder, for `temporary_beside`; return its handle."""
    path.mkdir()
    return os.open(path, os.O_RDONLY)


def _lock(handle: int) -> bool:
    """Lock an open file or folder; False if another process holds it."""
    try:
        lock_alone(handle)
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
        lock_alone(handle)
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
            lock_alone(handle, wait=True)
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
        lock_shared(handle)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(handle)
    return False
