"""Where one may write: disks that are full, folders that cannot be written, and what a user is told then."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from modernbert.errors import BadData, BadOption, DiskFull, MbertError, did_you_mean

NOT_WRITABLE = {
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
    errno.ENAMETOOLONG, errno.ELOOP,
}  # fmt: skip
# What a file system allows for a name, less what a temporary one adds.
LONGEST_FILE_NAME = 255 - len("..0123456789abcdef.mbert-tmp")
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Of a folder, the entries that are looked through for a name like a mistyped one.
LOOKED_THROUGH = 2_000


def no_such_file(path: Path, what: str = "file", *, shown: str | None = None) -> BadData:
    """Return the error for a path that is not there, naming what is called alike beside it.

    Args:
        path: as the user wrote it.
        what: what was expected there.
        shown: the path as a message can show it.
    """
    above = str(path)[: len(str(path)) - len(path.name)]
    fix = did_you_mean(path.name, beside(path), before=above).strip() or None
    shown = shown or str(path)
    if not os.path.exists(path.parent):  # noqa: PTH110 - of a name that is too long it is False
        fix = f"There is no folder {Path(shown).parent} either."
    return BadData(f"there is no such {what}", where=shown, fix=fix)


def beside(path: Path) -> list[str]:
    """Return the names of the files and folders where `path` would be; none that are hidden."""
    try:
        entries = sorted(itertools.islice(path.parent.iterdir(), LOOKED_THROUGH))
    except (OSError, ValueError):  # or no path at all
        return []
    return [entry.name for entry in entries if not entry.name.startswith(".") and entry.name.isprintable()]


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
    import resource  # which Windows lacks

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


def require_new(path: Path, *, overwrite: bool, how: str = "Add --overwrite") -> None:
    """Raise BadOption for an output that is there already, unless it may be replaced; `how` tells the way."""
    if path.exists() and not overwrite:
        what = "folder" if path.is_dir() else "file"
        fix = f"{how} to replace it, or name another {what}."
        raise BadOption(f"the {what} is there already", where=str(path), fix=fix)
