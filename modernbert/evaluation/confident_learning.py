"""Which labels are likely wrong: confident learning (Northcutt et al. 2021, arXiv:1911.00068).

Shape suffixes: N examples, C classes.
"""

from __future__ import annotations

import numpy as np


def confident_labels(labels_N: np.ndarray, shares_NC: np.ndarray) -> np.ndarray:
    """Return of each example the class that it is confidently of, or -1, shape (N,).

    A class's threshold is the mean probability of the class over the examples with that label (equation 2).
    An example is counted for the most probable of the classes whose thresholds it reaches (equation 1).

    Args:
        labels_N: as given.
        shares_NC: probabilities by a model that was not trained on the example.
    """
    classes = shares_NC.shape[1]
    counts_C = np.bincount(labels_N, minlength=classes)
    sums_C = np.bincount(labels_N, shares_NC[np.arange(len(labels_N)), labels_N], classes)
    # A class without examples is never reached.
    least_C = np.where(counts_C > 0, sums_C / np.maximum(counts_C, 1), np.inf)
    reached_NC = shares_NC >= least_C - 1e-9
    best_N = np.where(reached_NC, shares_NC, -1.0).argmax(axis=1)
    return np.where(reached_NC.any(axis=1), best_N, -1)


def likely_errors(labels_N: np.ndarray, shares_NC: np.ndarray) -> np.ndarray:
    """Return the examples whose labels are likely wrong, the likeliest first.

    These are the ones counted for another class than their label's, unless the model's own answer is the
    label. They are ordered by the probability of their label, as the authors' `cleanlab` does.
    """
    confident_N = confident_labels(labels_N, shares_NC)
    wrong_N = (confident_N >= 0) & (confident_N != labels_N) & (shares_NC.argmax(axis=1) != labels_N)
    places = np.flatnonzero(wrong_N)
    return places[np.argsort(shares_NC[places, labels_N[places]], kind="stable")]
