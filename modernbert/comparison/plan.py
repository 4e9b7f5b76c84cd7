"""Which runs a comparison lacks, and how long they will take."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modernbert.comparison import baselines
from modernbert.comparison.comparability import HANDLING
from modernbert.comparison.identity import (
    LORA,
    LORA_SETTINGS,
    METHOD_SETTINGS,
    RANDOM,
    TEACHER_SETTINGS,
    ModelId,
    is_named,
)
from modernbert.comparison.outcomes import Outcome
from modernbert.comparison.own_data import is_cross_validation, is_on, require_cross_validated, task_name
from modernbert.data.tagged_files import is_tagged
from modernbert.data.targets import is_own_data, resolve
from modernbert.errors import BadOption, UnknownName
from modernbert.model.catalogue import CHECKPOINTS
from modernbert.places import make_folder
from modernbert.records.record import BaselineRecord, FinetuneRecord, RunRecord
from modernbert.runs import RunStore
from modernbert.temporary import held, is_held
from modernbert.training.inputs import Request

FIRST_SEED = 42
# In the run store: held by the process that makes missing runs there.
LOCK = ".filling.lock"


@dataclass(frozen=True)
class Wanted:
    """What a comparison should have.

    Attributes:
        tasks, models, baselines: names; tasks and models empty for those that runs are there of.
        seeds: how many of each; 0 for those that runs are there of.
        runs: the runs that were named: of these nothing is missing.
        changes: values of `Request` for new runs (recipe, settings, data_dir, device); what is not said is
            taken from the newest run of the task.
    """

    baselines: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    seeds: int = 0
    runs: tuple[str, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedRun:
    """One run that is missing.

    Attributes:
        seed: None for what has none.
        request: how to make it; None for an evaluation of retrieval, which `changes` of `Wanted` describe.
        interrupted: the run to go on with, if one was begun.
        minutes: estimate; None where nothing like it was ever run here.
    """

    task: str
    model: str
    seed: int | None
    request: Request
    is_evaluation: bool = False
    interrupted: str | None = None
    minutes: float | None = None


def plan_runs(store: RunStore, outcomes: Sequence[Outcome], wanted: Wanted) -> list[PlannedRun]:
    """Return every (task, model, seed) that is wanted and not among the outcomes, task by task.

    Raises:
        BadOption: no task is named, and there is no run to take one from.
        UnknownName: a task or model that nothing answers to.
    """
    targets = wanted.tasks or tuple(dict.fromkeys(outcome.task for outcome in outcomes))
    if not targets:
        raise BadOption("no finished run and no task to compare on", fix="Name one: --task glue/rte.")
    plan = []
    for target in targets:
        there = [o for o in outcomes if is_on(o, target) and (o.task == target or not is_cross_validation(o))]
        if any(map(is_cross_validation, there)):
            require_cross_validated(there, wanted.baselines)
            continue
        models = wanted.models or (() if wanted.runs else tuple(dict.fromkeys(o.model for o in there)))
        for model in dict.fromkeys((*models, *wanted.baselines)):
            if any(outcome.run == model for outcome in outcomes):
                continue  # a run, which is there
            if wanted.runs and not wanted.seeds and any(is_named(outcome.model, model) for outcome in there):
                continue  # the named runs are what is compared
            fits = model not in baselines.NAMES or model in _baselines_of(target, there)
            if not fits or model.startswith("bm25"):
                continue  # of another kind of task; BM25 comes with any evaluation of retrieval
            asked = _asked(model, outcomes, store)
            # What has no seed (an evaluation, TF-IDF) is there or not.
            if not any(outcome.seed is None and is_named(outcome.model, model) for outcome in there):
                plan += _planned_of(store, target, asked, there, wanted)
    return plan


@dataclass(frozen=True)
class _Asked:
    """A model that somebody wants runs of.

    Attributes:
        model: what it is called.
        name, method: of its id, or as the user wrote them.
        place: what to ask for to get it.
        is_made: does training the checkpoint `place` (for retrieval: searching with it) give it?
    """

    model: str
    name: str
    method: str
    place: str
    is_made: bool


def _asked(model: str, outcomes: Sequence[Outcome], store: RunStore) -> _Asked:
    """Return what a name means: a model that runs are there of, or one to get. Raises UnknownName."""
    if known := sorted((o for o in outcomes if is_named(o.model, model)), key=lambda o: o.model != model):
        return _asked_again(model, known[0])
    name, method = _as_written(model)
    is_model = store.has(name) and (store.path(name) / "model").is_dir()  # an evaluation is none
    if name not in (*CHECKPOINTS, *baselines.NAMES) and not is_model and "/" not in name:
        for outcome in outcomes:  # another method of a model that is there
            if outcome.id.name == name:
                return replace(_asked_again(model, outcome), method=method, is_made=True)
        names = [*CHECKPOINTS, *baselines.NAMES]
        fix = f"`mbert models` lists them; add ' {LORA}' or ' {RANDOM}' for these."
        raise UnknownName.among("model", name, names, fix=fix)
    return _Asked(model, name, method, name, is_made=True)


def _asked_again(model: str, known: Outcome) -> _Asked:
    """Return a model that runs are there of: made as they were, unless it is more than a checkpoint."""
    one, record = known.id, known.record
    place = record.request.model if record.request else record.model.name
    head = "" if record.task.kind == "retrieval" else one.head
    plain = ModelId(one.name, one.weights, one.method, head, one.start)
    return _Asked(model, one.name, one.method, place, is_made=one == plain)


def _as_written(model: str) -> tuple[str, str]:
    """Return a checkpoint's name and the method that a user wrote behind it."""
    method = next((method for method in (LORA, RANDOM) if model.endswith(f" {method}")), "")
    return model.removesuffix(f" {method}") if method else model, method


