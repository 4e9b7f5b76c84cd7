"""What one result of a run was made with: which model, trained how, and with which seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from modernbert.comparison.identity import BM25, ModelId, method_of, model_id
from modernbert.errors import MbertError
from modernbert.lineage import training_facts, training_of
from modernbert.runs import RunStore

Record = Mapping[str, Any]
# Names what a training started from, given the `init` of its record.
StartOf = Callable[[Any], str]


@dataclass(frozen=True)
class System:
    """What one result was made with.

    Attributes:
        id: which model.
        seed: of the training; None for what has none.
        training: how the model was trained (see `lineage`); None where it came as it is.
        trained: could another training come out differently? BM25 or a model as it came cannot.
    """

    id: ModelId
    seed: int | None
    training: Record | None
    trained: bool


def system_of(record: Record, result: Record, run: str, start_of: StartOf) -> System:
    """Return what one of the `results` of a finished run was made with."""
    training = training_of(record, run)
    one = _id_of(record["model"], training, record, start_of)
    if record["kind"] == "retrieval":
        return _searching(record, result, one, training, start_of)
    seed, is_evaluation = record["seed"], record["kind"] == "evaluate"
    if is_evaluation and training is None and not _is_run(record["model"]):
        one = replace(one, as_it_comes=True)
    return System(one, seed, training, trained=is_evaluation or seed is not None)


def _is_run(model: Record) -> bool:
    return str(model["found_in"]).startswith("run ")


def _id_of(model: Record, training: Record | None, record: Record, start_of: StartOf) -> ModelId:
    start = start_of(training["init"]) if training else ""
    return model_id(model, training, record["task"]["name"], start)


def _searching(
    record: Record, result: Record, encoder: ModelId, training: Record | None, start_of: StartOf
) -> System:
    parts = parts_of(record, result)
    if parts == (BM25,):
        return System(ModelId(result["system"]), None, None, trained=False)
    seed = training["seed"] if training else None
    found = System(
        replace(encoder, passages=record["config"]["passages"]),
        seed,
        training,
        trained=_is_run(record["model"]),
    )
    if BM25 in parts:
        found = replace(found, id=replace(found.id, fused=_keyword_search(record)))
    return _reranked(found, record, result, start_of) if "reranker" in parts else found


def _keyword_search(record: Record) -> str:
    """Return what the keyword search of an evaluation is called, which says how it reads texts."""
    return next((r["system"] for r in record["results"] if parts_of(record, r) == (BM25,)), BM25)


def _reranked(found: System, record: Record, result: Record, start_of: StartOf) -> System:
    """Put a reranker behind an encoder. Where both were trained with unlike seeds, its own is in its id."""
    name = result["system"].removeprefix(f"{record['model']['name']} > ")
    model = record.get("reranker") or {"name": name}
    training = model.get("training")
    one = _id_of(model, training, record, start_of)
    if training is None:
        return replace(found, id=replace(found.id, reranker=one))
    if found.seed not in (None, training["seed"]):
        one = replace(one, run=f"seed {training['seed']}")
    seed = training["seed"] if found.seed is None else found.seed
    return replace(found, id=replace(found.id, reranker=one), seed=seed, trained=True)


def parts_of(record: Record, result: Record) -> tuple[str, ...]:
    """Return what a way of searching is made of; older records say it in its name alone."""
    if "parts" in result:
        return tuple(result["parts"])
    name, system = record["model"]["name"], result["system"]
    known = {name: ("encoder",), f"{name} + bm25": ("encoder", BM25)}
    return known.get(system, ("encoder", "reranker") if system.startswith(f"{name} > ") else (BM25,))


def start_in(store: RunStore, init: Any) -> str:
    """Return what came before a training: task, recipe and method of what it started from; empty for nothing.

    Older records have that run's name alone: where the run is gone, its name must do.
    """
    if init == "plain":
        return ""
    facts = init.get("training") or _facts_in(store, init["name"])
    if facts is None:
        return str(init["name"])
    return " ".join(filter(None, (facts["task"], facts["recipe"], method_of(facts["config"]))))


def _facts_in(store: RunStore, run: str) -> Record | None:
    try:
        record = store.read(run)
    except MbertError:
        return None
    is_training = record["kind"] == "finetune" and record["status"] == "finished"
    return training_facts(record, run) if is_training else None
