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


def test_tfidf_may_lack_classes():
    """80 rows of 40 classes, some of which have none: the columns of the others were shifted."""
    random = np.random.default_rng(0)
    labels = np.concatenate([np.repeat(np.arange(5, 38), 2), random.integers(5, 38, 14)])
    texts = [(f"w{label} w{label} x{random.integers(9)}",) for label in labels]
    model = Tfidf("single_label", 40, "accuracy")
    model.fit(texts, labels)
    logits = model.logits(texts)
    assert logits.shape == (80, 40)
    assert (logits.argmax(1) == labels).all()


@pytest.mark.parametrize("classes", [(0, 2), (1, 2)])
def test_tfidf_takes_two_of_three_classes(classes):
    texts = [(word,) for word in ("red", "green") * 9]
    labels = np.array(classes * 9)
    model = Tfidf("single_label", 3, "macro_f1")
    model.fit(texts, labels)
    assert model.logits(texts).argmax(1).tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("kind", "labels", "metric", "expected"),
    [
        ("single_label", np.full(9, 2), "accuracy", 2),
        ("regression", np.full(9, 2.5), "spearman", 2.5),
        ("multi_label", np.tile([1.0, 0.0], (9, 1)), "micro_f1", [True, False]),
    ],
)
def test_tfidf_of_one_answer_gives_it(kind, labels, metric, expected):
    """scikit-learn raises for a single class."""
    model = Tfidf(kind, {"single_label": 3, "regression": 1}.get(kind, 2), metric)
    model.fit([("a b",)] * 9, labels)
    logits = model.logits([("other",)])[0]
    found = {"single_label": logits.argmax(), "regression": logits[0]}.get(kind, (logits > 0).tolist())
    assert found == expected


def test_tfidf_learns_labels_beside_some_that_all_or_none_have():
    texts = [(word,) for word in ("red", "green", "blue") * 20]
    labels = np.hstack([np.ones((60, 1)), np.eye(3)[np.arange(60) % 3], np.zeros((60, 1))])
    model = Tfidf("multi_label", 5, "micro_f1")
    model.fit(texts, labels)
    assert ((model.logits(texts) > 0) == labels.astype(bool)).all()


@pytest.mark.parametrize("texts", [["red", "green"], ["", ""], ["red", "red", "green"]])
@pytest.mark.parametrize("kind", ["single_label", "regression"])
def test_tfidf_takes_next_to_nothing(texts, kind):
    labels = np.arange(len(texts)) if kind == "single_label" else np.arange(len(texts)) / 7
    model = Tfidf(
        kind, 3 if kind == "single_label" else 1, "accuracy" if kind == "single_label" else "pearson"
    )
    model.fit([(text,) for text in texts], labels)
    assert np.isfinite(model.logits([("red",), ("new",)])).all()


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
