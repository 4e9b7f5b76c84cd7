"""All settings of a training in one frozen config; a recipe fills it, a TOML file and options override it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_type_hints

from modernbert.errors import BadOption
from modernbert.settings.distillation import DistillationConfig
from modernbert.settings.fields import (
    CLASSIFICATION,
    PRETRAINING,
    RETRIEVAL,
    TOKENS,
    Setting,
    describe,
    require,
)
from modernbert.settings.pretraining import (
    MaskingConfig,
    PretrainingDataConfig,
    PretrainingEvaluationConfig,
    PretrainingModelConfig,
    PretrainingOptimizerConfig,
    PretrainingScheduleConfig,
)
from modernbert.settings.sections import (
    ClassesConfig,
    DataConfig,
    EvaluationConfig,
    LoraConfig,
    MemoryConfig,
    ModelConfig,
    OptimizerConfig,
    PairConfig,
    RetrievalConfig,
    RunConfig,
    ScheduleConfig,
)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The settings of a classifier's or a regression's training."""

    task: ClassVar[str] = CLASSIFICATION

    schedule: ScheduleConfig = ScheduleConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    data: DataConfig = DataConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    classes: ClassesConfig = ClassesConfig()
    pair: PairConfig = PairConfig()
    distillation: DistillationConfig = DistillationConfig()
    memory: MemoryConfig = MemoryConfig()
    run: RunConfig = RunConfig()
    model: ModelConfig = ModelConfig()
    lora: LoraConfig = LoraConfig()

    def __post_init__(self) -> None:
        if self.lora.enabled and self.model.random_weights:
            raise BadOption(
                "--lora and --random-weights exclude each other: adapters need pretrained weights",
                fix="Leave one of them out.",
            )
        if self.distillation.teacher and self.classes.weights != "none":
            raise BadOption(
                "--teacher and --class-weights exclude each other: probabilities are learnt as they are",
                fix="Leave one of them out, or weigh the classes when the teacher is trained.",
            )

    def with_values(self, values: Mapping[str, Any], *, source: str | None = None) -> Self:
        """Return a copy with `values`, by the settings' names, in place.

        Args:
            values: such as `{"lora_rank": 8}`.
            source: where they come from, for messages.

        Raises:
            BadOption: a name is unknown or does not apply to this kind of training, or a value has the wrong
                type or is out of range.
        """
        changed: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            found = find_setting(type(self), name, source)
            require(found, value, source)
            typed = tuple(value) if isinstance(found.default, tuple) else value
            changed.setdefault(found.section, {})[found.attribute] = typed
        sections = {name: dataclasses.replace(getattr(self, name), **v) for name, v in changed.items()}
        return dataclasses.replace(self, **sections)

    def by_name(self) -> dict[str, Any]:
        """Return every setting that applies to this kind of training, by its name."""
        return {
            name: getattr(getattr(self, found.section), found.attribute)
            for name, found in settings_of(type(self)).items()
        }

    def acting(self) -> dict[str, Any]:
        """Return, by name, the settings that do something beside the others (see `acting`)."""
        return acting(self.by_name(), settings_of(type(self)))

    def require_effect(self, given: Iterable[str]) -> None:
        """Raise BadOption, with the reason, for the first of the `given` settings that has no effect here."""
        values = self.by_name()
        for name in given:
            if why := settings_of(type(self))[name].why_without_effect(values):
                raise BadOption(why, fix="Leave it out, or set both.")

    def as_dict(self) -> dict[str, Any]:
        """Return the values as plain data, section by section."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class RetrievalTrainingConfig(TrainingConfig):
    """The settings of a training for retrieval."""

    task: ClassVar[str] = RETRIEVAL

    retrieval: RetrievalConfig = RetrievalConfig()


@dataclass(frozen=True, kw_only=True)
class TokenTrainingConfig(TrainingConfig):
    """The settings of a training to tag words."""

    task: ClassVar[str] = TOKENS


@dataclass(frozen=True, kw_only=True)
class FineTuningConfig(RetrievalTrainingConfig):
    """The settings of any fine-tuning, before it is known what is trained: those that options are made of."""

    task: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True)
class PretrainingConfig(TrainingConfig):
    """The settings of masked language modelling."""

    task: ClassVar[str] = PRETRAINING

    schedule: PretrainingScheduleConfig = PretrainingScheduleConfig()
    optimizer: PretrainingOptimizerConfig = PretrainingOptimizerConfig()
    data: PretrainingDataConfig = PretrainingDataConfig()
    evaluation: PretrainingEvaluationConfig = PretrainingEvaluationConfig()
    model: PretrainingModelConfig = PretrainingModelConfig()
    masking: MaskingConfig = MaskingConfig()


CONFIGS: tuple[type[TrainingConfig], ...] = (
    TrainingConfig,
    RetrievalTrainingConfig,
    TokenTrainingConfig,
    PretrainingConfig,
)


def _described(config: type[TrainingConfig]) -> dict[str, Setting]:
    hints = get_type_hints(config)
    return {
        found.name: found
        for section in dataclasses.fields(config)
        for found in describe(section.name, hints[section.name])
        if {config.task or CLASSIFICATION, config.task or RETRIEVAL} & {*found.applies_to.tasks}
    }


_SETTINGS = {config: _described(config) for config in (*CONFIGS, FineTuningConfig)}
_EVERY = {name: found for described in _SETTINGS.values() for name, found in described.items()}


def settings_of(config: type[TrainingConfig]) -> Mapping[str, Setting]:
    """Return, by name, the settings that apply to a config's kind of training."""
    return _SETTINGS[config]


def every_setting() -> Mapping[str, Setting]:
    """Return, by name, the settings of all kinds of training."""
    return _EVERY


def acting(values: Mapping[str, Any], known: Mapping[str, Setting]) -> dict[str, Any]:
    """Return those of the `values`, by name, that do something: neither off, nor of something that is off."""
    return {
        name: value
        for name, value in values.items()
        if name not in known or not (known[name].is_off(value) or known[name].why_without_effect(values))
    }


def find_setting(config: type[TrainingConfig], name: str, source: str | None = None) -> Setting:
    """Return a setting of a config by name. Raises BadOption for one that it does not have."""
    known = settings_of(config)
    if name in known:
        return known[name]
    if other := every_setting().get(name):
        raise BadOption(
            f"{other.option} applies only to {other.applies_to}", where=source, fix="Leave it out."
        )
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(sorted(known))}."
    raise BadOption(f"unknown setting '{name}'", where=source, fix=hint)
