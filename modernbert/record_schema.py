"""What a run's record (`run.json`) holds, by the kind of the run; what readers use must be there.

Only what is read back is described. Other keys may be there: other versions write more.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, FiniteFloat
from typing_extensions import TypedDict

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


class TaskPart(TypedDict):
    """What was learnt or measured."""

    name: Text
    kind: Literal["single_label", "multi_label", "regression", "retrieval", "pretraining"]
    labels: list[str]
    metrics: Annotated[list[str], Field(min_length=1)]


class NamedModel(TypedDict):
    """Any model."""

    name: Text


class Model(NamedModel):
    """A model from a folder."""

    found_in: str
    revision: str
    family: str


class SplitPart(TypedDict):
    """One split of the data."""

    rows: Count
    fingerprint: Text
    revision: NotRequired[str]


class SplitReport(TypedDict):
    """What the look at one split found."""

    split: str
    truncated: Amount


class DataReport(TypedDict):
    """What the look at the data found."""

    splits: list[SplitReport]


class Data(TypedDict):
    """What was read."""

    splits: Annotated[dict[str, SplitPart], Field(min_length=1)]
    report: NotRequired[DataReport | None]


class LabelledData(Data):
    """What was read of a labelled task."""

    text: Annotated[list[str], Field(min_length=1, max_length=2)]
    label: Text


class Score(TypedDict):
    """One measured value."""

    metric: Text
    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    n: Annotated[int, Field(ge=1, le=LARGEST)]
    interval: str


class Result(TypedDict):
    """The scores of one split, or of one system of an evaluation of retrieval."""

    split: Text
    scores: Annotated[list[Score], Field(min_length=1)]
    notes: NotRequired[list[str]]
    system: NotRequired[Text]
    note: NotRequired[str]


class Machine(TypedDict):
    """Where it ran."""

    device: str
    precision: str


class Recipe(TypedDict):
    """Where the settings came from."""

    name: str


class Start(TypedDict):
    """The run that a training started from."""

    name: str
    found_in: str


class Study(TypedDict):
    """What a run belongs to."""

    name: Text
    targets: list[str]
    seeds: list[Count]


class Settings(TypedDict):
    """What a training was told."""

    seed: Count
    epochs: Amount
    batch_size: Count
    learning_rate: Amount
    keep: Literal["best", "last"]
    max_length: Count
    lora: bool
    random_weights: bool
    head: NotRequired[str]


class StoredRequest(TypedDict):
    """What the user asked for."""

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
    kind: Literal["single_label", "multi_label", "regression", "retrieval"] | None
    device: str
    precision: str
    limit: Count
    name: str | None


class PretrainingRequest(StoredRequest):
    """What the user asked to pretrain on."""

    files: Annotated[list[str], Field(min_length=1)]
    scratch: str | None
    vocabulary: Count


class Parameters(TypedDict):
    """How many weights."""

    trained: Count
    frozen: Count


class EvaluationPart(TypedDict):
    """One evaluation during training."""

    step: Count
    metrics: Annotated[dict[str, FiniteFloat], Field(min_length=1)]


def same_metrics(history: list[EvaluationPart]) -> list[EvaluationPart]:
    """Raise ValueError unless every evaluation has the same metrics."""
    if any(entry["metrics"].keys() != history[0]["metrics"].keys() for entry in history):
        raise ValueError("evaluations differ in their metrics")
    return history


History = Annotated[list[EvaluationPart], AfterValidator(same_metrics)]


class Effort(TypedDict):
    """What a training took."""

    minutes: Amount
    peak_memory_mib: Annotated[dict[str, Amount], Field(min_length=1)]


class Training(Effort):
    """What a training of a network took."""

    steps: Count
    planned_steps: Count
    best_step: Annotated[int, Field(ge=-1, le=LARGEST)]
    history: Annotated[History, Field(min_length=1)]
    tokens: Count
    tokens_per_second: Amount


class Head(TypedDict):
    """What tells the other parts apart."""

    kind: Literal["finetune", "pretrain", "evaluate", "retrieval", "baseline"]
    status: Literal["running", "interrupted", "finished"]


class AnyRun(TypedDict):
    """What every record has."""

    created: Time
    task: TaskPart
    model: NamedModel
    seed: Count | None
    config: dict[str, Any]
    data: Data
    hardware: dict[str, Any]
    versions: dict[str, str | None]
    results: NotRequired[Annotated[list[Result], Field(min_length=1)]]
    notes: NotRequired[list[str]]
    inference: NotRequired[dict[str, Amount]]


class LocatedRun(TypedDict):
    """A run of a model from a folder."""

    model: Model
    machine: Machine


class PlainSettings(TypedDict):
    """Settings that are words and numbers alone."""

    config: dict[str, Setting]


class TrainedRun(TypedDict):
    """A training of a network."""

    seed: Count
    study: NotRequired[Study | None]
    init: Literal["plain"] | Start
    recipe: Recipe
    config: Settings
    request: StoredRequest
    parameters: Parameters


class PretrainedRun(TypedDict):
    """A training on text alone."""

    request: PretrainingRequest


class LabelledRun(TypedDict):
    """A fine-tuning on a labelled task."""

    data: LabelledData


class Evaluated(TypedDict):
    """Settings of an evaluation of labels."""

    max_length: Count


class EvaluatedRun(TypedDict):
    """An evaluation of labels."""

    config: Evaluated


class FinishedRun(TypedDict):
    """What has scores."""

    results: Annotated[list[Result], Field(min_length=1)]


class FinishedTraining(TypedDict):
    """A training with its model."""

    training: Training
    inference: dict[str, Amount]
    notes: list[str]
    model_files: Annotated[dict[str, Digest], Field(min_length=1)]


class ProtocolPart(TypedDict):
    """How retrieval was measured."""

    name: str


class SearchSettings(TypedDict):
    """Settings of an evaluation of retrieval."""

    protocol: ProtocolPart
    max_length: Count
    passages: Count


class RetrievalRun(TypedDict):
    """An evaluation of retrieval."""

    config: SearchSettings
    truncated: Amount
    notes: list[str]


class BaselineRun(TypedDict):
    """A model without a network."""

    request: StoredRequest
    training: Effort


PARTS: dict[str, tuple[Any, ...]] = {
    "finetune": (LocatedRun, PlainSettings, TrainedRun),
    "pretrain": (LocatedRun, PlainSettings, TrainedRun, PretrainedRun),
    "evaluate": (LocatedRun, EvaluatedRun),
    "retrieval": (LocatedRun, RetrievalRun),
    "baseline": (BaselineRun,),
}


def check_record(record: dict[str, Any], where: str) -> None:
    """Check a run's record. Raises BadRun, naming the key, for what is missing or cannot be."""
    for part in (Head, AnyRun):
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
        *([LabelledRun] if labelled else []),
        *([FinishedRun] if finished else []),
        *([FinishedTraining] if finished and kind in TRAININGS else []),
    ]
