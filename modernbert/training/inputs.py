"""What every training needs before its first step: the request, the model, the settings.

What a kind of task adds (its data, its network, its scores) is in `classification` and `retrieval`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from torch import nn

from modernbert.data.task import Kind
from modernbert.data.tokens import TokenLengths, auto_max_length
from modernbert.errors import BadOption
from modernbert.model.device import Machine
from modernbert.model.loading import with_random_weights
from modernbert.model.locate import ModelSource
from modernbert.model.lora import add_lora
from modernbert.records.data import Data, TaskKind
from modernbert.records.scores import SplitScores
from modernbert.records.training import StoredRequest
from modernbert.settings.config import TrainingConfig
from modernbert.training.objectives import Objective, TrainingData
from modernbert.training.recipes import Recipe
from modernbert.training.reports import Evaluation


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for; stored with the run, so that it can be resumed.

    Attributes:
        target: a task's name, a file, a folder, or a Hub data set.
        model, recipe: as `mbert finetune` takes them.
        settings: by name (`lora_rank`), the values that override the recipe's.
        init_from: a run, or a task (`mnli`) whose newest finished run of this model to start from.
        data_dir: the bundle folder.
        cluster: of own data, the column whose equal values make rows belong together.
        fold: of cross-validation, which fold of how many is held out.
        limit: train on this many rows only (the first of a fixed shuffle); 0 for all.
        tags: the user's own words for the run; they change nothing.
    """

    target: str
    model: str
    recipe: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    init_from: str | None = None
    data_dir: str | None = None
    validation: str | None = None
    test: str | None = None
    text: tuple[str, ...] = ()
    label: str | None = None
    cluster: str | None = None
    kind: Kind | Literal["retrieval", "tokens"] | None = None
    device: str = "auto"
    precision: str = "auto"
    fold: tuple[int, int] | None = None
    limit: int = 0
    name: str | None = None
    tags: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain data; `from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, stored: StoredRequest) -> Self:
        """Return a record's request; what other versions kept beside it is left out."""
        known = stored.model_fields_set & cls.__dataclass_fields__.keys()
        return cls(**{name: getattr(stored, name) for name in known})


class TaskSheet(Protocol):
    """What a run keeps about its task: a `Task` or a `RetrievalTask`."""

    @property
    def name(self) -> str:
        """Such as `glue/sst2`."""

    @property
    def summary(self) -> str:
        """One line."""

    @property
    def kind(self) -> TaskKind:
        """What is predicted."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of classes, if there are any."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The main one first."""


class Job(ABC):
    """A loaded model on its device, with its data: what `finetune` trains, saves and scores.

    Attributes:
        model: transformers' model, in peft's wrapper if adapters are trained.
        network: the same weights, taking a `PackedBatch`.
        new_tensors: what the checkpoint did not have.
        objective: how a batch becomes gradients.
        data: what the loop trains on.
        inference: examples and tokens a second of `score`; empty where not measured.
        trained_texts: what it learns from, where that is labelled texts.
        decision: what its answers follow: `thresholds` and `temperature` of a `Task`.
        notes: what a reader of the scores should know.
    """

    model: Any
    network: nn.Module
    new_tensors: tuple[str, ...]
    objective: Objective
    data: TrainingData
    inference: Mapping[str, float] = MappingProxyType({})
    trained_texts: Sequence[tuple[str, ...]] = ()
    decision: Mapping[str, Any] = MappingProxyType({"thresholds": {}})
    notes: Sequence[str] = ()

    @abstractmethod
    def evaluate(self, network: nn.Module) -> Evaluation:
        """Score the validation split, quickly."""

    @abstractmethod
    def save(self, folder: Path) -> float:
        """Save the model, read it back, and return the largest difference of what both give."""

    @abstractmethod
    def score(self) -> tuple[tuple[SplitScores, ...], list[dict[str, Any]]]:
        """Return the scores of every held-out split, and a row for each of their examples."""


@dataclass(frozen=True, kw_only=True)
class Inputs(ABC):
    """A checked request, ready to train; nothing is written yet."""

    request: Request
    task: TaskSheet
    source: ModelSource
    start: ModelSource
    tokenizer: Any
    recipe: Recipe
    config: TrainingConfig
    machine: Machine
    notes: tuple[str, ...]
    run_kind: ClassVar[str] = "finetune"  # what the run's record calls it

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """Return what is shown of the data before training."""

    @property
    @abstractmethod
    def warnings(self) -> tuple[str, ...]:
        """What a careful reader should know of the data."""

    @abstractmethod
    def data_record(self) -> Data:
        """Return what a run keeps of its data."""

    @property
    @abstractmethod
    def job(self) -> str:
        """What is trained, such as `reranker`: a key of `finetuning.jobs.JOBS`."""


def trainable(model: Any, config: TrainingConfig, *, head: bool) -> Any:
    """Return the model as it will be trained: whole, or with adapters or anew when that is asked for."""
    if config.model.random_weights:
        return with_random_weights(model)
    return add_lora(model, config.lora, head=head) if config.lora.enabled else model


def limited(size: int, limit: int) -> Sequence[int]:
    """Return which examples to train on: the first `limit` of a fixed shuffle, in order; 0 for all."""
    order = np.random.default_rng(0).permutation(size)[: limit or None]
    return sorted(order.tolist())


def with_max_length(config: TrainingConfig, lengths: TokenLengths, context: int) -> TrainingConfig:
    """Fill in an automatic maximum length. Raises BadOption when it exceeds the model's context."""
    require_context(config, context)
    return config.with_values({"max_length": config.data.max_length or auto_max_length(lengths, context)})


def require_context(config: TrainingConfig, context: int) -> None:
    """Raise BadOption when the maximum length exceeds the model's context."""
    if config.data.max_length > context:
        raise BadOption(
            f"--max-length {config.data.max_length} exceeds the model's context of {context} tokens",
            fix="Use --max-length auto, or a model with a longer context (`mbert models`).",
        )
