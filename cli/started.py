"""What a training prints before its first step."""

from __future__ import annotations

from modernbert.finetuning.record import Started
from modernbert.model.backends import ChosenBackend
from modernbert.model.locate import UNTRAINED
from modernbert.training.inputs import Inputs
from modernbert.wording import percent

from . import output
from .settings import settings_text


def _start(inputs: Inputs) -> str:
    if inputs.source.revision == UNTRAINED or inputs.config.model.random_weights:
        return "random weights"
    return "the pretrained weights" if inputs.start is inputs.source else inputs.start.found_in


def show_started(started: Started, *, verbose: bool = False) -> None:
    """Print the run's task, data, model, machine and settings; if `verbose`, those too that do nothing."""
    inputs = started.inputs
    facts: dict[str, object] = {
        "task": f"{inputs.task.name}: {inputs.task.summary}",
        **inputs.facts(),
        "model": f"{inputs.source.name}  ({inputs.source.found_in}, revision {inputs.source.revision})",
        "start": _start(inputs),
        "new tensors": ", ".join(started.new_tensors) or "none",
        "parameters": _parameters(started.trained, started.frozen),
        "machine": f"{inputs.machine.device}, {inputs.machine.precision} ({inputs.machine.precision_reason})"
        + (f", {started.processes} processes" if started.processes > 1 else ""),
        "attention": str(ChosenBackend(started.attention, started.attention_reason)),
        "disk": f"up to {started.checkpoint_bytes / 2**20:,.0f} MiB of checkpoints while it runs",
        "recipe": f"{inputs.recipe.name}: {inputs.recipe.source}",
        **_settings(inputs, verbose=verbose),
    }
    output.print_facts(f"\n{started.name}", facts)
    for note in inputs.notes:
        output.print_line(f"  {note}")
    for warning in inputs.warnings:
        output.print_warning(warning)
    if started.free_bytes < started.checkpoint_bytes:
        output.print_warning(f"only {started.free_bytes / 2**20:,.0f} MiB of disk are free")


def _parameters(trained: int, frozen: int) -> str:
    if not frozen:
        return f"{trained:,}, all trained"
    return f"{trained:,} trained ({percent(trained / (trained + frozen))}), {frozen:,} frozen"


def _settings(inputs: Inputs, *, verbose: bool) -> dict[str, str]:
    """Return what the user set, then what differs from the defaults besides, then the rest.

    Settings that do nothing here are in the run's record; `verbose` shows them too.
    """
    config = inputs.config
    values, acting, defaults = config.by_name(), config.acting(), type(config)().by_name()
    if inputs.task.kind != "regression" or len(getattr(inputs.task, "text", ())) < 2:
        acting.pop("pair_encoder", None)  # it is for pairs that get a number
    yours = [name for name in values if name in inputs.request.settings]
    others = [name for name in acting if name not in yours]
    changed = [name for name in others if values[name] != defaults[name]]
    parts = {
        "set by you": yours,
        "set by mbert": changed,
        "at defaults": [name for name in others if name not in changed],
        "off or auto": [name for name in values if name not in (*acting, *yours)] if verbose else [],
    }
    return {
        head: settings_text({name: values[name] for name in names}) for head, names in parts.items() if names
    }
