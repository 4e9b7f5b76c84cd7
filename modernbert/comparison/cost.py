"""What models cost on a task; never averaged or ranked over unlike machines."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from modernbert.comparison.outcomes import Outcome
from modernbert.comparison.results import Cost, ModelScores
from modernbert.comparison.systems import parts_of
from modernbert.records.record import RunRecord

# Speeds are alike up to this factor: each was measured once, and the same model is measured 10 % apart.
ALIKE = 1.1

Machine = tuple[str, ...]


def machine_of(record: RunRecord) -> Machine:
    """Return what a run's speed depends on: the processor that it ran on, and how much of it."""
    hardware, device = record.hardware, record.machine.device if record.machine else "cpu"
    used = ("processes",) if device == "cuda" else ("cpu", "instructions", "cores", "threads", "processes")
    first = ("cuda", str(hardware.get("gpu"))) if device == "cuda" else (device,)
    return (*first, *(f"{hardware[key]} {key}" for key in used if key in hardware))


def cost_of(runs: Sequence[Outcome]) -> Cost:
    """Return what a model's runs on one task took; no times and no memory where their machines differ."""
    records = [run.record for run in runs if _is_measured(run)]
    data, sizes = runs[0].record.data, records[0].parameters if records else None
    cut = (
        [split.truncated for split in data.report.splits if split.split == runs[0].split]
        if data.report
        else []
    )
    found = Cost(
        parameters=sizes.trained + sizes.frozen if sizes else None,
        truncated=cut[0] if cut else records[0].truncated if records else None,
    )
    if unlike(runs):
        return found
    training = [record.training for record in records if record.training]
    return replace(
        found,
        minutes=_mean([part.minutes for part in training]),
        examples_per_second=_mean([record.inference.get("examples_per_second") for record in records]),
        tokens_per_second=_mean([record.inference.get("tokens_per_second") for record in records]),
        memory_mib=max((max(part.peak_memory_mib.values()) for part in training), default=None),
    )


def _is_measured(run: Outcome) -> bool:
    """Was this system measured? A record of searches has the encoder's figures alone."""
    record = run.record
    return record.kind != "retrieval" or parts_of(record, run.result) == ("encoder",)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def unlike(runs: Sequence[Outcome]) -> list[str]:
    """Return the machines and precisions that runs were made with, in words, if these differ."""
    found = {
        (machine_of(run.record), run.record.machine.precision if run.record.machine else None) for run in runs
    }
    machines, precisions = {m for m, _ in found}, {p for _, p in found if p}
    if len(machines) < 2 and len(precisions) < 2:
        return []
    return sorted(" ".join(filter(None, (", ".join(machine), precision))) for machine, precision in found)


def speed_notes(by_model: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Say of which models, and of whom together, no speed is shown or ranked, and why."""
    notes = [
        f"{model}: its runs were made with unlike machines or precisions ({'; '.join(found)}), "
        "so neither its time nor its memory is averaged"
        for model, runs in by_model.items()
        if (found := unlike(runs))
    ]
    timed = [run for runs in by_model.values() for run in runs if run.record.inference]
    if len(by_model) > 1 and (found := unlike(timed)):
        said = f"no front: speeds were measured with unlike machines or precisions ({'; '.join(found)})"
        notes.append(said)
    return notes


def with_front(models: Sequence[ModelScores], runs: Sequence[Outcome]) -> list[ModelScores]:
    """Mark the models that no other beats in both score and speed (the Pareto front), on one machine."""
    known = [(m, speed) for m in models if (speed := m.cost.examples_per_second) is not None]
    if len(known) < 2 or unlike([run for run in runs if run.record.inference]):
        return list(models)
    front = {m.model for m, speed in known if not any(_dominates(*other, m, speed) for other in known)}
    measured = {m.model for m, _ in known}
    return [replace(m, on_front=m.model in front if m.model in measured else None) for m in models]


def _dominates(one: ModelScores, speed: float, other: ModelScores, other_speed: float) -> bool:
    as_good = one.mean >= other.mean and speed * ALIKE >= other_speed
    return as_good and (one.mean > other.mean or speed > ALIKE * other_speed)
