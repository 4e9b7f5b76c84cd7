"""What two results must have in common before they may stand in one table, or be averaged as seeds."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict
from typing import Any

from modernbert.comparison.identity import METHOD_SETTINGS
from modernbert.comparison.outcomes import Outcome
from modernbert.comparison.systems import parts_of
from modernbert.evaluation.protocols import PROTOCOLS
from modernbert.evaluation.sums import OF_ONE_CLASS, RANKED
from modernbert.records.record import BaselineRecord, EvaluateRecord, FinetuneRecord, RetrievalRecord
from modernbert.records.settings import StoredProtocol

# Settings that say how a training is carried out, not what is trained.
HANDLING = {
    "seed", "max_tokens", "recompute", "compile", "checkpoint_minutes", "log_every",
}  # fmt: skip
# Settings that two models may differ in: what their names tell, and what each has a best value of its own of.
OWN = {*METHOD_SETTINGS, "head", "learning_rate"}
# Where these differ, scores are of other things: no wish of the user's makes them comparable.
IMPOSSIBLE = {"metric", "split", "data", "examples"}
# Conditions of a training that mean something beside another training on the same task alone.
OF_ONE_TASK = {"training data", "rows at most", "recipe", "started from"}

Conditions = dict[str, Any]
Differing = dict[str, tuple[Any, Any]]


def scored_under(outcome: Outcome) -> Conditions:
    """Return what a result was measured under."""
    splits = outcome.record.data.splits
    return {
        "metric": _metric(outcome),
        "split": outcome.split,
        "data": splits[outcome.split].fingerprint,
        **_protocol(outcome),
    }


def _metric(outcome: Outcome) -> str:
    task = outcome.record.task
    of_one = outcome.metric in (*OF_ONE_CLASS, *RANKED) and len(task.labels) == 2
    return f"{outcome.metric} of {task.labels[outcome.positive]}" if of_one else outcome.metric


def _protocol(outcome: Outcome) -> Conditions:
    if outcome.record.task.kind == "retrieval":
        return _search_protocol(outcome)
    record, training = outcome.record, outcome.training
    if record.task.kind == "tokens":
        return {}  # what is not read is missed, and counts as that
    if not isinstance(record, EvaluateRecord) or training is None:
        return {"tokens read": "as trained"} if training else {}
    length, trained = record.config.max_length, training.config.data.max_length
    return {"tokens read": "as trained" if length == trained else length}


def _search_protocol(outcome: Outcome) -> Conditions:
    """Return how texts were read. Keyword search reads them whole, whatever the encoder does.

    A training's own evaluation is that of mteb, unless its record says otherwise. Where its user chose how
    many tokens the model reads, that is not the model's own length.
    """
    record = outcome.record
    kept = record.config.protocol if isinstance(record, RetrievalRecord) else record.protocol
    protocol = kept or StoredProtocol.model_validate(asdict(PROTOCOLS["mteb"]))
    found = {"titles": protocol.titles, "identical ids left out": protocol.identical}
    if isinstance(record, RetrievalRecord) and parts_of(record, outcome.result) == ("bm25",):
        return found
    length = outcome.training.settings.get("max_length") if outcome.training else 0
    chosen = f", but {length} tokens" if length and not protocol.max_length else ""
    return found | {"protocol": protocol.name + chosen}


def trained_under(outcome: Outcome) -> Conditions:
    """Return what a model was trained under, as far as any two models must agree in it."""
    record, training = outcome.record, outcome.training
    if isinstance(record, BaselineRecord):
        train = record.data.splits.get("train")
        return {"training data": train and train.fingerprint, "rows at most": record.request.limit}
    if training is None:
        return {}
    return {
        "training data": training.data,
        "rows at most": training.limit,
        "recipe": training.recipe,
        "started from": outcome.id.start or "the model as it comes",
        "selection": selection(outcome),
    }


def selection(outcome: Outcome) -> str | None:
    """Return how the kept step of a training was chosen, in relation to what is scored here."""
    if outcome.training is None:
        return None
    if outcome.training.config.evaluation.keep == "last":
        return "the last step"
    own = outcome.record.data.splits[outcome.split].fingerprint == outcome.training.chosen_on
    return "the best step on these examples" if own else "the best step on other examples"


def between_models(first: Outcome, second: Outcome) -> Differing:
    """Return the conditions in which two models' results differ, with both values.

    A condition that only one of them has (a trained model beside BM25) is no difference. A recipe may give
    each model settings of its own; what the user set instead must be alike, but for the learning rate.
    """
    return _differing(first, second) | _settings(first, second, _set_by_user(first, second))


def between_seeds(first: Outcome, second: Outcome) -> Differing:
    """Return the conditions in which two seeds of one model differ: every setting, precision, versions."""
    known = [set(o.training.config.by_name()) for o in (first, second) if o.training]
    names = set.intersection(*known) - HANDLING if len(known) == 2 else set()
    found = _differing(first, second) | _settings(first, second, names)
    pairs = {
        "precision": [_precision(o) for o in (first, second)],
        "precision of the evaluation": [_scored_in(o) for o in (first, second)],
        **{f"{name}'s version": [_version(o, name) for o in (first, second)] for name in ("mbert", "torch")},
    }
    return found | {
        name: (one, other)
        for name, (one, other) in pairs.items()
        if one != other and None not in (one, other)
    }


def _differing(first: Outcome, second: Outcome) -> Differing:
    one, other = (scored_under(o) | trained_under(o) for o in (first, second))
    if first.id.trained_on != second.id.trained_on:  # it is in their names, and what is compared
        one = {name: value for name, value in one.items() if name not in OF_ONE_TASK}
    found = {name: (one[name], other[name]) for name in one if name in other and one[name] != other[name]}
    if first.ids != second.ids and "data" not in found:
        found["examples"] = (len(first.ids), len(second.ids))
    return found


def _set_by_user(first: Outcome, second: Outcome) -> set[str]:
    if first.id.trained_on != second.id.trained_on:
        return set()
    given = {name for o in (first, second) if o.training for name in o.training.settings}
    return given - HANDLING - OWN


def _settings(first: Outcome, second: Outcome, names: set[str]) -> Differing:
    """Return which of the named settings differ, as training used them."""
    if first.training is None or second.training is None:
        return {}
    one, other = first.training.config.by_name(), second.training.config.by_name()
    return {
        name: (one[name], other[name])
        for name in sorted(names)
        if name in one and name in other and one[name] != other[name]
    }


def _precision(outcome: Outcome) -> str | None:
    return outcome.training.precision if outcome.training else None


def _scored_in(outcome: Outcome) -> str | None:
    """Return the precision of an evaluation; a training scores itself in its own."""
    record = outcome.record
    return None if isinstance(record, FinetuneRecord) or not record.machine else record.machine.precision


def _version(outcome: Outcome, package: str) -> str | None:
    versions = outcome.training.versions if outcome.training else outcome.record.versions
    return versions.get(package)


def one_result(outcome: Outcome) -> Hashable:
    """Return what two results of one model and seed share if one of them may stand for the other."""
    conditions = scored_under(outcome)
    return (
        outcome.task,
        outcome.id,
        outcome.seed,
        outcome.ids,
        *map(repr, sorted(conditions.items(), key=str)),
    )


def shown(differing: Differing) -> str:
    """Return what differs in words."""
    return "; ".join(f"{name}: {one!r} and {other!r}" for name, (one, other) in differing.items())
