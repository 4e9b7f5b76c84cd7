"""What a training prints before its first step."""

from __future__ import annotations

from typing import Any

from modernbert.finetuning.record import Started
from modernbert.model.backends import ChosenBackend
from modernbert.model.locate import UNTRAINED
from modernbert.training.inputs import Inputs

from . import output


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
        "machine": f"{inputs.machine.device}, {inputs.machine.precision} ({inputs.machine.precision_reason})"
        + (f", {started.processes} processes" if started.processes > 1 else ""),
        "attention": str(ChosenBackend(started.attention, started.attention_reason)),
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
    shown = [f"{name} {value}" for name, value in settings.items() if value not in ((), "")]
    lines = [", ".join(shown[i : i + per_line]) for i in range(0, len(shown), per_line)]
    return ",\n".join(lines)
