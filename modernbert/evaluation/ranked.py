"""Metrics of ranks as sums over examples: what each example adds, and what it changes in the others' ranks.

Shape suffixes: N examples. The last columns of each array of parts count what the first ones are divided by.
"""

from __future__ import annotations

import numpy as np
from scipy import stats


def roc_auc_parts(positive_N: np.ndarray, scores_N: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the parts of the area under the ROC curve (DeLong et al. 1988), and the area.

    Returns:
        Of each positive example the share of negative ones below it and 1, of each negative example the
        share of positive ones above it and 1, shape (N, 4); equal scores count half. Both shares have the
        area as mean.
    """
    positives, negatives = int(positive_N.sum()), int((~positive_N).sum())
    parts = np.zeros((len(positive_N), 4))
    if not positives or not negatives:
        return parts, 0.0
    ranks_N = stats.rankdata(scores_N)
    for mine_N, others, places in ((positive_N, negatives, (0, 1)), (~positive_N, positives, (2, 3))):
        below = (ranks_N[mine_N] - stats.rankdata(scores_N[mine_N])) / others
        parts[mine_N, places[0]] = below if places[0] == 0 else 1 - below
        parts[mine_N, places[1]] = 1
    return parts, float(parts[:, 0].sum() / positives)


def average_precision_parts(positive_N: np.ndarray, scores_N: np.ndarray) -> np.ndarray:
    """Return the parts of the average precision, shape (N, 2): their sums' ratio.

    The average precision is a mean over positive examples of R / K: of the K examples that score at least as
    much, R are positive. An example's part is its own R / K, if it is positive, and the derivative of the
    others' by its weight (the influence function of the weighted average precision).
    """
    _, places_N = np.unique(-scores_N, return_inverse=True)
    above = np.bincount(places_N).cumsum().astype(float)
    hits = np.bincount(places_N, positive_N).cumsum()
    positives = np.bincount(places_N, positive_N)
    # Of the positive examples that score no more than one: the sums of 1 / K and of R / K^2.
    gain = (positives / above)[::-1].cumsum()[::-1]
    loss = (positives * hits / above**2)[::-1].cumsum()[::-1]
    own_N = positive_N * (hits / above)[places_N]
    return np.stack([own_N + positive_N * gain[places_N] - loss[places_N], positive_N.astype(float)], axis=1)
