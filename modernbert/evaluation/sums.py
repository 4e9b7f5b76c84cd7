"""Every metric as a function of sums over examples: from this its value and its interval are computed.

Shape suffixes: N examples, K sums that a metric is made of, L labels, R rows of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from modernbert.errors import BadData
from modernbert.evaluation.confusion import one_label, quotient, several_labels, value_of
from modernbert.evaluation.ranked import average_precision_parts, roc_auc_parts

UNBOUNDED = (-np.inf, np.inf)
SHARE = (0.0, 1.0)
CORRELATION = (-1.0, 1.0)
SHARES = ("accuracy", "exact_match")
# Of the positive class alone.
OF_ONE_CLASS = ("precision", "recall", "f1")
CONFUSION = (*OF_ONE_CLASS, "micro_f1", "macro_f1", "matthews")
# Of how the positive class's scores order the examples.
RANKED = ("average_precision", "roc_auc")
# The values that a metric can have; a metric that is not named here can have any.
BOUNDS = {
    **dict.fromkeys(("spearman", "pearson", "matthews", "teacher_cosine"), CORRELATION),
    **dict.fromkeys((*SHARES, *OF_ONE_CLASS, *RANKED, "micro_f1", "macro_f1", "masked_accuracy"), SHARE),
    **dict.fromkeys(("ndcg_at_10", "mrr_at_10", "map", "recall_at_10", "recall_at_100"), SHARE),
    **dict.fromkeys(("mean_absolute_error", "root_mean_squared_error", "loss"), (0.0, np.inf)),
    "r2": (-np.inf, 1.0),
}
Scale = Literal["share", "bounded", "correlation", "plain"]
# Which cluster each example belongs to.
Clusters = Sequence[Hashable] | None


@dataclass(frozen=True)
class Sums:
    """A metric of one run as a function of sums over examples.

    Attributes:
        parts_NK: what each example adds.
        value: (R, K) sums over any number of examples -> (R,) values.
        bounds: the least and the greatest value that the metric can have; an interval ends there.
        scale: how its interval is made (see `statistics.interval`).
        right_LK, wrong_LK: what a right and a wrong answer to an example of each label would add; empty for
            metrics that are not made of right and wrong answers.
        known: False where the metric is not defined and 0 stands in its place: a correlation with a constant.
        examples: how many there are, where each of the parts is of a cluster of them; 0 where each is of one.
        lost: of a correlation, the examples that the variance on Fisher's scale goes without.
        deciding: of a metric of one class, how many examples make the score: those of the rarer side; 0 where
            all do.
        degrees: of freedom of its variance, where too few examples make it for the normal law; 0 for enough.
    """

    parts_NK: np.ndarray
    value: Callable[[np.ndarray], np.ndarray]
    bounds: tuple[float, float] = UNBOUNDED
    scale: Scale = "plain"
    right_LK: np.ndarray | None = None
    wrong_LK: np.ndarray | None = None
    known: bool = True
    examples: int = 0
    lost: int = 0
    deciding: int = 0
    degrees: int = 0

    @property
    def n(self) -> int:
        """Examples."""
        return self.examples or len(self.parts_NK)

    @property
    def measured(self) -> float:
        """The metric over all examples."""
        return float(self.value(self.parts_NK.sum(0, keepdims=True))[0])


def sums_of(metric: str, labels: np.ndarray, predictions: np.ndarray) -> Sums:
    """Return a metric of `evaluation.metrics` as sums, for one run's predictions.

    Any other name stands for a mean of `predictions`, each example's own score then (a query's nDCG).

    Raises:
        BadData: labels or predictions that are not numbers (NaN, infinite).
    """
    for name, values in (("labels", labels), ("predictions", predictions)):
        if broken := int((~np.isfinite(values)).sum()):
            raise BadData(
                f"{broken:,} of {values.size:,} {name} are not numbers (nan, infinite): no {metric} of them",
                fix="Train or evaluate again; --precision fp32 keeps large values finite.",
            )
    bounds = BOUNDS.get(metric, UNBOUNDED)
    sums = _sums_of(metric, labels, predictions)
    if sums.scale == "plain" and np.isfinite(bounds).all():
        sums = replace(sums, scale="bounded")
    return replace(sums, bounds=bounds)


def by_cluster(sums: Sums, clusters: Clusters) -> Sums:
    """Return the same metric as sums over clusters, which are what was drawn at random.

    Examples of one cluster (hypotheses of one premise) are alike, so that they say less than as many others.
    An interval of clusters is that of cluster-robust variance (Liang & Zeger 1986).

    Args:
        clusters: which cluster each example belongs to; None where each stands for itself.
    """
    places: dict[Hashable, int] = {}
    places_N = np.array([places.setdefault(name, len(places)) for name in clusters or ()])
    if len(places) in (0, sums.n):
        return sums
    parts_CK = np.zeros((len(places), sums.parts_NK.shape[1]))
    np.add.at(parts_CK, places_N, sums.parts_NK)
    scale: Scale = "bounded" if sums.scale == "share" else sums.scale
    return replace(sums, parts_NK=parts_CK, scale=scale, examples=sums.n)


def ratio_of(metric: str, parts: np.ndarray, wholes: np.ndarray) -> Sums:
    """Return sum(parts) / sum(wholes) as sums over the texts that they were counted in."""
    rows = np.stack([parts, wholes], axis=1).astype(float)
    bounds = BOUNDS.get(metric, UNBOUNDED)
    return Sums(rows, _ratio, bounds, "bounded" if np.isfinite(bounds).all() else "plain")


def _sums_of(metric: str, labels: np.ndarray, predictions: np.ndarray) -> Sums:
    if metric in SHARES:
        right = labels == predictions
        sums = _mean(right if right.ndim == 1 else right.all(axis=1))
        return replace(sums, scale="share", right_LK=np.ones((1, 2)), wrong_LK=np.array([[0.0, 1.0]]))
    if metric == "mean_absolute_error":
        return _mean(np.abs(labels.astype(float) - predictions))
    if metric in ("root_mean_squared_error", "r2"):
        return _squared_error(metric, labels.astype(float), predictions.astype(float))
    if metric == "pearson":
        return _pearson(labels, predictions)
    if metric == "spearman":
        return _spearman(labels, predictions)
    if metric in CONFUSION:
        return _confusion(metric, labels, predictions)
    if metric in RANKED:
        return _ranked(metric, labels, predictions)
    return _mean(predictions)


def _mean(values: np.ndarray) -> Sums:
    return Sums(np.stack([values.astype(float), np.ones(len(values))], axis=1), _ratio)


def _ratio(sums_RK: np.ndarray) -> np.ndarray:
    return quotient(sums_RK[:, 0], sums_RK[:, 1])


def _squared_error(metric: str, labels: np.ndarray, predictions: np.ndarray) -> Sums:
    y = labels - labels.mean()  # against cancellation
    parts = np.stack([np.ones(len(y)), (labels - predictions) ** 2, y, y * y], axis=1)
    if metric == "r2":
        return Sums(parts, _r2_of, known=bool(np.ptp(labels) > 0))
    return Sums(parts, _root)


def _root(sums_RK: np.ndarray) -> np.ndarray:
    # A slope is taken on both sides of the sums, and an error of 0 has nothing below it.
    return np.asarray(np.sqrt(np.maximum(0, _ratio(sums_RK[:, [1, 0]]))))


def _r2_of(sums_RK: np.ndarray) -> np.ndarray:
    n, error, y, yy = sums_RK.T
    spread = yy - y * y / n
    known = spread > 1e-12 * yy
    return np.where(known, 1 - error / np.where(known, spread, 1.0), 0.0)


def standardized(values_N: np.ndarray) -> np.ndarray:
    """Return values with mean 0 and deviation 1, whatever their unit; zeros if they are all the same."""
    if np.ptp(values_N) == 0:
        return np.zeros(len(values_N))
    wide = values_N.astype(float)
    # Tiny or huge values would vanish or overflow when squared.
    wide = wide / np.abs(wide).max()
    wide = wide - wide.mean()
    wide = wide / np.abs(wide).max()
    return np.asarray(wide / wide.std())


def _pearson(labels: np.ndarray, predictions: np.ndarray) -> Sums:
    x, y = standardized(labels), standardized(predictions)
    parts = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)
    return Sums(parts, _pearson_of, scale="correlation", known=_vary(labels, predictions), lost=3)


def _vary(labels: np.ndarray, predictions: np.ndarray) -> bool:
    return bool(np.ptp(labels) > 0 and np.ptp(predictions) > 0)


def _pearson_of(sums_RK: np.ndarray) -> np.ndarray:
    n, x, y, xx, yy, xy = sums_RK.T
    return quotient(n * xy - x * y, np.sqrt(np.maximum(0, (n * xx - x * x) * (n * yy - y * y))))


def _spearman(labels: np.ndarray, predictions: np.ndarray) -> Sums:
    """Return rank moments with what an example changes in the ranks of the others (Hoeffding 1948).

    A moment of two ranks is a mean over three examples, two of which only count who ranks below whom. An
    example's part is what it adds in each of the three places, less the two thirds that are the moment again.
    """
    x, y = _relative_ranks(labels), _relative_ranks(predictions)
    moments = (_rank_moment(x, x), _rank_moment(y, y), _rank_moment(x, y))
    parts = np.stack([np.ones(len(x)), *moments], axis=1)
    return Sums(parts, _spearman_of, scale="correlation", known=_vary(labels, predictions))


def _spearman_of(sums_RK: np.ndarray) -> np.ndarray:
    n, xx, yy, xy = sums_RK.T
    # The mean of relative ranks is 1/2, in any sample.
    xx, yy, xy = (moment - n / 4 for moment in (xx, yy, xy))
    spread = np.where((xx > 1e-12 * n) & (yy > 1e-12 * n), xx * yy, 0.0)
    return quotient(xy, np.sqrt(spread))


def _relative_ranks(values_N: np.ndarray) -> np.ndarray:
    return np.asarray((stats.rankdata(values_N) - 0.5) / len(values_N))


def _rank_moment(x_N: np.ndarray, y_N: np.ndarray) -> np.ndarray:
    moments = x_N * y_N + _above(x_N, y_N) + _above(y_N, x_N)
    return np.asarray(moments - 2 * (x_N * y_N).mean())


def _above(x_N: np.ndarray, y_N: np.ndarray) -> np.ndarray:
    """Return the sum of y over examples with a greater x (the same x counts half), as a share of N."""
    _, places_N = np.unique(x_N, return_inverse=True)
    sums = np.bincount(places_N, y_N)
    above = sums[::-1].cumsum()[::-1] - sums / 2
    return np.asarray(above[places_N] / len(x_N))


def _confusion(metric: str, labels: np.ndarray, predictions: np.ndarray) -> Sums:
    """Hits, predicted and true examples of each class."""
    deciding, known = 0, True
    if labels.ndim == 2:
        names = np.eye(labels.shape[1])
        wrong = np.roll(names, 1, axis=0) if len(names) > 1 else np.zeros((1, 1))
        every = (labels, predictions), (names, names), (names, wrong)
        parts, right_LK, wrong_LK = (several_labels(metric, *pair) for pair in every)
    else:
        one = metric in OF_ONE_CLASS
        classes = np.array([1]) if one else np.unique([labels, predictions])
        names = np.array([0, 1]) if one else np.unique(labels)
        wrong = np.roll(names, 1) if len(names) > 1 else names + 1
        every = (labels, predictions), (names, names), (names, wrong)
        parts, right_LK, wrong_LK = (one_label(classes, *pair) for pair in every)
        if one:
            deciding = int((predictions if metric == "precision" else labels).sum())
            known = deciding > 0 or metric == "f1"
    value = value_of(metric, several=labels.ndim == 2)
    return Sums(
        parts, value, scale="bounded", right_LK=right_LK, wrong_LK=wrong_LK, known=known, deciding=deciding
    )


def _ranked(metric: str, labels: np.ndarray, scores: np.ndarray) -> Sums:
    """Sums of a metric of ranks; an example's part holds what it changes in the ranks of the others."""
    positive_N = labels.astype(bool)
    few, degrees = int(min(positive_N.sum(), (~positive_N).sum())), 0
    if metric == "average_precision":
        few = int(positive_N.sum())
        degrees = max(few - 1, 1)
        parts = average_precision_parts(positive_N, scores)
        right, wrong, value = np.array([[1.0, 1.0]]), np.array([[0.0, 1.0]]), _ratio
    else:
        parts, area = roc_auc_parts(positive_N, scores)
        right, wrong = np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]]), np.array([[0.0, 1, 0, 0], [0, 0, 0, 1]])

        def value(sums_RK: np.ndarray) -> np.ndarray:
            above, positives, below, negatives = sums_RK.T
            return np.asarray(quotient(above, positives) + quotient(below, negatives) - area)

    return Sums(
        parts, value, scale="bounded", right_LK=right, wrong_LK=wrong, known=few > 0, deciding=max(few, 1),
        degrees=degrees,
    )  # fmt: skip
