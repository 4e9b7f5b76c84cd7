"""How the accuracy changes from OLD to NEW: it can change only where their answers differ.

Each text adds 1 (NEW alone is right), -1 (OLD alone is right) or 0. Without labels the change lies between
minus and plus the share of flips. With labels for some of the flips, drawn at random among them, it is
estimated by two-phase (double) sampling: the flips are known for all texts, the gain for some (Cochran
1977, chapter 12).

Shape suffixes: N texts, M labelled flips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from modernbert.evaluation.statistics import LEVEL, wilson
from modernbert.migration.texts import UNKNOWN

# An interval of a few labelled flips says little: fewer are not used.
FEWEST = 5
# Numbers of labels for which it is told how much they would say.
PLANS = (30, 100, 300, 1000)


@dataclass(frozen=True)
class Change:
    """The change of the accuracy, NEW less OLD.

    Attributes:
        value: the estimate; None without enough labelled flips.
        low, high: of 95 %. Without an estimate, what is possible: no more than the share of flips, at the
            upper end of its own interval.
        flips: texts with another answer.
        labelled: how many of these have a label.
        won, lost: of these, where NEW alone, and where OLD alone, is right.
        needed: labels of flips, drawn at random, with which the change is known to `margin` or better,
            whatever they say; those that are there are part of it. 0 where no label is needed; None where all
            flips together do not suffice.
        margin: the half width that `needed` is for.
        widths: the half width, in the worst case, by how many flips are labelled.
    """

    value: float | None
    low: float
    high: float
    flips: int
    labelled: int
    won: int
    lost: int
    needed: int | None
    margin: float
    widths: dict[int, float]


def change_of_accuracy(
    old_N: np.ndarray, new_N: np.ndarray, labels_N: np.ndarray, *, margin: float
) -> Change:
    """Return what is known of the change.

    Args:
        old_N, new_N: answers.
        labels_N: true labels, `UNKNOWN` where there is none; those of flips are a random sample of the flips.
        margin: the half width to which the change should be known.
    """
    flipped_N = old_N != new_N
    n, flips = len(old_N), int(flipped_N.sum())
    told_N = flipped_N & (labels_N != UNKNOWN)
    gains_M = (new_N == labels_N)[told_N].astype(float) - (old_N == labels_N)[told_N]
    most = wilson(flips / n, n)[1]
    low, high, value = -most, most, None
    if len(gains_M) >= min(FEWEST, flips) and flips:
        value = flips / n * float(gains_M.mean())
        half = _half_width(gains_M, flips, n)
        low, high = max(low, value - half), min(high, value + half)
    elif not flips:
        value = 0.0
    return Change(
        value=value if value is None else value + 0.0,  # never -0.0
        low=low + 0.0,
        high=high + 0.0,
        flips=flips,
        labelled=len(gains_M),
        won=int((gains_M > 0).sum()),
        lost=int((gains_M < 0).sum()),
        needed=labels_needed(flips, n, margin),
        margin=margin,
        widths={m: worst_half_width(m, flips, n) for m in sorted({*PLANS, flips}) if FEWEST <= m <= flips},
    )


def _half_width(gains_M: np.ndarray, flips: int, n: int) -> float:
    """Return half the 95 % interval of the change in production.

    The variance of the gain of one flip is that with half a text added to each side (Agresti & Min 2005), so
    that a few labels that all say the same do not look certain.
    """
    m, share = len(gains_M), flips / n
    padded = np.concatenate([gains_M, [1.0, -1.0]])
    weights = np.concatenate([np.ones(m), [0.5, 0.5]])
    mean = float(np.average(padded, weights=weights))
    square = float(np.average(padded**2, weights=weights))
    variance = share * square - (share * mean) ** 2  # of what one text adds
    within = square - mean**2
    total = variance / n + share**2 * within * (1 / m - 1 / flips)
    return float(stats.t.ppf(LEVEL, max(m - 1, 1))) * math.sqrt(max(total, 0.0))


def worst_half_width(m: int, flips: int, n: int) -> float:
    """Return the half width with `m` labelled flips where gains are 1 and -1 with the same chance."""
    share = flips / n
    return float(stats.t.ppf(LEVEL, m - 1)) * math.sqrt(share / n + share**2 * (1 / m - 1 / flips))


def labels_needed(flips: int, n: int, margin: float) -> int | None:
    """Return how many flips to label so that the half width is at most `margin`, in the worst case.

    Worst is a gain that is 1 or -1 with the same chance: its variance is 1.
    """
    if not flips:
        return 0
    share = flips / n
    z = float(stats.norm.ppf(LEVEL))
    left = (margin / z) ** 2 - share / n
    if left <= 0:
        return None
    return min(flips, math.ceil(1 / (left / share**2 + 1 / flips)))


def to_label(old_N: np.ndarray, new_N: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
    """Return the places of the flips without a label in the order in which to label them: a random one.

    In any other order those that were labelled first would not stand for the rest.
    """
    open_M = np.flatnonzero((old_N != new_N) & (labels_N == UNKNOWN))
    return np.asarray(np.random.default_rng(0).permutation(open_M))
