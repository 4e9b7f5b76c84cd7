"""The settings of pretraining that differ from fine-tuning's, in sections; `sections` has the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from modernbert.ranges import Range
from modernbert.settings.fields import PRETRAINING, AppliesTo, Section, setting
from modernbert.settings.sections import (
    INNER_SHARE,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
)

_IN_PRETRAINING = AppliesTo((PRETRAINING,))


@dataclass(frozen=True, kw_only=True)
class PretrainingScheduleConfig(ScheduleConfig):
    """The same over a corpus."""

    epochs: float = setting("Passes over the corpus, such as 0.1", 1.0, Range(0, 10_000, above=True))
    shape: Literal["linear", "cosine", "trapezoidal"] = setting(
        "Learning-rate schedule after warm-up: linear, cosine or trapezoidal", "trapezoidal", name="schedule"
    )


@dataclass(frozen=True, kw_only=True)
class PretrainingOptimizerConfig(OptimizerConfig):
    """The same over rows of packed texts."""

    batch_size: int = setting("Rows of --max-length tokens per optimiser step", 32, Range(1, 1_000_000))


@dataclass(frozen=True, kw_only=True)
class PretrainingDataConfig(DataConfig):
    """Rows are of one length."""

    max_length: int = setting(
        "Length of a row, and maximum length of a piece of text", 1024, Range(16, 1_000_000), unit="tokens"
    )


@dataclass(frozen=True, kw_only=True)
class PretrainingEvaluationConfig(EvaluationConfig):
    """Evaluations on text that is held out."""

    keep: Literal["best", "last"] = setting(
        "Weights to keep: best (by the score on held-out text) or last", "last"
    )
    held_out: float = setting(
        "Share of texts held out for evaluation", 0.01, INNER_SHARE, applies_to=_IN_PRETRAINING
    )


@dataclass(frozen=True, kw_only=True)
class MaskingConfig(Section):
    """Masked language modelling."""

    panel: ClassVar[str] = "Masked language modelling"

    mask: float = setting(
        "Share of tokens that are masked; 0 (with --teacher): learn its vectors alone",
        0.3,
        Range(0, 1, above=True, below=True, zero=True),
        applies_to=_IN_PRETRAINING,
    )


@dataclass(frozen=True, kw_only=True)
class PretrainingModelConfig(ModelConfig):
    """What pretraining changes of an architecture."""

    rotary_base: float = setting(
        "Rotary base (theta) of ModernBERT's global layers",
        0.0,
        Range(1, 10**12, zero=True),
        zero="the model's own",
        applies_to=_IN_PRETRAINING,
    )
