"""The run store: `runs/<name>/` with `run.json`, `scores.jsonl`, `log.jsonl` and `model/`.

`run.json` says `running` until everything is in place; it is replaced as a whole, so a half-written run
is never mistaken for a finished one. A lock keeps two processes from sharing a run.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modernbert.errors import BadOption, BadRun, UnknownName
from modernbert.files import write_json
from modernbert.places import make_folder, no_space_is_an_error
from modernbert.run_names import check_run_name, is_file_name, numbered
from modernbert.temporary import TEMPORARY, held, is_held, sweep, try_lock

if TYPE_CHECKING:
    from modernbert.records.record import RunRecord

RECORD, LOCK = "run.json", ".lock"
# What an evaluation writes before its record: without one, it was killed, and is worth nothing.
BEFORE_RECORD = {LOCK, "scores.jsonl", "mteb.json"}
DAMAGED = "The file was damaged or edited. Restore it, or move the run's folder out of the way."


@dataclass(frozen=True)
class Survey:
    """All runs of a store: the records that can be read, and what is wrong with the others."""

    records: dict[str, RunRecord]
    damaged: dict[str, BadRun]

    def notes(self) -> list[str]:
        """Return what to tell of the runs that were left out."""
        return [f"left out, as it is damaged: {error.where}: {error.what}" for error in self.damaged.values()]


@dataclass(frozen=True)
class RunStore:
    """The folder that holds the runs."""

    root: Path

    @classmethod
    def at(cls, root: Path | None) -> RunStore:
        """Open the store at `root`, or where `MBERT_RUNS` says, or in `./runs`, and sweep it.

        Raises:
            BadOption: there is something else than a folder.
        """
        found = root or _default_root()
        if os.path.lexists(found) and not os.path.isdir(found):  # noqa: PTH112 - which raises nothing
            raise BadOption("this is no folder of runs", where=str(found), fix="Name a folder: --runs-dir.")
        store = cls(found)
        with contextlib.suppress(BadRun):  # who needs the runs is told
            store.sweep()
        return store

    def path(self, name: str) -> Path:
        """Return the folder of the run called `name`."""
        return self.root / name

    def has(self, name: str) -> bool:
        """Is there a run called `name`, damaged or not?"""
        return is_file_name(name) and os.path.lexists(self.path(name) / RECORD)

    def names(self) -> list[str]:
        """Return the names of all runs, damaged ones too. Raises BadRun when the folder cannot be read."""
        return [folder.name for folder in self._folders() if self.has(folder.name)]

    def _folders(self) -> list[Path]:
        try:
            return sorted(Path(entry) for entry in os.scandir(self.root) if entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):  # nor is a folder below a file there
            return []
        except OSError as error:
            raise BadRun(f"the runs cannot be read ({error.strerror})", where=str(self.root)) from None

    def read(self, name: str) -> RunRecord:
        """Return the record of the run called `name`.

        Raises:
            UnknownName: there is none; the message names the closest runs.
            BadRun: its record is damaged, or of another version.
        """
        if not self.has(name):
            now = self.current_name(name)
            fix = f"It is called {now} now." if now != name else f"`mbert runs` lists those in {self.root}."
            raise UnknownName.among("run", name, self.names() if now == name else [], fix=fix)
        return read_run(self.path(name))

    def current_name(self, name: str) -> str:
        """Return what the run is called now that was once called `name`; else, and if one is now, `name`."""
        if self.has(name):
            return name
        return next((now for now, run in self.survey().records.items() if name in run.former_names), name)

    def survey(self) -> Survey:
        """Read all runs. One that is damaged keeps nobody from the others."""
        found = Survey({}, {})
        for name in self.names():
            try:
                found.records[name] = self.read(name)
            except BadRun as error:
                found.damaged[name] = error
            except UnknownName:  # removed in this moment
                continue
        return found

    @contextlib.contextmanager
    def new_run(self, wanted: str, *, exact: bool = False) -> Iterator[Path]:
        """Make the folder of a new run and hold it for this process; the caller writes its record.

        Without a record at the end, the folder goes again.

        Args:
            wanted: its name; where it is taken, the next free one is used.
            exact: no other name will do.

        Raises:
            BadOption: as `check_name`, or no folder can be made there.
        """
        if exact:
            self.check_name(wanted)
        was_there = os.path.lexists(self.root)
        self.sweep()
        folder, handle = self._reserve([wanted] if exact else numbered(wanted))
        try:
            yield folder
        finally:
            _remove_if_vacant(folder)
            os.close(handle)
            if not was_there:
                with contextlib.suppress(OSError):  # it has runs
                    self.root.rmdir()

    def _reserve(self, names: Iterable[str]) -> tuple[Path, int]:
        """Make the folder of the first name that is free; return it with the handle that holds it."""
        make_folder(self.root)
        for name in names:
            if (handle := _take(self.path(name))) is not None:
                return self.path(name), handle
        raise _taken(self.path(name))

    def check_name(self, name: str) -> None:
        """Raise BadOption when a name is none for a run, or is taken."""
        check_run_name(name)
        if not _is_vacant(self.path(name)):
            raise _taken(self.path(name))

    def free_name(self, wanted: str, taken: Collection[str] = ()) -> str:
        """Return `wanted`, with a number behind it if a run has it or it is one of `taken`."""
        free = (n for n in numbered(wanted) if n not in taken and _is_vacant(self.path(n)))
        return next(free, wanted)

    def sweep(self) -> None:
        """Remove what processes left behind that were killed: no living process holds it."""
        sweep(self.root)
        for folder in self._folders():
            sweep(folder)
            with contextlib.suppress(OSError):  # another user's, or gone in this moment
                if (folder / LOCK).exists() and (_is_vacant(folder) or _has_old_checkpoints(folder)):
                    _sweep_run(folder)


def _taken(folder: Path) -> BadOption:
    said = f"there is a run called '{folder.name}' already"
    return BadOption(said, where=str(folder), fix="Choose another name.")


def _is_vacant(folder: Path) -> bool:
    """Is there no run: nothing, or what was left by one that was killed before it had a record?"""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return not os.path.lexists(folder)
    except OSError:
        return False
    return all(name in BEFORE_RECORD or name.endswith(TEMPORARY) for name in names)


def _take(folder: Path) -> int | None:
    """Make a run's folder and hold it; None if it is another's."""
    while _is_vacant(folder):
        make_folder(folder)
        # Swept in this moment, it is made again.
        with no_space_is_an_error(folder / LOCK), contextlib.suppress(FileNotFoundError):
            if (handle := try_lock(folder / LOCK)) is None:
                return None
            if _is_vacant(folder):
                return handle
            os.close(handle)
    return None


def _remove_if_vacant(folder: Path) -> None:
    if _is_vacant(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _has_old_checkpoints(folder: Path) -> bool:
    """Is the run finished, and its checkpoints not yet removed?"""
    try:
        return (folder / "checkpoints").is_dir() and read_run(folder).status == "finished"
    except BadRun:
        return False


def _sweep_run(folder: Path) -> None:
    if (handle := try_lock(folder / LOCK)) is None:
        return
    try:
        if _has_old_checkpoints(folder):
            shutil.rmtree(folder / "checkpoints")
        _remove_if_vacant(folder)
    finally:
        os.close(handle)


def read_run(folder: Path) -> RunRecord:
    """Return a run's record; a run that says `running` while nobody holds its lock is `interrupted`.

    Raises:
        BadRun: the record is damaged, or written by another version of the format.
    """
    record = _read_record(folder / RECORD)
    if record.status == "running" and not is_locked(folder):
        record = _read_record(folder / RECORD)  # it may have ended in between
        if record.status == "running":
            return record.model_copy(update={"status": "interrupted"})
    return record


def _read_record(path: Path) -> RunRecord:
    from modernbert.reading import read_object
    from modernbert.records.read import read_record

    try:
        return read_record(read_object(path, BadRun, what="the run's record"), str(path))
    except BadRun as error:
        error.fix = error.fix or DAMAGED
        raise


def write_run(folder: Path, record: RunRecord) -> None:
    """Replace a run's record as a whole."""
    write_json(folder / RECORD, record.as_dict())


def _default_root() -> Path:
    return Path(os.environ.get("MBERT_RUNS") or "runs")


def resume_command(folder: Path) -> str:
    """Return the command that goes on with the run in `folder`."""
    where = [] if folder.parent == _default_root() else ["--runs-dir", str(folder.parent)]
    return shlex.join(["mbert", "resume", folder.name, *where])


def unfinished(folder: Path, status: str, lacks: str) -> BadRun:
    """Return the error for a run that has no model, or no scores, yet."""
    running = status == "running"
    fix = "Wait until it has ended." if running else f"Next: {resume_command(folder)}"
    return BadRun(f"the run is {status}: it has no {lacks} yet", where=str(folder), fix=fix)


def lock(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Hold a run for this process. Raises BadRun if another process holds it."""
    busy = BadRun("another process is working on this run", where=str(folder), fix="Wait until it has ended.")
    return held(folder, busy, name=LOCK)


def is_locked(folder: Path) -> bool:
    """Does a process hold this run?"""
    return is_held(folder, name=LOCK)