def _planned_of(
    store: RunStore, target: str, asked: _Asked, there: Sequence[Outcome], wanted: Wanted
) -> list[PlannedRun]:
    request = _request(target, asked, there, wanted)
    task, model = task_name(target), asked.model
    if _is_retrieval(target, there):  # nothing is trained here
        is_encoder = asked.is_made and not asked.method
        return [PlannedRun(task, model, None, request, is_evaluation=True)] if is_encoder else []
    if model in baselines.NAMES:
        return [PlannedRun(task, model, None, request, minutes=1.0)]
    if not asked.is_made:
        return []
    seeds = range(FIRST_SEED, FIRST_SEED + wanted.seeds) if wanted.seeds else _seeds(there)
    minutes = _estimate(asked, there)
    own = {outcome.seed for outcome in there if is_named(outcome.model, model)}
    return [
        PlannedRun(task, model, seed, request, False, begun(store, request, seed), minutes)
        for seed in seeds
        if seed not in own
    ]


def _absolute(target: str) -> str:
    return str(Path(target).absolute()) if is_own_data(target) else target


def _is_retrieval(target: str, there: Sequence[Outcome]) -> bool:
    if there:
        return there[0].record.task.kind == "retrieval"
    return resolve(target).is_retrieval


def _baselines_of(target: str, there: Sequence[Outcome]) -> Collection[str]:
    """Return the baselines that predict what a task asks for: tags of words, or labels of whole texts."""
    words = (
        there[0].record.task.kind == "tokens" if there else is_own_data(target) and is_tagged(Path(target))
    )
    if words:
        return baselines.OF_WORDS
    return () if _is_retrieval(target, there) else baselines.OF_TEXTS


def _seeds(there: Sequence[Outcome]) -> list[int]:
    return sorted({outcome.seed for outcome in there if outcome.seed is not None}) or [FIRST_SEED]


