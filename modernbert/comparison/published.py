"""Scores that others report, to stand beside measured ones; nothing is ever computed with them.

`published.json` holds, for each: model, task, metric as its source names it, score (0 to 1), seeds and
deviation if given, source, and a note on how it was made.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources

PAPER = "arXiv:2412.13663"


@dataclass(frozen=True)
class PublishedScore:
    """One published score.

    Attributes:
        score: 0 to 1.
        differs: in what it is known to differ from the runs beside it; empty if nothing is known to.
    """

    metric: str
    score: float
    source: str
    note: str
    differs: str = ""


@functools.cache
def _table() -> dict[tuple[str, str], list[dict[str, str | float]]]:
    text = resources.files("modernbert.comparison").joinpath("published.json").read_text(encoding="utf-8")
    table: dict[tuple[str, str], list[dict[str, str | float]]] = {}
    for row in json.loads(text):
        table.setdefault((row["model"], row["task"]), []).append(row)
    return table


def published_scores(model: str, task: str, metric: str, recipe: str) -> tuple[PublishedScore, ...]:
    """Return what is published for a model of the catalogue on a task.

    Args:
        model: its short name; one trained with adapters is another model, and has none.
        task: such as `glue/sst2`.
        metric: what the runs beside it report.
        recipe: how these were trained; only the ModernBERT paper's own numbers fit its recipe.
    """
    rows = _table().get((model, task), [])
    return tuple(
        PublishedScore(
            metric=str(row["metric"]),
            score=float(row["score"]),
            source=str(row["source"]),
            note=str(row["note"]),
            differs=_differs(row, metric, recipe),
        )
        for row in rows
    )


def _differs(row: dict[str, str | float], metric: str, recipe: str) -> str:
    found = []
    if row["metric"] != metric:
        found.append("metric")
    copied = "copied" in str(row["note"])
    if recipe != "paper" or copied or not str(row["source"]).startswith(PAPER):
        found.append("recipe")
    return ", ".join(found)
