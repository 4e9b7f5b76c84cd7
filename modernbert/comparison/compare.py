"""Compare models on the tasks that runs were made for."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from modernbert.comparison.agreement import differing
from modernbert.comparison.analysis import is_right
from modernbert.comparison.outcomes import Outcome, is_named, model_of, read_outcomes
from modernbert.comparison.published import published_scores
from modernbert.comparison.results import Comparison, Contrast, Cost, ModelScores, TaskComparison
from modernbert.errors import BadOption, BadRun, UnknownName
from modernbert.evaluation.statistics import difference, holm, interval, mcnemar
from modernbert.runs import RunStore, part_of_rows


def compare(
    store: RunStore,
    runs: Sequence[str],
    baselines: Sequence[str],
    *,
    tasks: Collection[str] = (),
    models: Sequence[str] = (),
    allow: bool = False,
    margin: float = 0.0,
) -> Comparison:
    """Compare runs of the store with each baseline, task by task.

    Args:
        runs: names; empty takes every finished run.
        baselines: models that others are compared with, by the name that a comparison gives them.
        tasks, models: take only these, if any.
        allow: compare also what was made under other conditions, and say so.
        margin: test too whether models are equivalent, that is differ by less than this; 0 for no test.

    Raises:
        BadOption: there is one model alone, or the margin is no positive number.
        BadRun: a run cannot be compared, or (without `allow`) conditions differ.
        UnknownName: no run of a baseline.
    """
    if not 0 <= margin < float("inf"):
        raise BadOption(f"a margin of {margin} means nothing", fix="Give a difference such as --margin 0.01.")
    outcomes, notes = collect(store, runs, baselines, tasks)
    chosen = _named(outcomes, baselines)
    if models:
        wanted = {*chosen, *_named(outcomes, models)}
        outcomes = [o for o in outcomes if o.model in wanted]
    known = sorted({o.model for o in outcomes})
    if len(known) < 2:
        raise BadOption("one model alone: nothing to compare it with", fix="mbert runs lists the runs.")
    by_task: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_task.setdefault(outcome.task, []).append(outcome)
    compared = [_task(found, chosen, allow=allow, margin=margin) for _, found in sorted(by_task.items())]
    compared = _corrected(compared, chosen)
    shared = [task for task in compared if {m.model for m in task.models} == set(known)]
    averages = {
        model: statistics.fmean(m.mean for task in shared for m in task.models if m.model == model)
        for model in known
        if len(shared) > 1
    }
    return Comparison(
        tuple(chosen), tuple(compared), averages, tuple(task.task for task in shared), tuple(notes)
    )


def _named(outcomes: Sequence[Outcome], names: Sequence[str]) -> list[str]:
    """Return the models that the names mean. Raises UnknownName for one that means none."""
    known = sorted({outcome.model for outcome in outcomes})
    found: list[str] = []
    for name in names:
        meant = [model for model in known if is_named(model, name)]
        if not meant:
            fix = f"There are finished runs of: {', '.join(known) or 'nothing'}."
            raise UnknownName.among("compared model", name, known, fix=fix)
        found += meant
    return found


def collect(
    store: RunStore, runs: Sequence[str], also: Sequence[str] = (), tasks: Collection[str] = ()
) -> tuple[list[Outcome], list[str]]:
    """Read runs, the newest of each (task, split, model, seed); say which were passed over.

    Args:
        runs: names; empty takes all of the store.
        also: models whose runs on the same tasks are taken beside the named ones.
        tasks: take these only, if any.
    """
    found, notes = _read(store, runs or store.names(), strict=bool(runs))
    if runs and also:
        tasks = {outcome.task for outcome in found}
        beside = store.survey()
        finished = {name: run for name, run in beside.records.items() if run["status"] == "finished"}
        names = [n for n, run in finished.items() if run["task"]["name"] in tasks and n not in runs]
        others, more = _read(store, names, strict=False)
        found += [o for o in others if any(is_named(o.model, name) for name in also)]
        notes += [*more, *beside.notes()]
    found = [outcome for outcome in found if not tasks or outcome.task in tasks]
    newest: dict[tuple[Any, ...], Outcome] = {}
    for outcome in sorted(found, key=lambda o: str(o.record["created"])):
        older = newest.get(key := (outcome.task, outcome.model, outcome.seed))
        if older:
            notes.append(f"passed over: {older.run}, as {outcome.run} is newer ({older.model}, {older.task})")
        newest[key] = outcome
    return list(newest.values()), list(dict.fromkeys(notes))


def _read(store: RunStore, names: Sequence[str], *, strict: bool) -> tuple[list[Outcome], list[str]]:
    """Read runs; one that cannot be compared is noted, or (`strict`) raises BadRun."""
    found: list[Outcome] = []
    notes: list[str] = []
    for name in names:
        try:
            found += read_outcomes(store, name)
        except BadRun as error:
            if strict:
                raise
            notes.append(f"passed over: {error.where}: {error.what}")
    return found, notes


def _task(
    outcomes: Sequence[Outcome], baselines: Sequence[str], *, allow: bool, margin: float
) -> TaskComparison:
    """Compare the models of one task; p-values are not yet corrected."""
    first = outcomes[0]
    by_model: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda o: (o.model, o.seed or 0)):
        by_model.setdefault(outcome.model, []).append(outcome)
    # A model's seeds are averaged: they must be alike too.
    alike = {
        model: _differences(((run, runs[0]) for run in runs[1:]), allow=allow)
        for model, runs in by_model.items()
    }
    contrasts = [
        _contrast(
            by_model[model],
            by_model[baseline],
            _differences(product(by_model[model], by_model[baseline]), allow=allow)
            | alike[model]
            | alike[baseline],
            margin,
        )
        for baseline in baselines
        if baseline in by_model
        for model in by_model
        if model != baseline and model not in baselines[: baselines.index(baseline)]
    ]
    models = sorted(map(_scores, by_model.values()), key=lambda m: -m.mean)
    return TaskComparison(
        task=first.task,
        kind=first.record["task"]["kind"],
        split=first.split,
        metric=first.metric,
        n=len(first.ids),
        models=tuple(with_front(models)),
        contrasts=tuple(contrasts),
    )


def _scores(runs: Sequence[Outcome]) -> ModelScores:
    values = [run.value for run in runs]
    first = runs[0]
    recipe = first.record.get("recipe", {}).get("name", "")
    low, high = interval([run.sums for run in runs])
    return ModelScores(
        model=first.model,
        runs=tuple(run.run for run in runs),
        by_seed={str("-" if run.seed is None else run.seed): run.value for run in runs},
        mean=statistics.fmean(values),
        low=low,
        high=high,
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        cost=cost_of(runs),
        published=published_scores(first.model, first.task, first.metric, recipe),
        trained=first.trained,
        rows=part_of_rows(first.record["data"]["splits"].get("train", {})),
    )


def cost_of(runs: Sequence[Outcome]) -> Cost:
    """Return what a model's runs on one task took."""
    records = [run.record for run in runs]
    if records[0]["kind"] == "retrieval":
        # The record is of a whole evaluation: what it measured is the encoder's, not BM25's or the fusion's.
        of_encoder = runs[0].model == model_of(records[0], records[0]["model"]["name"])
        records = [record if of_encoder else {"data": record["data"]} for record in records]
    training = [record["training"] for record in records if "training" in record]
    inference = [record.get("inference", {}) for record in records]
    parameters = records[0].get("parameters")
    report = records[0]["data"].get("report") or {"splits": []}
    cut = [split["truncated"] for split in report["splits"] if split["split"] == runs[0].split]
    return Cost(
        parameters=parameters["trained"] + parameters["frozen"] if parameters else None,
        minutes=_mean([part["minutes"] for part in training]),
        examples_per_second=_mean([part.get("examples_per_second") for part in inference]),
        tokens_per_second=_mean([part.get("tokens_per_second") for part in inference]),
        memory_mib=max((max(part["peak_memory_mib"].values()) for part in training), default=None),
        truncated=cut[0] if cut else records[0].get("truncated"),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def with_front(models: Sequence[ModelScores]) -> list[ModelScores]:
    """Mark the models that no other beats in both score and speed (the Pareto front)."""
    known = [(m, speed) for m in models if (speed := m.cost.examples_per_second) is not None]
    front = {m.model for m, speed in known if not any(_dominates(*other, m, speed) for other in known)}
    measured = {m.model for m, _ in known} if len(known) > 1 else set()
    return [replace(m, on_front=m.model in front if m.model in measured else None) for m in models]


def _dominates(one: ModelScores, speed: float, other: ModelScores, other_speed: float) -> bool:
    as_good = one.mean >= other.mean and speed >= other_speed
    return as_good and (one.mean > other.mean or speed > other_speed)


def _contrast(
    runs: Sequence[Outcome], baseline: Sequence[Outcome], differing: dict[str, Any], margin: float
) -> Contrast:
    sides = [run.sums for run in runs], [run.sums for run in baseline]
    found = difference(*sides, trained=(runs[0].trained, baseline[0].trained), margin=margin)
    one_each = len(runs) == len(baseline) == 1 and runs[0].metric in ("accuracy", "exact_match")
    exact = mcnemar(is_right(runs[0]), is_right(baseline[0])) if one_each else None
    return Contrast(runs[0].model, baseline[0].model, found, found.p, exact, differing, found.p_equivalent)


def _differences(pairs: Iterable[tuple[Outcome, Outcome]], *, allow: bool) -> dict[str, tuple[Any, Any]]:
    """Return what the pairs differ in. Raises BadRun for a pair that may not stand in one table."""
    found: dict[str, tuple[Any, Any]] = {}
    for run, other in pairs:
        own = differing(run, other)
        impossible = own.keys() & {"metric", "split", "data", "examples"}
        if own and (impossible or not allow):
            shown = "; ".join(f"{field}: {one!r} and {two!r}" for field, (one, two) in own.items())
            raise BadRun(
                f"{run.model} ({run.run}) and {other.model} ({other.run}) on {run.task} "
                f"were not made alike: {shown}",
                fix="Other examples cannot be compared at all."
                if impossible
                else "Name the runs that are alike, train them alike, or add --allow to compare them "
                "nevertheless; the table will say so.",
            )
        found |= own
    return found


def _corrected(tasks: Sequence[TaskComparison], baselines: Sequence[str]) -> list[TaskComparison]:
    """Apply Holm's correction over everything that is compared with one baseline."""
    done: dict[tuple[str, str, str], Contrast] = {}
    for baseline in baselines:
        found = [(task.task, c) for task in tasks for c in task.contrasts if c.baseline == baseline]
        values = holm([c.p_corrected for _, c in found])
        alike = holm([c.equivalent_corrected or 0.0 for _, c in found])
        for (task, c), p, same in zip(found, values, alike, strict=True):
            known = c.equivalent_corrected is not None
            corrected = replace(c, p_corrected=p, equivalent_corrected=same if known else None)
            done[task, c.model, baseline] = corrected
    return [
        replace(task, contrasts=tuple(done[task.task, c.model, c.baseline] for c in task.contrasts))
        for task in tasks
    ]
