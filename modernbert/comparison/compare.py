"""Compare models on the tasks that runs were made for."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from modernbert.comparison.agreement import differing
from modernbert.comparison.outcomes import Outcome, read_outcomes
from modernbert.errors import BadOption, BadRun, UnknownName
from modernbert.evaluation.statistics import Difference, difference, holm, mcnemar
from modernbert.runs import RunStore


@dataclass(frozen=True)
class ModelScores:
    """One model on one task.

    Attributes:
        by_seed: the metric of each run; the key is the seed, or "-" for what has none.
        deviation: sample standard deviation over seeds; None with one.
        parameters: all of them; None for what has none.
        minutes: of training, the seeds' mean.
        memory_mib: peak, the seeds' largest.
    """

    model: str
    runs: tuple[str, ...]
    by_seed: dict[str, float]
    mean: float
    deviation: float | None
    parameters: int | None
    minutes: float | None
    memory_mib: float | None


@dataclass(frozen=True)
class Contrast:
    """A model against a baseline on one task.

    Attributes:
        p_corrected: p after Holm's correction over all contrasts with this baseline.
        mcnemar: its exact p, where both have one run and the metric counts right answers.
        differing: conditions that differ, which the user allowed.
    """

    model: str
    baseline: str
    difference: Difference
    p_corrected: float
    mcnemar: float | None
    differing: dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class TaskComparison:
    """All models on one task."""

    task: str
    split: str
    metric: str
    n: int
    models: tuple[ModelScores, ...]
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True)
class Comparison:
    """All tasks; `averages` over the tasks that every model has, when these are two or more."""

    baselines: tuple[str, ...]
    tasks: tuple[TaskComparison, ...]
    averages: dict[str, float]
    averaged: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def compare(
    store: RunStore,
    runs: Sequence[str],
    baselines: Sequence[str],
    *,
    tasks: Collection[str] = (),
    models: Collection[str] = (),
    allow: bool = False,
) -> Comparison:
    """Compare runs of the store with each baseline, task by task.

    Args:
        runs: names; empty takes every finished run.
        baselines: models that others are compared with, by the name that a comparison gives them.
        tasks, models: take only these, if any.
        allow: compare also what was made under other conditions, and say so.

    Raises:
        BadRun: a run cannot be compared, or (without `allow`) conditions differ.
        UnknownName: no run of a baseline.
    """
    outcomes, notes = _collect(store, runs)
    wanted = {*models, *baselines} if models else {o.model for o in outcomes}
    outcomes = [o for o in outcomes if o.model in wanted and (not tasks or o.task in tasks)]
    known = sorted({o.model for o in outcomes})
    for name in baselines:
        if name not in known:
            fix = f"There are finished runs of: {', '.join(known) or 'nothing'}."
            raise UnknownName.among("compared model", name, known, fix=fix)
    if len(known) < 2:
        raise BadOption("one model alone: nothing to compare it with", fix="mbert runs lists the runs.")
    by_task: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_task.setdefault(outcome.task, []).append(outcome)
    compared = [_task(found, baselines, allow=allow) for _, found in sorted(by_task.items())]
    compared = _corrected(compared, baselines)
    shared = [task for task in compared if {m.model for m in task.models} == set(known)]
    averages = {
        model: statistics.fmean(m.mean for task in shared for m in task.models if m.model == model)
        for model in known
        if len(shared) > 1
    }
    return Comparison(
        tuple(baselines), tuple(compared), averages, tuple(task.task for task in shared), tuple(notes)
    )


def _collect(store: RunStore, runs: Sequence[str]) -> tuple[list[Outcome], list[str]]:
    """Read runs, the newest of each (task, split, model, seed); say which were passed over."""
    found: list[Outcome] = []
    notes: list[str] = []
    for name in runs or store.names():
        try:
            found += read_outcomes(store, name)
        except BadRun as error:
            if runs:
                raise
            notes.append(f"passed over: {error.what}")
    newest: dict[tuple[Any, ...], Outcome] = {}
    for outcome in sorted(found, key=lambda o: str(o.record["created"])):
        older = newest.get(key := (outcome.task, outcome.model, outcome.seed))
        if older:
            notes.append(f"passed over: {older.run}, as {outcome.run} is newer ({older.model}, {older.task})")
        newest[key] = outcome
    return list(newest.values()), list(dict.fromkeys(notes))


def _task(outcomes: Sequence[Outcome], baselines: Sequence[str], *, allow: bool) -> TaskComparison:
    """Compare the models of one task; p-values are not yet corrected."""
    first = outcomes[0]
    by_model: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda o: (o.model, o.seed or 0)):
        by_model.setdefault(outcome.model, []).append(outcome)
    contrasts = [
        _contrast(by_model[model], by_model[baseline], allow=allow)
        for baseline in baselines
        if baseline in by_model
        for model in by_model
        if model != baseline and model not in baselines[: baselines.index(baseline)]
    ]
    models = sorted(map(_scores, by_model.values()), key=lambda scores: -scores.mean)
    return TaskComparison(
        first.task, first.split, first.metric, len(first.ids), tuple(models), tuple(contrasts)
    )


def _scores(runs: Sequence[Outcome]) -> ModelScores:
    values = [run.value for run in runs]
    records = [run.record for run in runs]
    minutes = [r["training"]["minutes"] for r in records if "training" in r]
    memory = [max(r["training"]["peak_memory_mib"].values()) for r in records if "training" in r]
    parameters = records[0].get("parameters")
    return ModelScores(
        model=runs[0].model,
        runs=tuple(run.run for run in runs),
        by_seed={str("-" if run.seed is None else run.seed): run.value for run in runs},
        mean=statistics.fmean(values),
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        parameters=parameters["trained"] + parameters["frozen"] if parameters else None,
        minutes=statistics.fmean(minutes) if minutes else None,
        memory_mib=max(memory, default=None),
    )


def _contrast(runs: Sequence[Outcome], baseline: Sequence[Outcome], *, allow: bool) -> Contrast:
    differences = {
        field: values for run in runs for other in baseline for field, values in differing(run, other).items()
    }
    impossible = differences.keys() & {"metric", "split", "data", "examples"}
    if differences and (impossible or not allow):
        shown = "; ".join(f"{field}: {one!r} and {other!r}" for field, (one, other) in differences.items())
        raise BadRun(
            f"{runs[0].model} ({runs[0].run}) and {baseline[0].model} ({baseline[0].run}) on {runs[0].task} "
            f"were not made alike: {shown}",
            fix="Other examples cannot be compared at all."
            if impossible
            else "Train them alike, or add --allow to compare them nevertheless; the table will say so.",
        )
    found = difference([run.sums for run in runs], [run.sums for run in baseline])
    one_each = len(runs) == len(baseline) == 1 and runs[0].metric in ("accuracy", "exact_match")
    exact = mcnemar(_right(runs[0]), _right(baseline[0])) if one_each else None
    return Contrast(runs[0].model, baseline[0].model, found, found.p, exact, differences)


def _right(outcome: Outcome) -> np.ndarray:
    right = np.asarray(outcome.labels == outcome.predictions).reshape(len(outcome.ids), -1)
    return np.asarray(right.all(axis=1))


def _corrected(tasks: Sequence[TaskComparison], baselines: Sequence[str]) -> list[TaskComparison]:
    """Apply Holm's correction over everything that is compared with one baseline."""
    done: dict[tuple[str, str, str], float] = {}
    for baseline in baselines:
        keys = [
            (task.task, c.model, baseline) for task in tasks for c in task.contrasts if c.baseline == baseline
        ]
        values = [c.p_corrected for task in tasks for c in task.contrasts if c.baseline == baseline]
        done |= dict(zip(keys, holm(values), strict=True))
    return [
        replace(
            task,
            contrasts=tuple(
                replace(c, p_corrected=done[task.task, c.model, c.baseline]) for c in task.contrasts
            ),
        )
        for task in tasks
    ]
