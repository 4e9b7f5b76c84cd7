"""Scores, as they are computed, kept and shown."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat

from modernbert.records.base import LARGEST, Count, Part, Text


class Score(Part):
    """One measured value.

    Attributes:
        metric: its name.
        value: a share from 0 to 1, a correlation from -1 to 1, or an error in the label's unit.
        low, high: the 95 % interval over examples (seeds are another source of noise); None where the data
            cannot say.
        n: examples.
        interval: how the interval was made.
    """

    metric: Text
    value: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None
    n: Annotated[int, Field(ge=1, le=LARGEST)]
    interval: str

    def __str__(self) -> str:
        """Return it as a line: `accuracy 0.8932 (0.8436 to 0.9284), n 206`."""
        known = self.low is not None and self.high is not None
        interval = f" ({self.low:.4f} to {self.high:.4f})" if known else ""
        return f"{self.metric} {self.value:.4f}{interval}, n {self.n:,}"


class LabelScore(Part):
    """One label's figures on one split, of several labels a text or of tagged words.

    Attributes:
        label: its name.
        n: texts that have it, or entities of it.
        threshold: the label is given where its probability is greater; None of entities.
        precision, recall, f1: at that threshold.
        average_precision: over all thresholds; None where no text has the label, and of entities.
    """

    label: str
    n: Count
    threshold: FiniteFloat | None = None
    precision: FiniteFloat
    recall: FiniteFloat
    f1: FiniteFloat
    average_precision: FiniteFloat | None = None


SearchPart = Literal["encoder", "bm25", "reranker"]


class SplitScores(Part):
    """The scores of one split, or of one way to search it.

    Attributes:
        split: its name.
        scores: one for each metric, the main one first.
        mean: for numbers, what predicting the training labels' mean for every text scores.
        labels: for several labels a text and for tagged words, the figures of each.
        calibration: for one label a text, whether the model is right as often as it says.
        calibrated: the same with the task's temperature; empty where none was fitted.
        notes: what a reader should know of them.
        system: the way to search, by name.
        parts: what it searches with.
        note: what a reader should know of the way to search.
    """

    split: Text
    scores: Annotated[tuple[Score, ...], Field(min_length=1)]
    mean: tuple[Score, ...] = ()
    labels: tuple[LabelScore, ...] = ()
    calibration: tuple[Score, ...] = ()
    calibrated: tuple[Score, ...] = ()
    notes: tuple[str, ...] = ()
    system: Annotated[str | None, Field(min_length=1)] = None
    parts: tuple[SearchPart, ...] | None = None
    note: str = ""

    @classmethod
    def of(
        cls,
        split: str,
        scores: tuple[Score, ...],
        notes: tuple[str, ...] = (),
        *,
        mean: tuple[Score, ...] = (),
        labels: tuple[LabelScore, ...] = (),
        calibration: tuple[Score, ...] = (),
        calibrated: tuple[Score, ...] = (),
    ) -> Self:
        """Return the scores of a split."""
        return cls(
            split=split,
            scores=scores,
            notes=notes,
            mean=mean,
            labels=labels,
            calibration=calibration,
            calibrated=calibrated,
        )

    @property
    def main(self) -> Score:
        """The main metric's score."""
        return self.scores[0]
