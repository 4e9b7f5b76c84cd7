"""Which results a comparison is made of, and what their models are called in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace

from modernbert.comparison.comparability import one_result, scored_under
from modernbert.comparison.identity import is_named, names_of, runs_of_one_model
from modernbert.comparison.outcomes import Outcome, read_outcomes
from modernbert.comparison.own_data import data_of, is_on, with_own_tasks
from modernbert.errors import BadOption, BadRun, UnknownName
from modernbert.runs import RunStore
from modernbert.wording import counted


def collect(
    store: RunStore,
    runs: Sequence[str],
    also: Sequence[str] = (),
    tasks: Collection[str] = (),
    metric: str = "",
) -> tuple[list[Outcome], list[str]]:
    """Read runs, one for each (task, model, seed, conditions); say which were passed over.

    Runs that are named are the set: only a model of `also` that none of them is of comes from the store.

    Args:
        runs: names; empty takes all of the store.
        also: models (or runs) that the others are compared with.
        tasks: take these only, if any: names, files or folders.
        metric: measured instead of each run's main one; a run whose task has no such metric is passed over.
    """
    whole, notes = (list(dict.fromkeys(runs)), []) if runs else _without_folds(store, store.names())
    found, more = _read(store, whole, metric, strict=bool(runs))
    notes += more
    found = _named(with_own_tasks(found)[0])
    lacking = [name for name in also if runs and not _answering(found, name)]
    if lacking:
        others, more = _beside(store, found, runs, lacking, metric)
        found, notes = [*found, *others], [*notes, *more]
    found, several = with_own_tasks([o for o in found if not tasks or any(is_on(o, task) for task in tasks)])
    notes += several
    found = _standing_for_themselves(found, {*runs, *also} if runs else set(), also)
    kept, passed = _one_of_each(found)
    kept = _told_by_conditions(kept)
    one_model = runs_of_one_model([outcome.id for outcome in kept])
    said = [f"all of them are runs of {one_model}"] if one_model else []
    return _named(kept), list(dict.fromkeys([*said, *notes, *passed]))


def _read(
    store: RunStore, names: Sequence[str], metric: str, *, strict: bool
) -> tuple[list[Outcome], list[str]]:
    """Read runs; one that cannot be compared is noted, or (`strict`) raises BadRun."""
    found: list[Outcome] = []
    notes: list[str] = []
    for name in names:
        try:
            found += read_outcomes(store, name, metric)
        except BadRun as error:
            if strict:
                raise
            notes.append(f"passed over: {error.where}: {error.what}")
    return found, notes


def _without_folds(store: RunStore, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Leave out the runs of single folds, and say so: the run of all folds holds their predictions."""
    records = store.survey().records
    folds = [name for name in names if (run := records.get(name)) and run.request and run.request.fold]
    note = f"passed over: {counted(len(folds), 'run')} of single folds; out-of-fold runs hold their answers"
    return [name for name in names if name not in folds], [note] if folds else []


def _beside(
    store: RunStore, found: Sequence[Outcome], runs: Sequence[str], lacking: Sequence[str], metric: str
) -> tuple[list[Outcome], list[str]]:
    """Return the store's results that the lacking names mean, on the same tasks as those found."""
    data = {data_of(outcome) for outcome in found}
    tasks = {name for name, _ in data}
    survey = store.survey()
    names = [
        name
        for name, run in survey.records.items()
        if run.status == "finished" and run.task.name in tasks and name not in runs
    ]
    names, _ = _without_folds(store, names)
    others, notes = _read(store, names, metric, strict=False)
    others = [o for o in others if not data_of(o)[1] or data_of(o) in data]
    called = [o for o in _named([*found, *others]) if o.run not in runs]
    meant: dict[tuple[str, str | None], Outcome] = {}
    for name in lacking:
        answering = _answering(called, name)
        if not answering and store.has(name):  # it says why not
            answering, _ = _read(store, [name], metric, strict=True)
        meant |= {(o.run, o.system): o for o in answering}
    return list(meant.values()), [*notes, *survey.notes()]


