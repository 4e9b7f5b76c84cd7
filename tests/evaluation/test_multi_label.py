"""Several labels a text: thresholds against trying all of them, figures against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from modernbert.evaluation.multi_label import label_scores, macro_average_precision
from modernbert.evaluation.predict import decide, probabilities
from modernbert.evaluation.shown import macro_average
from modernbert.evaluation.thresholds import best_threshold, tune_thresholds


@given(seed=st.integers(0, 10_000), size=st.integers(1, 30), ties=st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_threshold_has_a_better_f1(seed, size, ties):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, size).astype(np.float32)
    shares = random.integers(1, 6, size) / 6 if ties else random.uniform(0, 1, size)

    def f1(threshold):
        return sk.f1_score(labels, shares > threshold, zero_division=0.0)

    found = best_threshold(labels, shares)
    every = max(f1(threshold) for threshold in [0.0, *shares, *(shares - 1e-9)])
    assert 0 <= found < 1
    assert f1(found) == pytest.approx(every if labels.any() else f1(0.5))


def test_a_threshold_stands_between_two_probabilities_and_near_the_middle():
    """A model read back gives the last digit otherwise: nothing may stand on the threshold itself."""
    assert best_threshold(np.array([1.0, 0.0]), np.array([0.9, 0.2])) == pytest.approx(0.55)
    # Giving the label to one or to both has the same F1 of 2/3: 0.5 is nearer to 0.55 than to 0.1.
    assert best_threshold(np.array([1, 0, 0, 1.0]), np.array([0.9, 0.2, 0.2, 0.2])) == pytest.approx(0.55)


def test_a_label_that_no_text_has_keeps_the_usual_threshold():
    labels, logits = np.array([[1.0, 0], [0, 0]]), np.array([[1.0, 2], [-1, -2]])
    assert tune_thresholds(labels, logits)[1] == 0.5
    assert macro_average_precision(labels, logits) == 1.0
    assert macro_average_precision(np.zeros((2, 2)), logits) == 0.0
    scores = label_scores(("a", "b"), (), labels, decide(logits, "multi_label"), logits)
    assert [score.average_precision for score in scores] == [1.0, None]


def test_figures_of_each_label_are_scikit_learns():
    random = np.random.default_rng(0)
    labels = (random.random((50, 3)) < (0.1, 0.3, 0.6)).astype(np.float32)
    logits = labels + random.normal(0, 1, (50, 3)) - 2.5
    assert decide(logits, "multi_label").sum() < labels.sum() / 4, "at 0.5 hardly any label is given"
    thresholds = tune_thresholds(labels, logits)
    decided = decide(logits, "multi_label", thresholds)
    np.testing.assert_array_equal(decided, probabilities(logits, "multi_label") > thresholds)
    expected = sk.classification_report(labels, decided, output_dict=True, zero_division=0.0)
    for i, score in enumerate(label_scores(("a", "b", "c"), thresholds, labels, decided, logits)):
        row = expected[str(i)]
        assert (score.precision, score.recall, score.f1, score.n) == pytest.approx(
            (row["precision"], row["recall"], row["f1-score"], row["support"])
        )
        assert score.average_precision == pytest.approx(
            sk.average_precision_score(labels[:, i], logits[:, i])
        )
    assert macro_average_precision(labels, logits) == pytest.approx(
        sk.average_precision_score(labels, logits, average="macro")
    )


def test_the_macro_average_is_over_the_labels_that_have_a_figure():
    random = np.random.default_rng(0)
    labels, logits = (random.random((60, 3)) < [0.5, 0.2, 0.0]).astype(int), random.normal(size=(60, 3))
    decided = (logits > 0).astype(int)
    scores = label_scores(("a", "b", "c"), (0.5,) * 3, labels, decided, logits)
    found = macro_average(scores)
    assert found["f1"] == pytest.approx(sk.f1_score(labels, decided, average="macro", zero_division=0.0))
    assert found["average_precision"] == pytest.approx(macro_average_precision(labels, logits))
    assert macro_average([scores[2].with_values(average_precision=None)])["average_precision"] is None
