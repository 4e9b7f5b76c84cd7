"""What a run's record (`run.json`) holds, by the kind of the run; what readers use must be there.

Only what is read back is described. Other keys may be there: other versions write more.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, FiniteFloat
from typing_extensions import TypedDict

from modernbert.data.cells import Form
from modernbert.errors import BadRun
from modernbert.reading import checked
from modernbert.runs import TRAININGS

LARGEST = 2**63 - 1
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Amount = Annotated[FiniteFloat, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d")]
Setting = str | bool | Annotated[int, Field(ge=-LARGEST, le=LARGEST)] | FiniteFloat | list[str | int] | None
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Task(TypedDict):
    name: Text
    kind: Literal["single_label", "multi_label", "regression", "retrieval", "pretraining"]
    labels: list[str]
    metrics: Annotated[list[str], Field(min_length=1)]


class _NamedModel(TypedDict):
    name: Text


class _Model(_NamedModel):
    found_in: str
    revision: str
    family: str
    folder: NotRequired[str]
    weights: NotRequired[str]
    training: NotRequired[_TrainingFacts | None]


class _Split(TypedDict):
    rows: Count
    fingerprint: Text
    revision: NotRequired[str]


class _SplitReport(TypedDict):
    split: str
    truncated: Amount


class _DataReport(TypedDict):
    splits: list[_SplitReport]


class _Data(TypedDict):
    splits: Annotated[dict[str, _Split], Field(min_length=1)]
    report: NotRequired[_DataReport | None]


class _Cells(TypedDict):
    form: Form
    separator: str
    size: Count


class _LabelledData(_Data):
    text: Annotated[list[str], Field(min_length=1, max_length=2)]
    label: Text
    cluster: NotRequired[str]
    cells: NotRequired[_Cells]


class _Score(TypedDict):
    metric: Text
    value: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None
    n: Annotated[int, Field(ge=1, le=LARGEST)]
    interval: str


class _Result(TypedDict):
    split: Text
    scores: Annotated[list[_Score], Field(min_length=1)]
    calibration: NotRequired[list[_Score]]
    notes: NotRequired[list[str]]
    system: NotRequired[Text]
    parts: NotRequired[list[Literal["encoder", "bm25", "reranker"]]]
    note: NotRequired[str]


class _Machine(TypedDict):
    device: str
    precision: str


class _Recipe(TypedDict):
    name: str


class _Start(TypedDict):
    name: str
    found_in: str
    training: NotRequired[_TrainingFacts | None]


class _Study(TypedDict):
    name: Text
    targets: list[str]
    seeds: list[Count]


class _Settings(TypedDict):
    seed: Count
    epochs: Amount
    batch_size: Count
    learning_rate: Amount
    keep: Literal["best", "last"]
    max_length: Count
    lora: bool
    random_weights: bool
    head: NotRequired[str]


class _TrainingFacts(TypedDict):
    """How a model was trained, as records carry it that are not of the training itself (see `lineage`)."""

    run: Text
    created: Time
    task: Text
    kind: str
    seed: Count
    model: _NamedModel
    init: Literal["plain"] | _Start
    recipe: str
    config: _Settings
    settings: dict[str, Setting]
    limit: Count
    data: str | None
    chosen_on: Text
    precision: str
    versions: dict[str, str | None]


class _StoredRequest(TypedDict):
    target: Text
    model: Text
    recipe: str
    settings: dict[str, Setting]
    init_from: str | None
    data_dir: str | None
    validation: str | None
    test: str | None
    text: list[str]
    label: str | None
    cluster: NotRequired[str | None]
    kind: Literal["single_label", "multi_label", "regression", "retrieval"] | None
    device: str
    precision: str
    limit: Count
    name: str | None


class _PretrainingRequest(_StoredRequest):
    files: Annotated[list[str], Field(min_length=1)]
    scratch: str | None
    vocabulary: Count


class _Parameters(TypedDict):
    trained: Count
    frozen: Count


class _Evaluation(TypedDict):
    step: Count
    metrics: Annotated[dict[str, FiniteFloat], Field(min_length=1)]


def _same_metrics(history: list[_Evaluation]) -> list[_Evaluation]:
    """Raise ValueError unless every evaluation has the same metrics."""
    if any(entry["metrics"].keys() != history[0]["metrics"].keys() for entry in history):
        raise ValueError("evaluations differ in their metrics")
    return history


History = Annotated[list[_Evaluation], AfterValidator(_same_metrics)]


class _Effort(TypedDict):
    minutes: Amount
    peak_memory_mib: Annotated[dict[str, Amount], Field(min_length=1)]


class _Training(_Effort):
    steps: Count
    planned_steps: Count
    best_step: Annotated[int, Field(ge=-1, le=LARGEST)]
    history: Annotated[History, Field(min_length=1)]
    tokens: Count
    tokens_per_second: Amount


class _Head(TypedDict):
    kind: Literal["finetune", "pretrain", "evaluate", "retrieval", "baseline"]
    status: Literal["running", "interrupted", "finished"]


class _AnyRun(TypedDict):
    created: Time
    task: _Task
    model: _NamedModel
    seed: Count | None
    config: dict[str, Any]
    data: _Data
    hardware: dict[str, Any]
    versions: dict[str, str | None]
    results: NotRequired[Annotated[list[_Result], Field(min_length=1)]]
    notes: NotRequired[list[str]]
    inference: NotRequired[dict[str, Amount]]


class _LocatedRun(TypedDict):
    model: _Model
    machine: _Machine


class _PlainSettings(TypedDict):
    config: dict[str, Setting]


class _TrainedRun(TypedDict):
    seed: Count
    study: NotRequired[_Study | None]
    init: Literal["plain"] | _Start
    recipe: _Recipe
    config: _Settings
    request: _StoredRequest
    parameters: _Parameters


class _PretrainedRun(TypedDict):
    request: _PretrainingRequest


class _LabelledRun(TypedDict):
    data: _LabelledData


class _Evaluated(TypedDict):
    max_length: Count


class _EvaluatedRun(TypedDict):
    config: _Evaluated


class _FinishedRun(TypedDict):
    results: Annotated[list[_Result], Field(min_length=1)]


class _FinishedTraining(TypedDict):
    training: _Training
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
    reranker: NotRequired[_Model | None]
    config: _SearchSettings
    truncated: Amount
    notes: list[str]


class _BaselineRun(TypedDict):
    request: _StoredRequest
    training: _Effort


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
        raise BadRun(f"task: kind {task['kind']} with {len(task['labels'])} labels", where=where)
    if record["kind"] in TRAININGS and record["seed"] != record["config"]["seed"]:
        raise BadRun(f"seed {record['seed']} and config.seed {record['config']['seed']} differ", where=where)
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
