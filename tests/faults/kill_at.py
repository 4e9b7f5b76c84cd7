"""Run mbert, or other code, in a fork that is killed at its n-th change to the file system.

A change is what cannot be seen half done: a rename, a removal, a flush, a new folder. Whoever survives a kill
before each of them survives it between any two.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from forks import start

CHANGES = ("fsync", "link", "mkdir", "remove", "rename", "replace", "rmdir", "symlink", "truncate", "unlink")


def run(
    arguments: list[str], *, at: int = 0, cwd: Any = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `mbert ARGUMENTS` (or code: `-c CODE`), killed at the change number `at`; 0 kills never."""

    def work() -> None:
        count = count_changes(at)
        try:
            _run(arguments)
        finally:
            sys.stderr.write(f"changes: {count[0]}\n")

    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(work, {"OMP_NUM_THREADS": "1", **environment}, cwd=cwd, **streams)
    out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def _run(arguments: list[str]) -> None:
    from modernbert.cli.main import main

    if arguments[0] == "-c":
        exec(arguments[1], {})
    else:
        sys.argv = ["mbert", *map(str, arguments)]
        main()


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