def _named(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Call every model as the whole set demands."""
    names = names_of([(o.task, o.id) for o in outcomes])
    return [replace(o, model=names[o.task, o.id]) for o in outcomes]


def _answering(outcomes: Sequence[Outcome], name: str) -> list[Outcome]:
    """Return the results that a model's name, or a run's, means."""
    return [o for o in outcomes if is_named(o.model, name)] or [o for o in outcomes if o.run == name]


def _standing_for_themselves(
    outcomes: Sequence[Outcome], named: Collection[str], also: Sequence[str]
) -> list[Outcome]:
    """Let a run stand for itself, not for a seed of its model, where its user means the run.

    That is: a run is compared with others of its model; or two that were named would be one seed twice; or
    all are of one model.
    """
    baselines = {name for name in also if not any(is_named(o.model, name) for o in outcomes)}
    others = [o for o in outcomes if o.trained and o.run not in baselines]
    models = {o.id for o in others}
    seeds = Counter((o.task, o.split, o.id, o.seed) for o in others if o.run in named)
    alone = {o.id for o in outcomes} == models and len(models) == 1 and not baselines
    twice = models if alone else {one for (_, _, one, _), count in seeds.items() if count > 1}

    def stands(o: Outcome) -> bool:
        means_run = o.id in models if o.run in baselines else o.run in named and o.id in twice
        return o.trained and means_run

    return [replace(o, id=replace(o.id, run=o.run)) if stands(o) else o for o in outcomes]


def _one_of_each(outcomes: Sequence[Outcome]) -> tuple[list[Outcome], list[str]]:
    """Keep the newest of what may stand for each other: of a training and its evaluations, the training."""
    newest: dict[Hashable, Outcome] = {}
    notes = []
    for outcome in sorted(outcomes, key=_age):
        older = newest.get(key := one_result(outcome))
        if older and (outcome.trained or older.value != outcome.value):
            notes.append(f"passed over: {older.run}, as {outcome.run} is newer ({older.model}, {older.task})")
        newest[key] = outcome
    return list(newest.values()), notes


def _told_by_conditions(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Take a model that was measured under several conditions with one seed for several models."""
    groups: dict[Hashable, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.task, outcome.id), []).append(outcome)
    return [told for group in groups.values() for told in _told(group)]


def _told(group: Sequence[Outcome]) -> list[Outcome]:
    if len({o.seed for o in group}) == len(group):
        return list(group)
    conditions = [scored_under(o) for o in group]
    varying = [name for name in conditions[0] if len({repr(c.get(name)) for c in conditions}) > 1]
    words = [", ".join(f"{name} {_short(c.get(name))}" for name in varying) for c in conditions]
    return [replace(o, id=replace(o.id, under=told)) for o, told in zip(group, words, strict=True)]


def _short(value: object) -> str:
    """Return a condition in words; of a fingerprint, its beginning."""
    text = str(value)
    return text[:8] if re.fullmatch("[0-9a-f]{32,}", text) else text


def _age(outcome: Outcome) -> tuple[str, bool, str]:
    """Return when its model was trained, whether the training scored itself, and when it was scored."""
    created = outcome.record.created
    trained = outcome.training.created if outcome.training else created
    return trained, outcome.record.kind == "finetune", created


def meant(outcomes: Sequence[Outcome], names: Sequence[str]) -> list[str]:
    """Return the models that names mean: of a model, or the beginning of one name alone, or of a run.

    Raises:
        UnknownName: a name means none.
        BadOption: a name means several on one task.
    """
    found: list[str] = []
    for name in names:
        models = _models_of(outcomes, name)
        if not models:
            known = sorted({outcome.model for outcome in outcomes})
            fix = f"There are finished runs of: {', '.join(known) or 'nothing'}."
            raise UnknownName.among("compared model", name, known, fix=fix)
        found += models
    return list(dict.fromkeys(found))


def _models_of(outcomes: Sequence[Outcome], name: str) -> list[str]:
    if any(o.model == name for o in outcomes):
        return [name]
    answering = _answering(outcomes, name)
    by_run = bool(answering) and not is_named(answering[0].model, name)
    for task in dict.fromkeys(o.task for o in answering):
        here = sorted({o.model for o in answering if o.task == task})
        if by_run:
            return [next(o.model for o in answering if o.task == task)]  # its encoder stands first
        if len(here) > 1:
            said = f"'{name}' means several models on {task}: {', '.join(here)}"
            raise BadOption(said, fix="Name one of them in full.")
    return sorted({o.model for o in answering})
