"""Locks on open files, as POSIX has them; nobody else imports `fcntl`, which Windows lacks."""

from __future__ import annotations


def lock_alone(handle: int, *, wait: bool = False) -> None:
    """Lock an open file or folder for this process alone, until it is closed.

    Raises:
        BlockingIOError: another process holds it, and this one does not wait.
        OSError: the file system has no locks.
    """
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_shared(handle: int) -> None:
    """Lock an open file beside others who share it. Raises as `lock_alone` without waiting."""
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
