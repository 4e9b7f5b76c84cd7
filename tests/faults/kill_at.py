"""Run mbert, or other code, in a process of its own that is killed at its n-th change to the file system.

A change is what cannot be seen half done: a rename, a removal, a flush, a new folder. Whoever survives a kill
before each of them survives it between any two. With n = 0 none kills, and their number is told:

    python kill_at.py N ARGUMENT...
    python kill_at.py N -c CODE
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

CHANGES = ("fsync", "link", "mkdir", "remove", "rename", "replace", "rmdir", "symlink", "truncate", "unlink")


def run(arguments: list[str], *, at: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `mbert ARGUMENTS` (or code: `-c CODE`), killed at the change number `at`; 0 kills never."""
    return subprocess.run(
        [sys.executable, __file__, str(at), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def was_killed(done: subprocess.CompletedProcess[str]) -> bool:
    """Did the process come as far as the change that kills it?"""
    return done.returncode == -signal.SIGKILL


def changes_of(done: subprocess.CompletedProcess[str]) -> int:
    """Return how many changes a process made that was not killed."""
    return int(done.stderr.rsplit("changes: ", 1)[1])


def count_changes(at: int) -> list[int]:
    """Let each change be counted, and the one with the number `at` kill."""
    count = [0]

    def counted(change):
        def changed(*given, **named):
            count[0] += 1
            if count[0] == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*given, **named)

        return changed

    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name)))
    return count


def main() -> None:
    at, sys.argv[1:] = int(sys.argv[1]), sys.argv[2:]
    count = count_changes(at)
    try:
        if sys.argv[1] == "-c":
            exec(sys.argv[2], {})
        else:
            from modernbert.cli.main import main

            main()
    finally:
        sys.stderr.write(f"changes: {count[0]}\n")


if __name__ == "__main__":
    main()
