"""What a run's record (`run.json`) holds, by the kind of the run; what readers use must be there.

Only what is read back is described. Other keys may be there: other versions write more.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, FiniteFloat
from typing_extensions import TypedDict

from modernbert.errors import BadRun
from modernbert.reading import checked
from modernbert.record_parts import (
    Amount,
    Count,
    Data,
    Digest,
    Effort,
    LabelledData,
    Machine,
    Model,
    NamedModel,
    Parameters,
    PretrainingRequest,
    Recipe,
    Result,
    Setting,
    Settings,
    Start,
    StoredRequest,
    Study,
    Task,
    Text,
    Time,
    Training,
)
from modernbert.run_kinds import TRAININGS
from modernbert.wording import counted


class _Head(TypedDict):
    kind: Literal["finetune", "pretrain", "evaluate", "retrieval", "baseline"]
    status: Literal["running", "interrupted", "finished"]


class _AnyRun(TypedDict):
    created: Time
    task: Task
    model: NamedModel
    seed: Count | None
    config: dict[str, Any]
    data: Data
    hardware: dict[str, Any]
    versions: dict[str, str | None]
    results: NotRequired[Annotated[list[Result], Field(min_length=1)]]
    notes: NotRequired[list[str]]
    tags: NotRequired[list[Text]]
    inference: NotRequired[dict[str, Amount]]
    temperature: NotRequired[Annotated[FiniteFloat, Field(gt=0)]]


class _LocatedRun(TypedDict):
    model: Model
    machine: Machine


class _PlainSettings(TypedDict):
    config: dict[str, dict[str, Setting]]


class _TrainedRun(TypedDict):
    seed: Count
    study: NotRequired[Study | None]
    init: Literal["plain"] | Start
    recipe: Recipe
    config: Settings
    request: StoredRequest
    parameters: Parameters


class _PretrainedRun(TypedDict):
    request: PretrainingRequest


class _LabelledRun(TypedDict):
    data: LabelledData


class _Evaluated(TypedDict):
    max_length: Count


class _EvaluatedRun(TypedDict):
    config: _Evaluated


class _FinishedRun(TypedDict):
    results: Annotated[list[Result], Field(min_length=1)]


class _FinishedTraining(TypedDict):
    training: Training
    inference: dict[str, Amount]
    notes: list[str]
    model_files: Annotated[dict[str, Digest], Field(min_length=1)]


class _Protocol(TypedDict):
    name: str
    titles: NotRequired[bool]
    identical: NotRequired[bool | None]


class _SearchSettings(TypedDict):
    protocol: _Protocol
    max_length: Count
    passages: Count


class _RetrievalRun(TypedDict):
    reranker: NotRequired[Model | None]
    config: _SearchSettings
    truncated: Amount
    notes: list[str]


class _BaselineRun(TypedDict):
    request: StoredRequest
    training: Effort


PARTS: dict[str, tuple[Any, ...]] = {
    "finetune": (_LocatedRun, _PlainSettings, _TrainedRun),
    "pretrain": (_LocatedRun, _PlainSettings, _TrainedRun, _PretrainedRun),
    "evaluate": (_LocatedRun, _EvaluatedRun),
    "retrieval": (_LocatedRun, _RetrievalRun),
    "baseline": (_BaselineRun,),
}


def check_record(record: dict[str, Any], where: str) -> None:
    """Check a run's record. Raises BadRun, naming the key, for what is missing or cannot be."""
    for part in (_Head, _AnyRun):
        checked(part, record, where=where, error=BadRun)
    for part in _parts(record):
        checked(part, record, where=where, error=BadRun)
    task = record["task"]
    if (task["kind"] in ("single_label", "multi_label")) != bool(task["labels"]):
        raise BadRun(f"task: kind {task['kind']} with {counted(len(task['labels']), 'label')}", where=where)
    if record["kind"] in TRAININGS and record["seed"] != (seed := record["config"]["run"]["seed"]):
        raise BadRun(f"seed {record['seed']} and config.run.seed {seed} differ", where=where)
    for result in record.get("results", ()):
        if result["split"] not in record["data"]["splits"]:
            raise BadRun(f"results: '{result['split']}' is no split of its data", where=where)


def _parts(record: dict[str, Any]) -> list[Any]:
    """Return what a record of this kind and status must hold beside what every record has."""
    kind, finished = record["kind"], record["status"] == "finished"
    labelled = kind == "finetune" and record["task"]["kind"] != "retrieval"
    return [
        *PARTS[kind],
        *([_LabelledRun] if labelled else []),
        *([_FinishedRun] if finished else []),
        *([_FinishedTraining] if finished and kind in TRAININGS else []),
    ]
