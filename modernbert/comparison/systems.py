"""What one result of a run was made with: which model, trained how, and with which seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from modernbert.comparison.identity import BM25, ModelId, method_of, model_id
from modernbert.errors import MbertError
from modernbert.records.record import FinetuneRecord, RetrievalRecord, RunRecord
from modernbert.records.scores import SplitScores
from modernbert.records.training import Model, TrainingFacts
from modernbert.runs import RunStore

# Names what a training started from, given the `init` of its record.
StartOf = Callable[["Start"], str]
Start = Literal["plain"] | Model


@dataclass(frozen=True)
class System:
    """What one result was made with.

    Attributes:
        id: which model.
        seed: of the training; None for what has none.
        training: how the model was trained ; None where it came as it is.
        trained: could another training come out differently? BM25 or a model as it came cannot.
    """

    id: ModelId
    seed: int | None
    training: TrainingFacts | None
    trained: bool


def system_of(record: RunRecord, result: SplitScores, run: str, start_of: StartOf) -> System:
    """Return what one of the `results` of a finished run was made with."""
    training = record.facts(run)
    one = _id_of(record.model, training, record, start_of)
    if isinstance(record, RetrievalRecord):
        return _searching(record, result, one, training, start_of)
    seed, is_evaluation = record.seed, record.kind == "evaluate"
    if is_evaluation and training is None and not _is_run(record.model):
        one = replace(one, as_it_comes=True)
    return System(one, seed, training, trained=is_evaluation or seed is not None)


def _is_run(model: Model) -> bool:
    return model.found_in.startswith("run ")


def _id_of(model: Model, training: TrainingFacts | None, record: RunRecord, start_of: StartOf) -> ModelId:
    start = start_of(training.init) if training else ""
    return model_id(model, training, record.task.name, start)


def _searching(
    record: RetrievalRecord,
    result: SplitScores,
    encoder: ModelId,
    training: TrainingFacts | None,
    start_of: StartOf,
) -> System:
    parts = parts_of(record, result)
    if parts == (BM25,):
        return System(ModelId(result.system or ""), None, None, trained=False)
    seed = training.seed if training else None
    found = System(
        replace(encoder, passages=record.config.passages),
        seed,
        training,
        trained=_is_run(record.model),
    )
    if BM25 in parts:
        found = replace(found, id=replace(found.id, fused=_keyword_search(record)))
    return _reranked(found, record, result, start_of) if "reranker" in parts else found


def _keyword_search(record: RetrievalRecord) -> str:
    """Return what the keyword search of an evaluation is called, which says how it reads texts."""
    return next((r.system for r in record.results if r.system and parts_of(record, r) == (BM25,)), BM25)


def _reranked(found: System, record: RetrievalRecord, result: SplitScores, start_of: StartOf) -> System:
    """Put a reranker behind an encoder. Where both were trained with unlike seeds, its own is in its id."""
    name = (result.system or "").removeprefix(f"{record.model.name} > ")
    model = record.reranker or Model(name=name)
    training = model.training
    one = _id_of(model, training, record, start_of)
    if training is None:
        return replace(found, id=replace(found.id, reranker=one))
    if found.seed not in (None, training.seed):
        one = replace(one, run=f"seed {training.seed}")
    seed = training.seed if found.seed is None else found.seed
    return replace(found, id=replace(found.id, reranker=one), seed=seed, trained=True)


def parts_of(record: RunRecord, result: SplitScores) -> tuple[str, ...]:
    """Return what a way of searching is made of; older records say it in its name alone."""
    if result.parts is not None:
        return result.parts
    name, system = record.model.name, result.system or ""
    known = {name: ("encoder",), f"{name} + bm25": ("encoder", BM25)}
    return known.get(system, ("encoder", "reranker") if system.startswith(f"{name} > ") else (BM25,))


def start_in(store: RunStore, init: Start) -> str:
    """Return what came before a training: task, recipe and method of what it started from; empty for nothing.

    Older records have that run's name alone: where the run is gone, its name must do.
    """
    if init == "plain":
        return ""
    facts = init.training or _facts_in(store, init.name)
    if facts is None:
        return init.name
    return " ".join(filter(None, (facts.task, facts.recipe, method_of(facts.config))))


def _facts_in(store: RunStore, run: str) -> TrainingFacts | None:
    try:
        record = store.read(run)
    except MbertError:
        return None
    is_training = isinstance(record, FinetuneRecord) and record.status == "finished"
    return record.facts(run) if is_training else None
