"""The majority's answer, and TF-IDF with a linear model."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import toy_rows, write_csv
from scipy import stats

from modernbert.comparison.baselines import Majority, Tfidf, run_baseline
from modernbert.comparison.outcomes import read_outcomes
from modernbert.training.inputs import Request


def texts_of(rows):
    return [(row["text"],) for row in rows]


def test_tfidf_learns_which_words_tell():
    train, test = toy_rows(400, seed=1), toy_rows(200, seed=2)
    labels = [np.array([row["label"] == "positive" for row in rows], np.int64) for rows in (train, test)]
    model = Tfidf("single_label", 2, "accuracy")
    model.fit(texts_of(train), labels[0])
    logits = model.logits(texts_of(test))
    assert logits.shape == (200, 2)
    assert (logits.argmax(1) == labels[1]).mean() > 0.95
    assert logits.argmax(1).tolist() == model.model.predict(model._features(texts_of(test))).tolist()


def test_tfidf_sees_what_a_pair_shares():
    random = np.random.default_rng(0)
    words = [f"w{i}" for i in range(50)]
    pairs, labels = [], []
    for _ in range(300):
        first = random.choice(words, 6)
        same = random.integers(0, 7)
        second = [*first[:same], *random.choice(words, 6 - same)]
        pairs.append((" ".join(first), " ".join(second)))
        labels.append(float(same))
    model = Tfidf("regression", 1, "spearman")
    model.fit(pairs[:200], np.array(labels[:200]))
    assert stats.spearmanr(model.logits(pairs[200:])[:, 0], labels[200:])[0] > 0.7


def test_tfidf_takes_three_classes_and_several_labels():
    texts = [(word,) for word in ("red", "green", "blue") * 20]
    model = Tfidf("single_label", 3, "macro_f1")
    model.fit(texts, np.arange(60) % 3)
    assert model.logits(texts).argmax(1).tolist() == (np.arange(60) % 3).tolist()
    several = Tfidf("multi_label", 3, "micro_f1")
    several.fit(texts, np.eye(3)[np.arange(60) % 3])
    assert ((several.logits(texts) > 0) == np.eye(3, dtype=bool)[np.arange(60) % 3]).all()


@pytest.mark.parametrize(
    ("kind", "labels", "expected"),
    [
        ("single_label", np.array([1, 1, 0]), 1),
        ("regression", np.array([1.0, 2.0, 6.0]), 3.0),
    ],
)
def test_the_majority_knows_one_answer(kind, labels, expected):
    model = Majority(kind, 1 if kind == "regression" else 2)
    model.fit([("x",)] * 3, labels)
    logits = model.logits([("a",), ("b",)])
    assert len(logits) == 2
    assert (logits[1, 0] if kind == "regression" else logits[1].argmax()) == expected


def test_a_baseline_is_a_run_like_any_other(tmp_path, store):
    rows = write_csv(tmp_path / "reviews.csv", toy_rows(200))
    name = run_baseline("tfidf", Request(target=str(rows), model="tfidf"), store)
    (outcome,) = read_outcomes(store, name)
    assert (outcome.model, outcome.seed, outcome.task) == ("tfidf", None, "own/reviews")
    assert outcome.value > 0.7
