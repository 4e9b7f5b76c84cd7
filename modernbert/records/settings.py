"""What a record says of the settings that a run was carried out with."""

from __future__ import annotations

from typing import Literal

from modernbert.records.base import Amount, Config, Count, Part, Setting


class Section(Part):
    """Settings of one kind; every one that is not named here is there too."""

    __pydantic_extra__: dict[str, Setting]


class ScheduleSettings(Section):
    """How long."""

    epochs: Amount


class OptimizerSettings(Section):
    """How each step is taken."""

    batch_size: Count
    learning_rate: Amount


class DataSettings(Section):
    """How texts are read."""

    max_length: Count


class SelectionSettings(Section):
    """Which step is kept."""

    keep: Literal["best", "last"]


class RunSettings(Section):
    """What is of one run."""

    seed: Count


class ModelSettings(Section):
    """How the model starts."""

    random_weights: bool


class LoraSettings(Section):
    """Low-rank adapters."""

    enabled: bool


class DistillationSettings(Section):
    """Whose probabilities are learnt beside the labels; empty for nobody's."""

    teacher: str


class PairSettings(Section):
    """How a pair of texts that gets a number is read."""

    encoder: Literal["cross", "bi"]


class RetrievalSettings(Section):
    """What is trained to search."""

    head: str


class Settings(Config):
    """What a training was carried out with, in the sections of `settings.sections`."""

    __pydantic_extra__: dict[str, dict[str, Setting]]

    schedule: ScheduleSettings
    optimizer: OptimizerSettings
    data: DataSettings
    evaluation: SelectionSettings
    run: RunSettings
    model: ModelSettings
    lora: LoraSettings
    retrieval: RetrievalSettings | None = None
    distillation: DistillationSettings | None = None
    pair: PairSettings | None = None

    @property
    def pairs_apart(self) -> bool:
        """Had each text of a pair a vector of its own?"""
        return self.pair is not None and self.pair.encoder == "bi"

    @property
    def head(self) -> str:
        """What is trained to search: `vectors`, `tokens` or `reranker`; empty for another task."""
        return self.retrieval.head if self.retrieval else ""

    @property
    def teacher(self) -> str:
        """Whose probabilities were learnt beside the labels; empty for nobody's."""
        return self.distillation.teacher if self.distillation else ""


class ScoringSettings(Config):
    """What an evaluation of labels was carried out with."""

    max_length: Count


class StoredProtocol(Part):
    """How a collection was searched (see `evaluation.protocols.Protocol`)."""

    name: str
    titles: bool | None = None
    max_length: int = 0
    identical: bool | None = None


class SearchSettings(Config):
    """What an evaluation of retrieval was carried out with."""

    protocol: StoredProtocol
    max_length: Count
    passages: Count
