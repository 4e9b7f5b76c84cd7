"""What can go wrong for a user, each with what, where and what to do next.

    MbertError            exit code 2: the user can mend it
    ├── UnknownName       a task, model or run that does not exist (close matches are named)
    ├── BadOption         an option or configuration value that makes no sense
    ├── BadData           a file, row, column or label
    ├── BadModel          a checkpoint that cannot be used
    ├── BadRun            a run folder that cannot be used
    ├── NotAvailable      neither on this machine nor reachable
    └── Stopped           exit code 1: a run ended before its time
        ├── DiskFull
        ├── TrainingFailed
        │   └── ProcessLost   another process of a training has ended, or fell silent
        ├── WorkerLost    a process that shared the work has ended
        └── Interrupted   exit code 128 + signal number
A mistake of ours is an `assert`, and shows its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# From which ratio of difflib on a name may be meant, and how far behind the closest one.
ALIKE, BEHIND = 0.6, 0.1


def did_you_mean(name: str, known: Iterable[str], *, before: str = "") -> str:
    """Return the question `Did you mean ...? ` with at most three close names; empty if none is close.

    Args:
        before: what is shown before each name, such as the folder of files.
    """
    close = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=3, cutoff=ALIKE)
    alike = [difflib.SequenceMatcher(None, other, name).ratio() for other in close]
    named = [before + other for other, ratio in zip(close, alike, strict=True) if ratio >= alike[0] - BEHIND]
    return f"Did you mean {' or '.join(named)}? " if named else ""


class MbertError(Exception):
    """A sentence for the user: `what` went wrong, `where` (file, row), and how to `fix` it."""

    exit_code = 2

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        return "\n".join([*lines, self.fix] if self.fix else lines)


class UnknownName(MbertError):
    """A name that nothing answers to."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str], *, fix: str) -> UnknownName:
        """Return the error for `name`, naming the closest of the `known` names."""
        return cls(f"there is no {kind} called '{name}'", fix=did_you_mean(name, known) + fix)


class BadOption(MbertError):
    """An option or a configuration value that makes no sense."""


class BadData(MbertError):
    """A file, row, column or label that cannot be used."""


class BadModel(MbertError):
    """A checkpoint that cannot be used."""


class BadRun(MbertError):
    """A run folder that cannot be used."""


class NotAvailable(MbertError):
    """Something that is neither on this machine nor reachable."""


class Stopped(MbertError):
    """A run that ended before its time."""

    exit_code = 1


class DiskFull(Stopped):
    """No space was left for an output; what was there before is intact."""


class TrainingFailed(Stopped):
    """Training cannot go on (non-finite loss, no memory)."""


class ProcessLost(TrainingFailed):
    """Another process of the same training has ended: none can go on alone."""


class WorkerLost(Stopped):
    """A process that ran a model for this one has ended: nothing is written without its share."""


class Interrupted(Stopped):
    """A signal asked the run to stop; it saved first."""

    def __init__(self, signal_number: int, what: str, *, fix: str | None = None) -> None:
        super().__init__(what, fix=fix)
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[object, ...]:
        """Let it pass from a process to its parent."""
        return type(self), (self.exit_code - 128, self.what), self.__dict__
