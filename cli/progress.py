"""What is shown while a command works: bars on a terminal, elsewhere a line at times, nothing with --json.

All of it goes to stderr. It comes from the phases that the library tells of (`modernbert.activity`).
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_type_hints

from modernbert.activity import RUNNING, Phase, watched_by

from . import options, output
from .pace import Pace
from .screen import one_line

if TYPE_CHECKING:
    from modernbert.finetuning.record import Started
    from modernbert.training.reports import EvaluationReport, Notice, StepReport

# Until the first line where no terminal shows a bar. Between later ones lies a tenth of the time that has
# passed, but at least that, and at most ten minutes: a log of any length stays readable.
SECONDS_BETWEEN_LINES, MOST_SECONDS_BETWEEN_LINES = 20.0, 600.0
IMPORTING = "loading libraries"
# Between two phases.
IDLE = Phase("working")


def with_verbose(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option `--verbose`, which its watch obeys."""
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    own = [p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    flag = inspect.Parameter(
        "verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=options.Verbose
    )

    @functools.wraps(function)
    def command(*, verbose: bool, **given: Any) -> None:
        token = _account.set(Account() if verbose else None)
        try:
            function(**given)
            if (account := _account.get()) is not None:
                account.show()
        finally:
            _account.reset(token)

    signature = inspect.Signature([*own, flag])
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    command.__signature__ = signature  # type: ignore[attr-defined]
    del command.__wrapped__  # what it wraps has other parameters
    return command


@dataclass
class Account:
    """What `--verbose` tells: why the work is as fast as it is, and where the time went."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    reasons: dict[str, str] = field(default_factory=dict)

    def explain(self, name: str, reason: str) -> None:
        """Print a reason, once."""
        if self.reasons.get(name) != reason:
            output.print_line(f"{name}: {reason}", style="dim", error=True)
        self.reasons[name] = reason

    def show(self) -> None:
        """Print where the time went."""
        longest = sorted(self.seconds.items(), key=lambda item: -item[1])
        rows = [(name, f"{value:.2f}") for name, value in longest if value >= 0.005]
        rows.append(("total", f"{sum(self.seconds.values()):.2f}"))
        output.print_table("\ntime", ("", "seconds"), rows, right=("seconds",), error=True)


_account: ContextVar[Account | None] = ContextVar("account", default=None)


class Watch:
    """Follows the phases of a command, shows them, and adds up where the time went."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Show nothing if `quiet`."""
        self.quiet = quiet
        self.phases: list[Phase] = []
        self.account = _account.get()
        self.note = ""
        self.clock = time.monotonic()
        self.bar: Any = None
        self.shown: Phase | None = None
        self.done = 0
        self.pace = Pace()

    def began(self, phase: Phase) -> None:
        """Show a phase."""
        self._charge()
        if self.phases and self.phases[0].name == IMPORTING:
            self.phases.clear()
        self.phases.append(phase)
        self._draw()

    def advanced(self, phase: Phase) -> None:
        """Move its bar."""
        self._draw()

    def ended(self, phase: Phase) -> None:
        """Show the phase around it again."""
        self._charge()
        self.phases.remove(phase)
        self.note = ""
        self._draw()

    def said(self, text: str) -> None:
        """Print it from another thread: a signal's handler may not print, as it may interrupt a print."""
        print_it = functools.partial(output.print_line, text, error=True)
        threading.Thread(target=contextvars.copy_context().run, args=(print_it,)).start()

    def _draw(self) -> None:
        """Show the outermost phase that has a total as a bar, and beside it what goes on inside."""
        shown = next((phase for phase in self.phases if phase.total), None)
        shown = shown or (self.phases[-1] if self.phases else IDLE)
        inside = self.phases[self.phases.index(shown) + 1 :] if self.phases else []
        counted = [phase for phase in inside if shown.by_text and phase.name == RUNNING]
        beside = [_as_text(phase) for phase in inside if phase not in counted]
        note = "  ".join(filter(None, [self.note, *beside]))
        done = shown.done + sum(phase.done for phase in counted)
        if is_new := shown is not self.shown:
            self.shown, self.pace = shown, Pace()
        else:  # between the end of what is counted and the step that it makes
            done = max(done, self.done)
        self.done = done
        self.pace.reach(done, shown.total)
        if self.bar is not None:
            self._draw_bar(note, is_new=is_new)

    def _draw_bar(self, note: str, *, is_new: bool) -> None:
        assert self.shown is not None, "something is shown"
        (row,) = self.bar.task_ids
        if is_new:
            self.bar.reset(row, description=one_line(self.shown.name))
        self.bar.tasks[0].total = self.shown.total  # to `update`, None means that it stays
        self.bar.update(row, completed=self.done, count=_count(self.shown, self.done), note=note)

    def explained(self, name: str, reason: str) -> None:
        """Show, if it is asked for, why the work is as fast as it is."""
        if self.account is not None:
            self.account.explain(name, reason)

    def _charge(self) -> None:
        """Add the time since the last change to the innermost phase."""
        before, self.clock = self.clock, time.monotonic()
        if self.account is not None:
            around = [phase.name for phase in self.phases if phase.name != RUNNING]
            name = around[-1] if around else RUNNING if self.phases else "the rest"
            self.account.seconds[name] += self.clock - before

    def over(self) -> None:
        """Add up what came after the last phase."""
        self._charge()

    def line(self) -> str:
        """Return what is going on in one line."""
        going_on = ", ".join(map(_as_text, self.phases or [IDLE]))
        return "  ".join(filter(None, [going_on, self.note, self.left()]))

    def left(self) -> str:
        """Return how long the shown phase will take; empty while that cannot be said."""
        return self.pace.left()


def _as_text(phase: Phase) -> str:
    return f"{phase.name} {_count(phase, phase.done)}".rstrip()


def _count(phase: Phase, done: int) -> str:
    of = f"{done:,}/{phase.total:,}" if phase.total else f"{done:,}"
    return f"{of} {phase.unit}".rstrip() if phase.total or done else ""


@contextlib.contextmanager
def watch(*, quiet: bool = False) -> Iterator[Watch]:
    """Show what the library does in the block, which begins with imports that take seconds."""
    made = Watch(quiet=quiet)
    with _shown(made), watched_by(made):
        made.began(Phase(IMPORTING))
        yield made
        made.over()


@contextlib.contextmanager
def _shown(watch: Watch) -> Iterator[None]:
    if watch.quiet:
        yield
        return
    with output.progress_bar(watch.left) as bar:
        if bar is not None:
            bar.add_task(IMPORTING, total=None, count="", note="")
        watch.bar = bar
        with _lines(watch) if bar is None else contextlib.nullcontext():
            yield
        watch.bar = None


@contextlib.contextmanager
def _lines(watch: Watch) -> Iterator[None]:
    """Print a line now and then where something has changed, so that a log shows how far the command is."""
    over, began = threading.Event(), time.monotonic()

    def work() -> None:
        last = ""
        while not over.wait(_until_next_line(time.monotonic() - began)):
            if (line := watch.line()) != last:
                output.print_line(line, error=True)
            last = line

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _until_next_line(passed: float) -> float:
    """Return the seconds between two lines when so many have passed."""
    return min(max(SECONDS_BETWEEN_LINES, passed / 10), MOST_SECONDS_BETWEEN_LINES)


class Training:
    """Shows what a training reports: evaluations and notices as lines, its loss and speed beside the bar."""

    def __init__(self, watch: Watch) -> None:
        """Show it where `watch` does."""
        self.watch = watch

    def start(self, started: Started) -> None:
        """Print what is about to run, resolved to the last setting."""
        from .started import show_started

        if not self.watch.quiet:
            show_started(started, verbose=self.watch.account is not None)

    def observe(self, report: StepReport | EvaluationReport | Notice) -> None:
        """Show a report."""
        shown: dict[str, Any] = {"StepReport": self._step, "EvaluationReport": self._evaluation}
        shown.get(type(report).__name__, self._notice)(report)

    def _step(self, report: StepReport) -> None:
        self.watch.note = f"loss {report.loss:.4f}  {report.tokens_per_second:,.0f} tokens/s"

    def _evaluation(self, report: EvaluationReport) -> None:
        values = "  ".join(f"{name} {value:.4f}" for name, value in report.evaluation.metrics.items())
        mark = "  (best)" if report.is_best else ""
        if not report.step:
            mark = "  (before training)"
        self._print(f"step {report.step}/{report.total}  evaluation: {values}{mark}")
        if report.step:
            for note in report.evaluation.notes:
                output.print_warning(note)

    def _notice(self, report: Notice) -> None:
        self._print(report.text)

    def _print(self, text: str) -> None:
        if not self.watch.quiet:
            output.print_line(text)
