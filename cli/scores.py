"""How scores are shown: by training, by evaluation, and of a run that is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from modernbert.evaluation.shown import (
    ROUGH,
    SHOWN,
    interval_text,
    label_columns,
    macro_average,
    method_text,
)

from . import output

if TYPE_CHECKING:
    from modernbert.records.scores import LabelScore, SplitScores


def show_scores(title: str, results: Iterable[SplitScores]) -> None:
    """Print each split's scores with n and interval, beside them what the mean scores, then each label's."""
    results = list(results)
    rows = [
        (
            " ".join(filter(None, (result.split, result.system))),
            score.metric + what,
            f"{score.value:.4f}",
            interval_text(score.low, score.high),
            score.n,
            "rough" if ROUGH in score.interval else "",
            method_text(score.interval),
        )
        for result in results
        for key, what in SHOWN
        for score in getattr(result, key)
    ]
    if rows:
        columns = ("split", "metric", "score", "95 % interval", "n", "note", "interval by")
        rough = () if any(row[-2] for row in rows) else ("note",)
        output.print_table(title, columns, rows, right=("score", "n"), optional=("interval by", *rough))
        if not rough:
            output.print_note(ROUGH)
    for result in results:
        if result.labels:
            _show_labels(result.split, result.labels)


def memory_text(peak: Mapping[str, float]) -> str:
    """Return the peak memory of a training in words."""
    return ", ".join(f"{value:,.0f} MiB ({name})" for name, value in peak.items())


def _show_labels(split: str, labels: Sequence[LabelScore]) -> None:
    numbers, means = label_columns(labels), macro_average(labels)
    rows = [(label.label, *(_number(getattr(label, name)) for name in numbers)) for label in labels]
    averages = (_number(means[name]) if name in means else "" for name in numbers)
    rows.append(("macro average", *averages))
    output.print_table(f"\n{split}, label by label", ("label", *numbers), rows, right=numbers)


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
