"""Look at a task's data before training: labels, empties, duplicates, truncation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from modernbert.data.examples import Examples
from modernbert.data.label_check import label_warnings
from modernbert.data.special_tokens import special_token_warnings
from modernbert.data.splits import text_key
from modernbert.data.task import Task
from modernbert.data.tokens import TokenLengths
from modernbert.wording import counted, percent

# A share of cut texts above this is worth a warning.
TRUNCATION_WARNING = 0.05


@dataclass(frozen=True)
class SplitReport:
    """What one split holds.

    Attributes:
        labels: how often each label occurs; for regression, {"min", "mean", "max"}.
        empty: texts that are blank.
        tokens: {"p50", "p95", "max"} of whole texts, if a tokenizer was given.
        truncated: share of texts longer than the maximum length, if one was given.
    """

    split: str
    rows: int
    labels: dict[str, float]
    empty: int
    tokens: dict[str, int] = field(default_factory=dict)
    truncated: float | None = None


@dataclass(frozen=True)
class DataReport:
    """All splits, and what a careful reader should know."""

    task: str
    splits: tuple[SplitReport, ...]
    warnings: tuple[str, ...]
    max_length: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def check_data(
    task: Task,
    splits: Mapping[str, Examples],
    *,
    lengths: Mapping[str, TokenLengths] | None = None,
    max_length: int | None = None,
    tokenizer: Any = None,
) -> DataReport:
    """Describe the splits (training first) and collect warnings.

    Args:
        task: the task.
        splits: its labelled splits, read already: unreadable rows have raised before.
        lengths: token counts by split, if a tokenizer is at hand.
        max_length: the length at which texts will be cut.
        tokenizer: the model's, whose special tokens are looked for in the texts.
    """
    measured = lengths or {}
    reports = tuple(
        _report(task, name, examples, measured.get(name), max_length) for name, examples in splits.items()
    )
    warnings = _duplicate_warnings(task, splits)
    if task.kind != "regression":
        warnings = [*label_warnings(task, {r.split: r.labels for r in reports}, splits), *warnings]
    if tokenizer is not None:
        warnings += special_token_warnings(tokenizer, {name: part.texts for name, part in splits.items()})
    for report in reports:
        if report.empty:
            warnings.append(f"{report.split}: {report.empty} of {report.rows} rows have no text")
    warnings += truncation_warnings(reports, max_length)
    return DataReport(task.name, reports, tuple(warnings), max_length)


def truncation_warnings(
    reports: Sequence[SplitReport],
    max_length: int | None,
    what: str = "texts",
    *,
    least: float = TRUNCATION_WARNING,
) -> list[str]:
    """Return one warning for all splits of which more texts than this share are truncated."""
    cut = {r.split: share for r in reports if (share := r.truncated or 0.0) > least}
    shares = ", ".join(f"{percent(share)} of {split}" for split, share in cut.items())
    return [f"{what} longer than {max_length} tokens are truncated: {shares}"] if cut else []


def _report(
    task: Task, split: str, examples: Examples, lengths: TokenLengths | None, max_length: int | None
) -> SplitReport:
    empty = sum(not any(part.strip() for part in parts) for parts in examples.texts)
    tokens = {}
    if lengths is not None:
        longest = int(lengths.lengths.max(initial=0))
        tokens = {"p50": lengths.quantile(0.5), "p95": lengths.quantile(0.95), "max": longest}
    truncated = lengths.share_over(max_length) if lengths is not None and max_length else None
    return SplitReport(split, len(examples), label_summary(task, examples.labels), empty, tokens, truncated)


def label_summary(task: Task, labels: np.ndarray | None) -> dict[str, float]:
    """Return how often each label occurs, or a regression label's range; empty when hidden."""
    if labels is None or not len(labels):
        return {}
    if task.kind == "regression":
        return {"min": float(labels.min()), "mean": float(labels.mean()), "max": float(labels.max())}
    if task.kind == "multi_label":
        return {name: int(labels[:, i].sum()) for i, name in enumerate(task.labels)}
    counts = Counter(labels.tolist())
    return {name: counts[i] for i, name in enumerate(task.labels)}


def _duplicate_warnings(task: Task, splits: Mapping[str, Examples]) -> list[str]:
    """Texts (letter case and spaces aside) that stand in training and elsewhere, or with two labels."""
    warnings = []
    names = list(splits)
    keys = {name: [text_key(parts) for parts in examples.texts] for name, examples in splits.items()}
    seen = set(keys[names[0]]) if names else set()
    for name in names[1:]:
        again = sum(key in seen for key in keys[name])
        if again:
            warnings.append(
                f"{name}: {again} of {len(keys[name])} rows are also in {names[0]}; they count in the scores"
            )
    if names and task.kind == "single_label" and splits[names[0]].labels is not None:
        pairs = set(zip(keys[names[0]], splits[names[0]].labels.tolist(), strict=True))  # type: ignore[union-attr]
        torn = len(pairs) - len({key for key, _ in pairs})
        if torn:
            occur = counted(torn, "text occurs", "texts occur")
            warnings.append(f"{names[0]}: {occur} with different labels")
    return warnings
