"""Progress of a training run: a bar on a terminal, one quiet line now and then in a pipe."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from modernbert.model.locate import UNTRAINED
from modernbert.training.inputs import Inputs
from modernbert.training.record import Started
from modernbert.training.reports import EvaluationReport, Notice, StepReport

from . import output

SECONDS_BETWEEN_LINES = 20.0


class Progress:
    """Shows what the loop reports. `quiet` shows nothing on stdout (for --json); errors still show."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.bar: Any = None
        self.last_line = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_bar()

    def start(self, started: Started) -> None:
        """Print what is about to run, resolved to the last setting."""
        self._stop_bar()
        if not self.quiet:
            show_started(started)
        self.bar = output.progress_bar(started.name, error=self.quiet)
        if self.bar is not None:
            self.bar.start()

    def observe(self, report: StepReport | EvaluationReport | Notice) -> None:
        """Show a report."""
        if isinstance(report, StepReport):
            self._step(report)
        elif isinstance(report, EvaluationReport):
            self._evaluation(report)
        else:
            self._print(report.text)

    def _step(self, report: StepReport) -> None:
        note = f"loss {report.loss:.4f}  {report.tokens_per_second:,.0f} tokens/s"
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=report.step, total=report.total, note=note)
        elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            left = time.strftime("%H:%M:%S", time.gmtime(report.seconds_left))
            self._print(f"step {report.step}/{report.total}  {note}  {left} left")

    def _evaluation(self, report: EvaluationReport) -> None:
        values = "  ".join(f"{name} {value:.4f}" for name, value in report.evaluation.metrics.items())
        mark = "  (best)" if report.is_best else ""
        if not report.step:
            mark = "  (before training)"
        self._print(f"step {report.step}/{report.total}  evaluation: {values}{mark}")
        if report.step:
            for note in report.evaluation.notes:
                output.print_warning(note)

    def _print(self, text: str) -> None:
        if not self.quiet:
            output.print_line(text)

    def _stop_bar(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _start(inputs: Inputs) -> str:
    if inputs.source.revision == UNTRAINED or inputs.config.model.random_weights:
        return "random weights"
    return "the pretrained weights" if inputs.start is inputs.source else inputs.start.found_in


def show_started(started: Started) -> None:
    """Print the run's task, data, model, machine and settings."""
    inputs = started.inputs
    total = started.trained + started.frozen
    facts: dict[str, object] = {
        "task": f"{inputs.task.name}: {inputs.task.summary}",
        **inputs.facts(),
        "model": f"{inputs.source.name}  ({inputs.source.found_in}, revision {inputs.source.revision})",
        "start": _start(inputs),
        "new tensors": ", ".join(started.new_tensors) or "none",
        "parameters": f"{started.trained:,} trained, {started.frozen:,} frozen "
        f"({started.trained / total:.1%} trained)",
        "machine": f"{inputs.machine.device}, {inputs.machine.precision} ({inputs.machine.precision_reason})",
        "attention": f"{started.attention} ({started.attention_reason})",
        "disk": f"up to {started.checkpoint_bytes / 2**20:,.0f} MiB of checkpoints while it runs",
        "recipe": f"{inputs.recipe.name}: {inputs.recipe.source}",
        "settings": _wrapped(inputs.config.by_name()),
    }
    output.print_facts(f"\n{started.name}", facts)
    for note in inputs.notes:
        output.print_line(f"  {note}")
    for warning in inputs.warnings:
        output.print_warning(warning)
    if started.free_bytes < started.checkpoint_bytes:
        output.print_warning(f"only {started.free_bytes / 2**20:,.0f} MiB of disk are free")


def _wrapped(settings: dict[str, Any], per_line: int = 5) -> str:
    shown = [f"{name} {value}" for name, value in settings.items() if value != ()]
    lines = [", ".join(shown[i : i + per_line]) for i in range(0, len(shown), per_line)]
    return (",\n" + " " * 17).join(lines)
