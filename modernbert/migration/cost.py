"""What both models cost: the cells that the screens and the reports show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from modernbert.evaluation.shown import share_text
from modernbert.records.export import Speed

COLUMNS = ("model", "p50 ms", "p95 ms", "p99 ms", "texts/s", "tokens/s", "MB", "reads tokens", "truncated")


class Costed(Protocol):
    """One of both models."""

    @property
    def max_length(self) -> int:
        """Tokens that it reads."""

    @property
    def truncated(self) -> float:
        """Share of the texts that are longer."""

    @property
    def megabytes(self) -> float:
        """Size of its weights."""

    @property
    def more(self) -> dict[str, str]:
        """Further columns, for its kind."""


def cost_table(
    names: Sequence[str], models: Sequence[Costed], speed: Sequence[Speed]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the columns and a row for each model; all columns but the first are numbers."""
    rows = (_row(*each) for each in zip(names, models, speed, strict=True))
    return (*COLUMNS, *models[0].more), tuple(rows)


def _row(name: str, model: Costed, speed: Speed) -> tuple[str, ...]:
    return (
        name,
        *(f"{wait:.1f}" for wait in (speed.p50_ms, speed.p95_ms, speed.p99_ms)),
        f"{speed.texts_per_second:,.1f}",
        f"{speed.tokens_per_second:,.0f}",
        f"{model.megabytes:,.0f}",
        f"{model.max_length:,}",
        share_text(model.truncated),
        *model.more.values(),
    )


def megabytes_of(folder: Path) -> float:
    """Return the size of a model's weights."""
    patterns = ("*.safetensors", "*.bin", "onnx/*", "openvino/*")
    return sum(path.stat().st_size for pattern in patterns for path in folder.glob(pattern)) / 1e6
