"""The command line in a process of its own: to be signalled, cut off and looked at from outside."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forks

MBERT = [sys.executable, "-c", "from modernbert.cli.entry import main; main()"]
PATIENCE_SECONDS = 120
# What a command needs besides.
NEEDED = {
    "FILE": "reviews.csv",
    "TARGET": "reviews.csv",
    "TARGETS...": "reviews.csv",
    "FILES...": "reviews.csv",
    "PATH": "folder",
    "QUERY": "x",
    "RUN": "toy",
    "MODEL": "toy",
    "OLD": "toy",
    "MODELS...": "toy",
    "NAME": "toy",
    "OWNER/NAME": "someone/toy",
    "NAMES...": "modernbert-nano",
    "COMMAND": "models",
    "NEW": "other",
    "TAGS...": "first",
}
ALWAYS = {
    "predict": ["-m", "toy", "-o", "o.jsonl"], "embed": ["-o", "o.parquet"], "download": ["--to", "b"],
    "migrate": ["--on", "reviews.csv"],
}  # fmt: skip


def start(*arguments: object, **options) -> subprocess.Popen:
    """Start `mbert` with these arguments, one thread, its output in pipes unless told otherwise."""
    from modernbert.cli.main import main

    def work() -> None:
        sys.argv = ["mbert", *map(str, arguments)]
        main()

    environment = {"OMP_NUM_THREADS": "1", **options.pop("env", {})}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return forks.start(work, environment, **(streams | options))


def run(*arguments: object, **options) -> tuple[int, str, str]:
    """Run `mbert` to its end; return exit code, stdout, stderr."""
    return finish(start(*arguments, **options))


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Wait for the process; return exit code, stdout, stderr."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out or "", err or ""


def wait_until(happened: Callable[[], object], process: subprocess.Popen | None = None) -> None:
    """Wait until something has happened, while the process (if one is given) is alive."""
    limit = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert process is None or process.poll() is None, f"it ended before: {finish(process)}"
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.005)


def files_in(folder: Path) -> set[str]:
    """Return the names of all files in a folder, from there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def unfinished(folder: Path) -> set[str]:
    """Return the temporary files and folders that a command has open there, or left."""
    marks = (".mbert-tmp", ".mbert-old", "-journal", "-wal", "-shm")
    return {str(path) for path in folder.rglob("*") if path.name.endswith(marks)}


def children_of(process: subprocess.Popen) -> list[int]:
    """Return the ids of a process's children (Linux alone tells)."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in text.split()]


def is_alive(number: int) -> bool:
    """Is there such a process, and is it more than an entry that nobody has asked about?"""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
