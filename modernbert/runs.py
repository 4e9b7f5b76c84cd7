"""The run store: `runs/<name>/` with `run.json`, `scores.jsonl`, `log.jsonl` and `model/`.

`run.json` says `running` until everything is in place; it is replaced as a whole, so a half-written run
is never mistaken for a finished one. A lock keeps two processes from sharing a run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernbert.errors import BadOption, BadRun, UnknownName
from modernbert.files import no_space_is_an_error, write_json

FORMAT = 1
RECORD = "run.json"
# File systems take 255 bytes; the rest is for what is put behind a name: a seed, a number.
LONGEST_NAME = 200
# Windows keeps these for devices, whatever follows a dot.
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}


def check_run_name(name: str) -> None:
    """Raise BadOption unless `name` can be a folder's name on every system."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name.endswith("."):
        fix = "Use letters, digits, '.', '_' and '-'; the first and last no mark."
        raise BadOption(f"'{name}' cannot name a run", fix=fix)
    if len(name) > LONGEST_NAME:
        raise BadOption(f"a run's name has at most {LONGEST_NAME} characters, and this one {len(name):,}")
    if _is_reserved(name):
        raise BadOption(f"'{name}' cannot name a run: Windows keeps the name for a device")


def _is_reserved(name: str) -> bool:
    return name.lower().partition(".")[0] in RESERVED


@dataclass(frozen=True)
class RunStore:
    """The folder that holds the runs."""

    root: Path

    @classmethod
    def at(cls, root: Path | None) -> RunStore:
        """Return the store at `root`, or where `MBERT_RUNS` says, or in `./runs`."""
        return cls(root or Path(os.environ.get("MBERT_RUNS", "runs")))

    def path(self, name: str) -> Path:
        """Return the folder of the run called `name`."""
        return self.root / name

    def has(self, name: str) -> bool:
        """Is there a run called `name`?"""
        return bool(name) and (self.path(name) / RECORD).is_file()

    def names(self) -> list[str]:
        """Return the names of all runs."""
        if not self.root.is_dir():
            return []
        return sorted(folder.name for folder in self.root.iterdir() if (folder / RECORD).is_file())

    def read(self, name: str) -> dict[str, Any]:
        """Return the record of the run called `name`.

        Raises:
            UnknownName: there is none; the message names the closest runs.
            BadRun: its record is damaged, or of another version.
        """
        if not self.has(name):
            raise UnknownName.among(
                "run", name, self.names(), fix=f"`mbert runs` lists those in {self.root}."
            )
        return read_run(self.path(name))

    def create(self, name: str, record: dict[str, Any]) -> Path:
        """Make the folder of a new run and write its first record. Raises BadOption as `check_name`."""
        self.check_name(name)
        folder = self.path(name)
        with no_space_is_an_error(folder):
            folder.mkdir(parents=True)
        write_run(folder, record)
        return folder

    def check_name(self, name: str) -> None:
        """Raise BadOption when a name is none for a run, or is taken."""
        check_run_name(name)
        if self.path(name).exists():
            raise BadOption(
                f"there is a run called '{name}' already",
                where=str(self.path(name)),
                fix="Choose another --name.",
            )

    def free_name(self, wanted: str) -> str:
        """Return `wanted`, with a number behind it if it is taken."""
        wanted = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted)[: LONGEST_NAME - 10].strip("-._") or "run"
        wanted = f"run-{wanted}" if _is_reserved(wanted) else wanted
        names = (f"{wanted}-{i}" if i > 1 else wanted for i in range(1, 100_000))
        return next(name for name in names if not self.path(name).exists())


def read_run(folder: Path) -> dict[str, Any]:
    """Return a run's record; a run that says `running` while nobody holds its lock is `interrupted`.

    Raises:
        BadRun: the record is damaged, or written by another version of the format.
    """
    path = folder / RECORD
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = record["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadRun(f"the run's record cannot be read ({error})", where=str(path)) from None
    if found != FORMAT:
        raise BadRun(
            f"the run has format {found}; this version of mbert reads format {FORMAT}",
            where=str(path),
            fix="Use the version of mbert that wrote it (see `versions` in the file).",
        )
    if record["status"] == "running" and not is_locked(folder):
        record["status"] = "interrupted"
    return record


def write_run(folder: Path, record: dict[str, Any]) -> None:
    """Replace a run's record as a whole."""
    write_json(folder / RECORD, {"format": FORMAT, **record})


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a run for this process. Raises BadRun if another process holds it."""
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadRun("another process is working on this run", where=str(folder)) from None
        yield


def is_locked(folder: Path) -> bool:
    """Does a process hold this run?"""
    path = folder / ".lock"
    if not path.is_file():
        return False
    with path.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
