"""What a record says of a model, of how it was trained, and of what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat

from modernbert.records.base import LARGEST, Amount, Count, Part, Setting, Text, Time
from modernbert.records.settings import Settings


class Model(Part):
    """A model, and where it was found, if that is known.

    Attributes:
        name: what the user called it.
        found_in: such as `Hub owner/name`; empty for what is no network.
        revision: a Hub commit, a package's version, or a run's name.
        family: which recipe it takes.
        folder: where its files lay.
        weights: the revision, or the files' checksum where that does not say which weights these are.
        base: the model under an adapter.
        training: how it was trained; None where it came as it is.
        about: one line, of what is no network.
    """

    name: Text
    found_in: str = ""
    revision: str = ""
    family: str = ""
    folder: str = ""
    weights: str = ""
    base: Model | None = None
    training: TrainingFacts | None = None
    about: str = ""


class LocatedModel(Model):
    """A model that was loaded from a folder."""

    found_in: str
    revision: str
    family: str


class StoredMachine(Part):
    """What it was computed on, and why."""

    device: str
    precision: str
    device_reason: str = ""
    precision_reason: str = ""


class StoredAttention(Part):
    """Which implementation of attention was used, and why."""

    backend: str
    reason: str


class StoredRecipe(Part):
    """Where settings come from (see `training.recipes.Recipe`)."""

    name: str
    source: str = ""


class StoredStudy(Part):
    """The runs that one command made; `folds` of cross-validation, 0 for none."""

    name: Text
    targets: tuple[str, ...]
    seeds: tuple[Count, ...]
    folds: Count = 0


class TrainingFacts(Part):
    """How a model was trained, for whoever evaluates it, or starts from it.

    A training's record says it of itself. The record of an evaluation, and of a training that started from
    another run, carries it in the model's entry (`training`), so that nobody has to look for that run again.
    """

    run: Text
    created: Time
    task: Text
    kind: str
    seed: Count
    model: Model
    init: Literal["plain"] | Model
    recipe: str
    config: Settings
    settings: dict[str, Setting]
    limit: Count
    data: str | None
    chosen_on: Text
    precision: str
    versions: dict[str, str | None]


class StoredRequest(Part):
    """What the user asked for (see `training.inputs.Request`)."""

    target: Text
    model: Text
    recipe: str
    settings: dict[str, Setting]
    init_from: str | None
    data_dir: str | None
    validation: str | None
    test: str | None
    text: tuple[str, ...]
    label: str | None
    cluster: str | None = None
    kind: Literal["single_label", "multi_label", "regression", "retrieval", "tokens"] | None
    device: str
    precision: str
    fold: tuple[Count, Count] | None = None
    limit: Count
    name: str | None
    tags: tuple[str, ...] = ()


class StoredPretrainingRequest(StoredRequest):
    """What the user asked for, of pretraining (see `pretraining.inputs.PretrainingRequest`)."""

    files: Annotated[tuple[str, ...], Field(min_length=1)]
    scratch: str | None
    vocabulary: Count
    teacher: str | None = None


class Parameters(Part):
    """How many parameters."""

    trained: Count
    frozen: Count


class Evaluation(Part):
    """What validation said at one step."""

    step: Count
    metrics: Annotated[dict[str, FiniteFloat], Field(min_length=1)]


def require_same_metrics(metrics: list[Mapping[str, float]]) -> None:
    """Raise ValueError unless every evaluation has the same metrics."""
    if any(found.keys() != metrics[0].keys() for found in metrics):
        raise ValueError("evaluations differ in their metrics")


def _same_metrics(history: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
    require_same_metrics([entry.metrics for entry in history])
    return history


class Effort(Part):
    """What a training took; memory is by where it lies (`process`, a device)."""

    minutes: Amount
    peak_memory_mib: Annotated[dict[str, Amount], Field(min_length=1)]


class Training(Effort):
    """How a training went.

    Attributes:
        best_step: the step of the best evaluation; -1 for none.
        history: every evaluation, the first at step 0.
    """

    steps: Count
    planned_steps: Count
    best_step: Annotated[int, Field(ge=-1, le=LARGEST)]
    history: Annotated[tuple[Evaluation, ...], Field(min_length=1), AfterValidator(_same_metrics)]
    tokens: Count
    tokens_per_second: Amount