def _request(target: str, asked: _Asked, there: Sequence[Outcome], wanted: Wanted) -> Request:
    """Return a request like that of the task's newest run (of the same method, if there is one)."""
    trained = sorted(
        (outcome for outcome in there if outcome.record.request),
        key=lambda o: (o.model == asked.model, o.id.method == asked.method, o.record.created),
    )
    newest = trained[-1].record.request if trained else None
    base = Request.of(newest) if newest else Request(target=_absolute(target), model=asked.place)
    kept = {key: value for key, value in base.settings.items() if key not in HANDLING | METHOD_SETTINGS}
    if "taught by" in asked.method:
        kept |= {key: value for key, value in base.settings.items() if key in TEACHER_SETTINGS}
    if LORA in asked.method.split():
        adapters = {key: value for key, value in base.settings.items() if key in LORA_SETTINGS}
        kept |= {**adapters, "lora": True}
    if RANDOM in asked.method.split():
        kept["random_weights"] = True
    changes = dict(wanted.changes)
    settings = {**kept, **changes.pop("settings", {})}
    return replace(base, model=asked.place, settings=settings, name=None, tags=(), **changes)


def begun(store: RunStore, request: Request, seed: int | None) -> str | None:
    """Return a run that was begun for the same and not finished; another process may work on it."""
    for name, record in store.survey().records.items():
        if record.status != "finished" and _is_made_of(record, request, seed):
            return name
    return None


def _is_made_of(record: RunRecord, request: Request, seed: int | None) -> bool:
    if not isinstance(record, FinetuneRecord | BaselineRecord) or record.seed != seed:
        return False
    return _nameless(Request.of(record.request)) == _nameless(request)


def _nameless(request: Request) -> Request:
    settings = {key: value for key, value in request.settings.items() if key != "seed"}
    return replace(request, settings=settings, name=None, tags=())


def _is_of(record: RunRecord, planned: PlannedRun) -> bool:
    if not planned.is_evaluation:
        return _is_made_of(record, planned.request, planned.seed)
    same = record.task.name == planned.task and record.model.name == planned.request.model
    return same and record.kind == "retrieval"


@contextlib.contextmanager
def one_at_a_time(store: RunStore, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the store for one process that makes missing runs; `on_wait` is told before this waits."""
    make_folder(store.root)
    if is_held(store.root, name=LOCK):
        on_wait()
    with held(store.root, name=LOCK):
        yield


def up_to_date(planned: PlannedRun, store: RunStore, known: Collection[str]) -> PlannedRun | str:
    """Return what is planned as it is now, or the run that another process made of it meanwhile.

    Args:
        known: names of the runs that were there when this one was found missing.
    """
    for name, record in store.survey().records.items():
        is_new = name not in known or name == planned.interrupted
        if is_new and record.status == "finished" and _is_of(record, planned):
            return name
    if planned.is_evaluation or planned.seed is None:
        return planned
    return replace(planned, interrupted=begun(store, planned.request, planned.seed))


def _estimate(asked: _Asked, there: Sequence[Outcome]) -> float | None:
    """Return minutes: those of the same model's runs, or of another's in proportion to their sizes."""
    timed: dict[tuple[str, str], list[float]] = {}
    for outcome in there:
        if outcome.seed is not None and outcome.record.training:
            minutes = outcome.record.training.minutes
            timed.setdefault((outcome.model, outcome.id.name), []).append(minutes)
    if own := [minutes for (model, _), found in timed.items() if model == asked.model for minutes in found]:
        return statistics.fmean(own)
    size = _size(asked.name)
    known = [(_size(name), statistics.fmean(minutes)) for (_, name), minutes in timed.items() if _size(name)]
    return size * known[0][1] / known[0][0] if size and known else None


def _size(name: str) -> float:
    return CHECKPOINTS[name].parameters if name in CHECKPOINTS else 0.0


def total_minutes(plan: Collection[PlannedRun]) -> tuple[float, int]:
    """Return the sum of the estimates, and how many have none."""
    return sum(planned.minutes or 0.0 for planned in plan), sum(planned.minutes is None for planned in plan)
