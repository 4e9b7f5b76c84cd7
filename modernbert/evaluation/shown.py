"""How an interval is written, wherever one is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modernbert.records.scores import LabelScore

# Of a share; z: never "-0.00%".
SHARE = "z.2%"
# Where the data cannot say how sure a score is.
NOT_ESTIMABLE = "-"
# Of an interval whose method holds less well than 95 % sounds.
ROUGH = "rough: few examples decide"
# Scores of a result that are shown below each other, and what is added to their names.
SHOWN = (
    ("scores", ""),
    ("mean", ", predicting the mean"),
    ("calibration", ""),
    ("calibrated", ", with temperature"),
)
# A label's figures that have a mean over labels.
AVERAGED = ("precision", "recall", "f1", "average_precision")


def label_columns(labels: Sequence[LabelScore]) -> tuple[str, ...]:
    """Return which figures labels have: entities have neither a threshold nor an average precision."""
    if all(label.threshold is None for label in labels):
        return "n", "precision", "recall", "f1"
    return "n", "threshold", "precision", "recall", "f1", "average_precision"


def macro_average(labels: Sequence[LabelScore]) -> dict[str, float | None]:
    """Return the mean of each figure over the labels that have it; None where none has."""
    found = {name: [getattr(label, name) for label in labels] for name in AVERAGED}
    known = {name: [value for value in values if value is not None] for name, values in found.items()}
    return {name: sum(values) / len(values) if values else None for name, values in known.items()}


def interval_text(low: float | None, high: float | None, form: str = ".4f") -> str:
    """Return `0.8005 to 0.8433`, or a dash where no interval can be estimated."""
    if low is None or high is None:
        return NOT_ESTIMABLE
    return f"{low:{form}} to {high:{form}}"


def share_text(share: float) -> str:
    """Return `95.31%`."""
    return f"{share:{SHARE}}"


def method_text(method: str) -> str:
    """Return how an interval was made, without what its column and its note say already."""
    return method.removesuffix(f", {ROUGH}").replace(" 95 %", "")
