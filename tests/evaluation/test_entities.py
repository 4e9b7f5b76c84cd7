"""Scores of entities: those of seqeval and nervaluate, label by label; intervals over sentences."""

from __future__ import annotations

import random

import numpy as np
import pytest
from nervaluate import Evaluator
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from modernbert.data.entities import spans_of
from modernbert.evaluation.entities import METRICS, entity_metrics, entity_sums, label_scores
from modernbert.evaluation.statistics import interval

LABELS = ("LOC", "ORG", "PER")


def random_tags(draw, size):
    """Return valid tags in IOB2 with many entities, of which many touch."""
    tags = []
    for _ in range(size):
        last = tags[-1].partition("-")[2] if tags else ""
        choices = ["O", *(f"B-{label}" for label in LABELS), *([f"I-{last}"] * 2 if last else [])]
        tags.append(draw.choice(choices))
    return tags


def altered(draw, tags):
    return [tag if draw.random() < 0.8 else "O" for tag in tags]


def drawn(seed):
    from modernbert.data.entities import as_iob2

    draw = random.Random(seed)
    truth = [random_tags(draw, draw.randint(1, 12)) for _ in range(40)]
    found = [as_iob2(altered(draw, tags))[0] for tags in truth]
    return truth, found


def entities(sentences):
    return [spans_of(tags) for tags in sentences]


@pytest.mark.parametrize("seed", range(5))
def test_the_figures_are_seqevals(seed):
    truth, found = drawn(seed)
    told = classification_report(truth, found, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    ours = entity_metrics(entities(truth), entities(found))
    expected = told["micro avg"]
    assert 0.3 < ours["f1"] < 0.95
    assert ours["f1"] == pytest.approx(expected["f1-score"])
    assert ours["precision"] == pytest.approx(expected["precision"])
    assert ours["recall"] == pytest.approx(expected["recall"])
    for label in label_scores(entities(truth), entities(found)):
        one = told[label.label]
        assert (label.precision, label.recall, label.f1, label.n) == pytest.approx(
            (one["precision"], one["recall"], one["f1-score"], one["support"])
        )


@pytest.mark.parametrize("seed", range(5))
def test_the_figures_are_nervaluates_strict_ones(seed):
    truth, found = drawn(seed)
    results = Evaluator(truth, found, tags=list(LABELS), loader="list").evaluate()
    strict = results["overall"]["strict"]
    ours = entity_metrics(entities(truth), entities(found))
    assert (ours["precision"], ours["recall"], ours["f1"]) == pytest.approx(
        (strict.precision, strict.recall, strict.f1)
    )
    for label in label_scores(entities(truth), entities(found)):
        one = results["entities"][label.label]["strict"]
        assert (label.precision, label.recall, label.f1) == pytest.approx((one.precision, one.recall, one.f1))


@pytest.mark.parametrize("metric", METRICS)
def test_the_interval_is_that_of_a_bootstrap_over_sentences(metric):
    truth, found = (entities(side) for side in drawn(1))
    sums = entity_sums(metric, truth, found)
    random_state = np.random.default_rng(0)
    n = len(truth)
    again = [sums.value(sums.parts_NK[random_state.integers(n, size=n)].sum(0)[None])[0] for _ in range(4000)]
    low, high = interval([sums])
    assert (low, high) == pytest.approx(np.quantile(again, (0.025, 0.975)), abs=0.02)


def test_nothing_found_scores_zero():
    truth = entities([["B-PER", "O"], ["O"]])
    nothing = [[], []]
    assert entity_metrics(truth, nothing) == {"f1": 0.0, "precision": 0.0, "recall": 0.0}
    assert interval([entity_sums("precision", truth, nothing)]) == (None, None)
    assert entity_metrics(nothing, nothing)["f1"] == 0.0
