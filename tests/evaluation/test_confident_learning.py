"""Likely label errors are those that cleanlab 2.9.0 finds, in its order."""

from __future__ import annotations

import numpy as np

from modernbert.evaluation.confident_learning import confident_labels, likely_errors

LABELS = [0, 1, 1, 0, 2, 2, 1, 2, 1, 2, 2, 1, 0, 0, 1, 0, 2, 2, 0, 1, 0, 0, 1, 2]
SHARES = [
    [0.31, 0.485, 0.205], [0.264, 0.508, 0.228], [0.121, 0.826, 0.053], [0.094, 0.498, 0.408],
    [0.493, 0.104, 0.403], [0.817, 0.038, 0.145], [0.218, 0.545, 0.237], [0.299, 0.063, 0.638],
    [0.619, 0.37, 0.011], [0.174, 0.363, 0.463], [0.123, 0.596, 0.281], [0.054, 0.892, 0.054],
    [0.185, 0.733, 0.082], [0.271, 0.378, 0.351], [0.018, 0.125, 0.857], [0.02, 0.737, 0.243],
    [0.016, 0.851, 0.133], [0.045, 0.306, 0.649], [0.17, 0.627, 0.203], [0.232, 0.737, 0.031],
    [0.442, 0.163, 0.395], [0.126, 0.315, 0.559], [0.403, 0.583, 0.014], [0.101, 0.882, 0.017],
]  # fmt: skip
# find_label_issues(labels, shares, filter_by="confident_learning",
#                   return_indices_ranked_by="self_confidence"), of cleanlab 2.9.0
THEIRS = [23, 15, 3, 14, 21, 16, 5, 18, 12, 13, 10, 8, 4]


def test_what_cleanlab_finds():
    assert likely_errors(np.array(LABELS), np.array(SHARES)).tolist() == THEIRS


def test_thresholds_by_hand():
    labels = np.array([0, 0, 1, 1])
    shares = np.array([[0.9, 0.1], [0.5, 0.5], [0.6, 0.4], [0.2, 0.8]])
    # Thresholds: class 0 (0.9 + 0.5) / 2 = 0.7, class 1 (0.4 + 0.8) / 2 = 0.6.
    assert confident_labels(labels, shares).tolist() == [0, -1, -1, 1]
    assert likely_errors(labels, shares).tolist() == []
    swapped = np.array([0, 0, 0, 1, 1, 1])
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3]])
    # 0.6 and 2 / 3: the third is confidently of class 1, the last one of class 0.
    assert likely_errors(swapped, shares).tolist() == [2, 5]


def test_a_class_without_examples_is_no_suggestion():
    labels = np.array([0, 0, 1, 1])
    shares = np.array([[0.2, 0.1, 0.7], [0.1, 0.1, 0.8], [0.1, 0.6, 0.3], [0.1, 0.7, 0.2]])
    assert 2 not in confident_labels(labels, shares)
