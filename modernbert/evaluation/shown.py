"""How an interval is written, wherever one is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Where the data cannot say how sure a score is.
NOT_ESTIMABLE = "-"
# Scores of a result that are shown below each other, and what is added to their names.
SHOWN = (
    ("scores", ""),
    ("mean", ", predicting the mean"),
    ("calibration", ""),
    ("calibrated", ", with temperature"),
)
# A label's figures that have a mean over labels.
AVERAGED = ("precision", "recall", "f1", "average_precision")


def macro_average(labels: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the mean of each figure over the labels that have it; None where none has."""
    known = {name: [label[name] for label in labels if label[name] is not None] for name in AVERAGED}
    return {name: sum(values) / len(values) if values else None for name, values in known.items()}


def interval_text(low: float | None, high: float | None, form: str = ".4f") -> str:
    """Return `0.8005 to 0.8433`, or a dash where no interval can be estimated."""
    if low is None or high is None:
        return NOT_ESTIMABLE
    return f"{low:{form}} to {high:{form}}"
