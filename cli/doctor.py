"""`mbert doctor`."""

from __future__ import annotations

from . import options, output


def doctor(runs_dir: options.RunsDir = None, json: options.Json = False) -> None:
    """Show versions, device, precision, attention, processes and caches, and what to install."""
    from modernbert.doctor import diagnose
    from modernbert.runs import RunStore

    found = diagnose(RunStore.at(runs_dir))
    if json:
        return output.print_json(found.as_dict())
    for heading, facts in found.facts.items():
        output.print_facts(heading, dict(facts))
    for line in found.advice:
        output.print_line(f"- {line}", style="yellow")
