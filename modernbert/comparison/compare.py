"""Compare models on the tasks that runs were made for."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import product

from modernbert.comparison.analysis import answers_of, is_right
from modernbert.comparison.averages import average_contrasts, average_scores
from modernbert.comparison.collect import collect, meant
from modernbert.comparison.comparability import (
    IMPOSSIBLE,
    Differing,
    between_models,
    between_seeds,
    shown,
)
from modernbert.comparison.cost import cost_of, speed_notes, with_front
from modernbert.comparison.identity import ModelId, family_of
from modernbert.comparison.notes import collapse_notes, collapsed_seeds, interval_notes, selection_notes
from modernbert.comparison.outcomes import Outcome, with_shared_clusters
from modernbert.comparison.own_data import data_of
from modernbert.comparison.published import published_scores
from modernbert.comparison.results import Comparison, Contrast, ModelScores, TaskComparison
from modernbert.comparison.rows import METRICS, RETRIEVAL_METRICS, metrics_of
from modernbert.errors import BadOption, BadRun, UnknownName, did_you_mean
from modernbert.evaluation.calibration import calibration_scores
from modernbert.evaluation.statistics import difference, holm, interval, mcnemar, noise_of_score
from modernbert.records.scores import Score
from modernbert.runs import RunStore

ByModel = Mapping[str, Sequence[Outcome]]


def compare(
    store: RunStore,
    runs: Sequence[str],
    baselines: Sequence[str],
    *,
    tasks: Collection[str] = (),
    models: Sequence[str] = (),
    allow: bool = False,
    margin: float = 0.0,
    metric: str = "",
) -> Comparison:
    """Compare runs of the store with each baseline, task by task.

    Args:
        runs: names; empty takes every finished run.
        baselines: models that others are compared with, by the name that a comparison gives them, or runs;
            empty takes the model of the first named run.
        tasks, models: take only these, if any.
        allow: compare also what was made under other conditions, and say so.
        margin: test too whether models are equivalent, that is differ by less than this; 0 for no test.
        metric: compare by this one, computed of each run's answers, instead of its main one.

    Raises:
        BadOption: there is one model alone, or the margin is no positive number.
        BadRun: a run cannot be compared, or (without `allow`) conditions differ.
        UnknownName: no run of a baseline, or no such metric.
    """
    _require_a_comparison(runs, baselines, margin)
    _require_metric(store, runs, tasks, metric)
    outcomes, notes = collect(store, runs, baselines, tasks, metric)
    if metric and not outcomes:
        raise BadOption(f"{metric} is no metric of any finished run here", fix="mbert runs lists them.")
    first = [o.model for run in runs for o in outcomes if o.run == run]
    chosen = meant(outcomes, baselines) if baselines else first[:1]
    if models:
        wanted = {*chosen, *meant(outcomes, models)}
        outcomes = [o for o in outcomes if o.model in wanted]
    known = sorted({o.model for o in outcomes})
    if len(known) < 2:
        raise BadOption("one model alone: nothing to compare it with", fix="mbert runs lists the runs.")
    by_task: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_task.setdefault(outcome.task, []).append(outcome)
    compared = [_task(found, chosen, allow=allow, margin=margin) for _, found in sorted(by_task.items())]
    compared = _corrected(compared, {(o.task, o.model): family_of(o.id) for o in outcomes})
    if not any(task.contrasts for task in compared):
        if runs:
            raise _nothing_shared(outcomes)
        notes.append(f"nothing is compared: no other model was scored on a task of {', '.join(chosen)}")
    shared = [task for task in compared if {m.model for m in task.models} == set(known)]
    return Comparison(
        tuple(chosen),
        tuple(compared),
        average_scores(shared, known),
        tuple(task.task for task in shared),
        tuple(notes),
        average_contrasts(shared, chosen, margin),
    )


def _nothing_shared(outcomes: Sequence[Outcome]) -> BadRun:
    """Return the error for named runs of which no two were scored on the same examples."""
    one_name = len({data_of(o)[0] for o in outcomes}) == 1
    told = ", ".join(f"{o.run} is on {o.task}" for o in outcomes)
    why = "other data of one name" if one_name else "different tasks or files"
    return BadRun(
        f"nothing to compare: the runs were scored on {why} ({told})",
        fix="Other examples cannot be compared at all: name runs on one file.",
    )


def _require_metric(store: RunStore, runs: Sequence[str], tasks: Collection[str], metric: str) -> None:
    """Raise UnknownName, naming those that apply, for a metric of none of the runs that may be compared."""
    if not metric:
        return
    found = [r for n, r in store.survey().records.items() if n in (runs or [n]) and r.status == "finished"]
    found = [record for record in found if record.task.name in (tasks or [record.task.name])] or found
    known = {name for record in found for name in metrics_of(record)}
    known = known or set.union(RETRIEVAL_METRICS, *METRICS.values())
    if metric not in known:
        fix = f"Use {', '.join(sorted(known))}."
        raise UnknownName(
            f"the runs have no metric '{metric}'", fix=did_you_mean(metric, sorted(known)) + fix
        )


def _require_a_comparison(runs: Sequence[str], baselines: Sequence[str], margin: float) -> None:
    """Raise BadOption for what can be no comparison, whatever runs there are."""
    if not 0 <= margin < float("inf"):
        raise BadOption(f"a margin of {margin} means nothing", fix="Give a difference such as --margin 0.01.")
    if not baselines and len(runs) < 2:
        raise BadOption(
            "there is nothing to compare with", fix="Add --baseline MODEL, such as tfidf, or name two runs."
        )
    if len(runs) > len(set(runs)):
        twice = next(run for run in runs if list(runs).count(run) > 1)
        raise BadOption(
            f"the run '{twice}' is named twice: compared with itself it says nothing",
            fix="Name each run once; mbert runs lists them.",
        )


def _task(
    outcomes: Sequence[Outcome], baselines: Sequence[str], *, allow: bool, margin: float
) -> TaskComparison:
    """Compare the models of one task; p-values are not yet corrected."""
    outcomes = with_shared_clusters(outcomes)
    first = outcomes[0]
    by_model: dict[str, list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda o: (o.model, o.seed or 0)):
        by_model.setdefault(outcome.model, []).append(outcome)
    alike = {model: _alike(runs, allow=allow) for model, runs in by_model.items()}
    contrasts = []
    for model, baseline in _pairs(by_model, baselines):
        sides = by_model[model], by_model[baseline]
        differing = _fair(*sides, allow=allow) | alike[model] | alike[baseline]
        contrasts.append(_contrast(*sides, differing, margin))
    models = [_scores(runs, alike[model]) for model, runs in by_model.items()]
    return TaskComparison(
        task=first.task,
        kind=first.record.task.kind,
        split=first.split,
        metric=first.metric,
        n=len(first.ids),
        models=tuple(with_front(sorted(models, key=lambda m: -m.mean), outcomes)),
        contrasts=tuple(contrasts),
        clusters=None if first.clusters is None else len(set(first.clusters)),
        notes=(
            *selection_notes(by_model),
            *interval_notes(by_model),
            *collapse_notes(models),
            *speed_notes(by_model),
        ),
    )


def _pairs(by_model: ByModel, baselines: Sequence[str]) -> list[tuple[str, str]]:
    """Return each model with each baseline, two baselines once."""
    return [
        (model, baseline)
        for baseline in baselines
        if baseline in by_model
        for model in by_model
        if model != baseline and model not in baselines[: baselines.index(baseline)]
    ]


def _scores(runs: Sequence[Outcome], differing: Differing) -> ModelScores:
    first, values = runs[0], [run.value for run in runs]
    recipe = first.training.recipe if first.training else ""
    sums = [run.sums for run in runs]
    low, high = interval(sums)
    return ModelScores(
        model=first.model,
        runs=tuple(run.run for run in runs),
        system=first.system,
        by_seed={str("-" if run.seed is None else run.seed): run.value for run in runs},
        mean=statistics.fmean(values),
        low=low,
        high=high,
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        worst=min(values) if len(values) > 1 else None,
        collapsed=collapsed_seeds(runs),
        differing=differing,
        cost=cost_of(runs),
        published=published_scores(first.id.as_published, first.task, first.metric, recipe),
        trained=first.trained,
        noise=noise_of_score(sums),
        calibration=_calibration(runs, [1.0] * len(runs)),
        calibrated=_calibration(runs, [run.record.temperature for run in runs]),
        rows=train.part_of_rows if (train := first.record.data.splits.get("train")) else "",
    )


def _calibration(runs: Sequence[Outcome], temperatures: Sequence[float]) -> tuple[Score, ...]:
    pairs = zip(runs, temperatures, strict=True)
    answers = [known for run, t in pairs if (known := answers_of(run, t)) is not None]
    return calibration_scores(answers) if answers else ()


def _contrast(
    runs: Sequence[Outcome], baseline: Sequence[Outcome], differing: Differing, margin: float
) -> Contrast:
    sides = [run.sums for run in runs], [run.sums for run in baseline]
    found = difference(*sides, trained=(runs[0].trained, baseline[0].trained), margin=margin)
    one_each = (
        len(runs) == len(baseline) == 1
        and found.clusters is None
        and runs[0].metric in ("accuracy", "exact_match")
    )
    exact = mcnemar(is_right(runs[0]), is_right(baseline[0])) if one_each else None
    return Contrast(runs[0].model, baseline[0].model, found, found.p, exact, differing, found.p_equivalent)


def _alike(runs: Sequence[Outcome], *, allow: bool) -> Differing:
    """Return what the seeds of one model differ in. Raises BadRun as `_check`."""
    found: Differing = {}
    seen: dict[int | None, Outcome] = {}
    for run in runs:
        twice = seen.setdefault(run.seed, run)
        other = runs[0] if twice is run else twice
        own = between_seeds(run, other)
        _check(run, other, own, allow=allow and twice is run)  # one seed counts once, whatever is allowed
        assert twice is run, "what may stand for each other was sorted out when runs were collected"
        found |= own
    return found


def _fair(runs: Sequence[Outcome], baseline: Sequence[Outcome], *, allow: bool) -> Differing:
    """Return what two models differ in that a fair comparison holds equal. Raises BadRun as `_check`.

    Of a run that stands for itself beside another of its model, all settings that differ are told.
    """
    found: Differing = {}
    for run, other in product(runs, baseline):
        own = between_models(run, other)
        _check(run, other, own, allow=allow)
        same_model = replace(run.id, run="") == replace(other.id, run="")
        found |= between_seeds(run, other) if same_model else own
    return found


def _check(run: Outcome, other: Outcome, differing: Differing, *, allow: bool) -> None:
    """Raise BadRun for two results that may not stand in one table."""
    impossible = differing.keys() & IMPOSSIBLE
    if not differing or (allow and not impossible):
        return
    raise BadRun(
        f"{run.model} ({run.run}) and {other.model} ({other.run}) on {run.task} "
        f"were not made alike: {shown(differing)}",
        fix="Other examples cannot be compared at all: name the runs of one kind."
        if impossible
        else "Name the runs that are alike, train them alike, or add --allow to compare them "
        "nevertheless; the table will say so.",
    )


def _corrected(
    tasks: Sequence[TaskComparison], ids: Mapping[tuple[str, str], ModelId]
) -> list[TaskComparison]:
    """Apply Holm's correction over everything that is compared with one baseline.

    Args:
        ids: by task and what a model is called there, which model it is on all tasks.
    """
    families: dict[ModelId, list[tuple[str, Contrast]]] = {}
    for task in tasks:
        for c in task.contrasts:
            families.setdefault(ids[task.task, c.baseline], []).append((task.task, c))
    done: dict[tuple[str, str, str], Contrast] = {}
    for found in families.values():
        values = holm([c.p_corrected for _, c in found])
        alike = holm([c.equivalent_corrected or 0.0 for _, c in found])
        for (name, c), p, same in zip(found, values, alike, strict=True):
            known = c.equivalent_corrected is not None
            corrected = replace(c, p_corrected=p, equivalent_corrected=same if known else None)
            done[name, c.model, c.baseline] = corrected
    return [
        replace(task, contrasts=tuple(done[task.task, c.model, c.baseline] for c in task.contrasts))
        for task in tasks
    ]
