"""What a training run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found: all metrics, the one that selects, and anything to call out."""

    metrics: Mapping[str, float]
    main: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepReport:
    """One progress line. `loss` is the mean since the last line; `tokens_per_second` counts no padding."""

    step: int
    total: int
    epoch: float
    loss: float
    rate: float
    gradient_norm: float
    tokens_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class EvaluationReport:
    """One evaluation, at `step` of `total`."""

    step: int
    total: int
    evaluation: Evaluation
    is_best: bool


@dataclass(frozen=True)
class Notice:
    """Something the user should know, while training goes on."""

    text: str


Observe = Callable[[StepReport | EvaluationReport | Notice], None]
