"""OLD's threshold translated for NEW, of two classes: a probability of one model is not one of the other.

Shape suffixes: N texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modernbert.evaluation.thresholds import THRESHOLD, best_threshold
from modernbert.migration.sides import Side
from modernbert.migration.texts import UNKNOWN

# Labelled texts that OLD takes for positive, from which on a precision is worth keeping.
FEWEST = 50


@dataclass(frozen=True)
class Refit:
    """A threshold of NEW's positive class.

    Attributes:
        keeps: what stays as it is with OLD.
        threshold: above it the positive class is given.
        positive_rate: share of the texts that get it then.
        agreement: share of the texts with OLD's answer then.
    """

    keeps: str
    threshold: float
    positive_rate: float
    agreement: float


def refits(old: Side, new: Side, labels_N: np.ndarray) -> tuple[Refit, ...]:
    """Return NEW's own threshold, and those that keep OLD's positive rate, its answers, and its precision."""
    if not old.task.is_binary:
        return ()
    positive = old.task.positive_index
    share_N, given_N = new.shares_NC[:, positive], old.answers_N == positive
    own = new.task.thresholds[positive] if new.task.thresholds else THRESHOLD
    wanted = {
        "NEW's own threshold": own,
        "the positive rate": threshold_for_rate(share_N, float(given_N.mean())),
        "OLD's answers": best_threshold(given_N.astype(int), share_N, "accuracy"),
    }
    known_N = labels_N != UNKNOWN
    if int((given_N & known_N).sum()) >= FEWEST:
        right_N = (labels_N == positive)[known_N]
        precision = float(right_N[given_N[known_N]].mean())
        if (cut := threshold_for_precision(right_N, share_N[known_N], precision)) is not None:
            wanted[f"the precision ({precision:.4f})"] = cut
    return tuple(_refit(keeps, cut, old, new) for keeps, cut in wanted.items())


def answers_at(side: Side, threshold: float) -> np.ndarray:
    """Return the places of the labels that a model of two classes gives at a threshold, shape (N,)."""
    positive = side.task.positive_index
    return np.where(side.shares_NC[:, positive] > threshold, positive, 1 - positive)


def _refit(keeps: str, cut: float, old: Side, new: Side) -> Refit:
    answers_N, positive = answers_at(new, cut), old.task.positive_index
    return Refit(
        keeps, cut, float((answers_N == positive).mean()), float((answers_N == old.answers_N).mean())
    )


def threshold_for_rate(share_N: np.ndarray, rate: float) -> float:
    """Return the threshold above which that share of the probabilities lies: halfway between two of them."""
    falling = np.concatenate([[1.0], np.sort(share_N)[::-1], [0.0]])
    count = round(rate * len(share_N))
    return float((falling[count] + falling[count + 1]) / 2)


def threshold_for_precision(right_N: np.ndarray, share_N: np.ndarray, precision: float) -> float | None:
    """Return the lowest threshold with at least this precision; None where there is none."""
    order = np.argsort(-share_N, kind="stable")
    falling = np.concatenate([share_N[order], [0.0]])
    reached_N = right_N[order].cumsum() / np.arange(1, len(order) + 1) >= precision
    distinct_N = falling[:-1] > falling[1:]
    places = np.flatnonzero(reached_N & distinct_N)
    return float((falling[places[-1]] + falling[places[-1] + 1]) / 2) if len(places) else None
