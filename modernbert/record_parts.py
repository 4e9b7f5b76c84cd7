"""The parts that records of runs (`run.json`) are made of, whatever its kind (see `record_schema`)."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import AfterValidator, Field, FiniteFloat
from typing_extensions import TypedDict

from modernbert.data.cells import Form

LARGEST = 2**63 - 1
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Amount = Annotated[FiniteFloat, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d")]
Setting = str | bool | Annotated[int, Field(ge=-LARGEST, le=LARGEST)] | FiniteFloat | list[str | int] | None
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Task(TypedDict):
    """What is predicted, and how it is scored."""

    name: Text
    kind: Literal["single_label", "multi_label", "regression", "retrieval", "pretraining"]
    labels: list[str]
    metrics: Annotated[list[str], Field(min_length=1)]
    positive: NotRequired[str]


class NamedModel(TypedDict):
    """A model by its name."""

    name: Text


class Model(NamedModel):
    """A model, and where it was found."""

    found_in: str
    revision: str
    family: str
    folder: NotRequired[str]
    weights: NotRequired[str]
    training: NotRequired[TrainingFacts | None]


class Split(TypedDict):
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
    """What was trained or scored on."""

    splits: Annotated[dict[str, Split], Field(min_length=1)]
    report: NotRequired[DataReport | None]


class Cells(TypedDict):
    """How the label column is read."""

    form: Form
    separator: str
    size: Count


class LabelledData(Data):
    """Labelled data, and its columns."""

    text: Annotated[list[str], Field(min_length=1, max_length=2)]
    label: Text
    cluster: NotRequired[str]
    cells: NotRequired[Cells]


class Score(TypedDict):
    """One measured value with its interval."""

    metric: Text
    value: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None
    n: Annotated[int, Field(ge=1, le=LARGEST)]
    interval: str


class Result(TypedDict):
    """The scores of one split, or of one way to search it."""

    split: Text
    scores: Annotated[list[Score], Field(min_length=1)]
    calibration: NotRequired[list[Score]]
    calibrated: NotRequired[list[Score]]
    notes: NotRequired[list[str]]
    system: NotRequired[Text]
    parts: NotRequired[list[Literal["encoder", "bm25", "reranker"]]]
    note: NotRequired[str]


class Machine(TypedDict):
    """What it was computed on."""

    device: str
    precision: str


class Recipe(TypedDict):
    """Where settings come from."""

    name: str


class Start(TypedDict):
    """What a training started from, where that was another training."""

    name: str
    found_in: str
    training: NotRequired[TrainingFacts | None]


class Study(TypedDict):
    """The runs that one command made."""

    name: Text
    targets: list[str]
    seeds: list[Count]
    folds: NotRequired[Count]


class _Schedule(TypedDict):
    epochs: Amount


class _Optimizer(TypedDict):
    batch_size: Count
    learning_rate: Amount


class _DataSettings(TypedDict):
    max_length: Count


class _EvaluationSettings(TypedDict):
    keep: Literal["best", "last"]


class _RunSettings(TypedDict):
    seed: Count


class _ModelSettings(TypedDict):
    random_weights: bool


class _Lora(TypedDict):
    enabled: bool


class _RetrievalSettings(TypedDict):
    head: str


class Settings(TypedDict):
    """What a training was carried out with."""

    schedule: _Schedule
    optimizer: _Optimizer
    data: _DataSettings
    evaluation: _EvaluationSettings
    run: _RunSettings
    model: _ModelSettings
    lora: _Lora
    retrieval: NotRequired[_RetrievalSettings]


class TrainingFacts(TypedDict):
    """How a model was trained, as records carry it that are not of the training itself (see `lineage`)."""

    run: Text
    created: Time
    task: Text
    kind: str
    seed: Count
    model: NamedModel
    init: Literal["plain"] | Start
    recipe: str
    config: Settings
    settings: dict[str, Setting]
    limit: Count
    data: str | None
    chosen_on: Text
    precision: str
    versions: dict[str, str | None]


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
    cluster: NotRequired[str | None]
    kind: Literal["single_label", "multi_label", "regression", "retrieval"] | None
    device: str
    precision: str
    limit: Count
    name: str | None


class PretrainingRequest(StoredRequest):
    """What the user asked for, of pretraining."""

    files: Annotated[list[str], Field(min_length=1)]
    scratch: str | None
    vocabulary: Count
    teacher: NotRequired[str | None]


class Parameters(TypedDict):
    """How many parameters."""

    trained: Count
    frozen: Count


class Evaluation(TypedDict):
    """What validation said at one step."""

    step: Count
    metrics: Annotated[dict[str, FiniteFloat], Field(min_length=1)]


def _same_metrics(history: list[Evaluation]) -> list[Evaluation]:
    """Raise ValueError unless every evaluation has the same metrics."""
    if any(entry["metrics"].keys() != history[0]["metrics"].keys() for entry in history):
        raise ValueError("evaluations differ in their metrics")
    return history


History = Annotated[list[Evaluation], AfterValidator(_same_metrics)]


class Effort(TypedDict):
    """What it took."""

    minutes: Amount
    peak_memory_mib: Annotated[dict[str, Amount], Field(min_length=1)]


class Training(Effort):
    """How a training went."""

    steps: Count
    planned_steps: Count
    best_step: Annotated[int, Field(ge=-1, le=LARGEST)]
    history: Annotated[History, Field(min_length=1)]
    tokens: Count
    tokens_per_second: Amount
