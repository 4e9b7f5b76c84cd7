"""How an interval is written, wherever one is shown."""

from __future__ import annotations

# Where the data cannot say how sure a score is.
NOT_ESTIMABLE = "-"
# Scores of a result that are shown below each other, and what is added to their names.
SHOWN = (("scores", ""), ("mean", ", predicting the mean"), ("calibration", ""))


def interval_text(low: float | None, high: float | None, form: str = ".4f") -> str:
    """Return `0.8005 to 0.8433`, or a dash where no interval can be estimated."""
    if low is None or high is None:
        return NOT_ESTIMABLE
    return f"{low:{form}} to {high:{form}}"
