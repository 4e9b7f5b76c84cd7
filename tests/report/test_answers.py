"""What a report says of answers: against scikit-learn, and against numbers counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import keep_run, made_run, running_record
from sklearn import metrics as sk
from sklearn.dummy import DummyClassifier

from modernbert.comparison.outcomes import read_outcomes
from modernbert.evaluation.metrics import METRICS
from modernbert.report.answers import answer_sections
from modernbert.report.examples import error_section, wrongness
from modernbert.report.plots import styles_of
from modernbert.report.summary import constant_answer, run_summary


def labelled_run(store, kind: str, rows: list[tuple], names: list[str], metric: str, **result):
    """Keep a run whose rows are (label, prediction, logits), and return its outcome."""
    truth, given = (np.array([row[i] for row in rows]) for i in (0, 1))
    score = {"metric": metric, "value": METRICS[metric](truth, given), "n": len(rows)}
    score |= {"low": -1.0, "high": 1.0, "interval": "none"}
    record = running_record() | {"status": "finished", "kind": "evaluate", "config": {"max_length": 8}}
    record["task"] = {"name": "own/toy", "kind": kind, "labels": names, "metrics": [metric]}
    split = {"rows": len(rows), "fingerprint": "v"}
    record |= {
        "data": {"text": ["text"], "label": "label", "splits": {"validation": split}},
        "results": [{"split": "validation", "scores": [score], "notes": [], **result}],
    }
    folder = keep_run(store, "toy", record)
    lines = [
        {"id": f"validation/{i}", "label": label, "prediction": prediction, "logits": logits}
        for i, (label, prediction, logits) in enumerate(rows)
    ]
    (folder / "scores.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (outcome,) = read_outcomes(store, "toy")
    return outcome


def tables_of(outcome) -> dict[str, list]:
    sections = answer_sections([outcome], styles_of([outcome.model]))
    return {section.title: list(section.tables) for section in sections}


@pytest.fixture
def sure(store):
    """Three classes; of five answers two are wrong, the last one surely."""
    rows = [
        (0, 0, [2.0, 0.0, 0.0]),
        (1, 0, [0.1, 0.0, 0.0]),
        (2, 2, [0.0, 0.0, 1.0]),
        (0, 0, [1.0, 0.0, 0.0]),
        (0, 1, [0.0, 9.0, 0.0]),
    ]
    return labelled_run(store, "single_label", rows, ["a", "b", "c"], "accuracy")


def test_figures_by_class_were_counted_by_hand(sure):
    (table,) = tables_of(sure)["By class"]
    assert table.columns == ("class", "precision", "recall", "F1", "support")
    assert table.rows == (
        ("a", "0.6667", "0.6667", "0.6667", "3"),
        ("b", "0.0000", "0.0000", "0.0000", "1"),
        ("c", "1.0000", "1.0000", "1.0000", "1"),
    )


def test_bins_have_their_counts(sure):
    (table,) = tables_of(sure)["Calibration"]
    assert sum(int(row[1]) for row in table.rows) == 5
    assert table.rows[-1][:2] == ("0.9 to 1.0", "1")
    assert table.rows[-1][3] == "0.0000", "the surest answer is wrong"


def test_the_most_confident_mistake_comes_first(sure):
    (table,) = error_section([sure], texts=False).tables
    assert [row[0] for row in table.rows] == ["validation/4", "validation/1"]
    assert table.rows[0][1:3] == ("a", "b (1.00)")


def test_the_largest_residual_comes_first(store):
    rows = [(1.0, 1.5, [1.5]), (2.0, -2.0, [-2.0]), (3.0, 4.0, [4.0])]
    outcome = labelled_run(store, "regression", rows, [], "r2")
    (table,) = error_section([outcome], texts=False).tables
    assert [row[:3] for row in table.rows] == [
        ("validation/1", "2.000", "-2.000 (-4.000)"),
        ("validation/2", "3.000", "4.000 (+1.000)"),
        ("validation/0", "1.000", "1.500 (+0.500)"),
    ]


def test_of_several_labels_the_furthest_from_the_truth_comes_first(store):
    rows = [
        ([1.0, 0.0], [1.0, 0.0], [3.0, -3.0]),
        ([1.0, 0.0], [1.0, 1.0], [3.0, 0.1]),
        ([0.0, 1.0], [0.0, 0.0], [-1.0, -4.0]),
    ]
    figures = {"label": "x", "n": 2, "threshold": 0.5, "precision": 1.0, "recall": 0.25, "f1": 0.4}
    outcome = labelled_run(
        store, "multi_label", rows, ["x", "y"], "exact_match", labels=[figures | {"average_precision": None}]
    )
    (table,) = error_section([outcome], texts=False).tables
    assert [row[0] for row in table.rows] == ["validation/2", "validation/1"]
    assert table.rows[0][2] == "none (wrong: y 0.02)"
    (table,) = tables_of(outcome)["By label"]
    assert table.rows == (("x", "0.5000", "1.0000", "0.2500", "0.4000", "2", "none"),)


def test_the_query_with_the_lowest_score_comes_first(store):
    made_run(store, "search", "toy", np.array([1.0, 0.25, 0.75]), kind="retrieval")
    (outcome,) = read_outcomes(store, "search")
    (table,) = error_section([outcome], texts=False).tables
    assert [row[:2] for row in table.rows[:2]] == [("validation/1", "0.250"), ("validation/2", "0.750")]


def test_the_curve_passes_through_the_threshold_that_was_used(store):
    made_run(store, "a", "toy", np.random.default_rng(0).random(200) < 0.7)
    (outcome,) = read_outcomes(store, "a")
    ((row,),) = [table.rows for table in tables_of(outcome)["Precision and recall"]]
    expected = [f(outcome.labels, outcome.predictions) for f in (sk.precision_score, sk.recall_score)]
    assert row[2:4] == tuple(f"{value:.4f}" for value in expected)


def test_each_frequent_label_has_a_curve_with_the_threshold_that_was_used(store):
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(60, 8))
    truth = (logits + draw.normal(size=logits.shape) > np.linspace(0, 1, 8)).astype(float)
    truth[:, 7] = 0
    given = (logits > 0.2).astype(float)
    rows = [
        (t.tolist(), g.tolist(), found.tolist()) for t, g, found in zip(truth, given, logits, strict=True)
    ]
    outcome = labelled_run(store, "multi_label", rows, [f"topic <{i}>" for i in range(8)], "micro_f1")
    sections = answer_sections([outcome], styles_of([outcome.model]))
    (section,) = (s for s in sections if s.title == "Precision and recall by label")
    assert "The most frequent of 8 labels." in section.text
    drawn = list(map(str, section.plots))
    for picture, i in zip(drawn, np.argsort(-truth.sum(axis=0), kind="stable")[:6], strict=True):
        assert f"topic &lt;{i}&gt;: precision against recall" in picture
        precision = (truth[:, i] * given[:, i]).sum() / given[:, i].sum()
        recall = (truth[:, i] * given[:, i]).sum() / truth[:, i].sum()
        assert f"threshold used: precision {precision:.3f}, recall {recall:.3f}" in picture


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "matthews"])
def test_no_dummy_that_answers_alike_is_better(metric, store):
    draw = np.random.default_rng(1)
    rows = [(int(label), 0, [0.0, 0.0]) for label in draw.random(80) < 0.3]
    outcome = labelled_run(store, "single_label", rows, ["a", "b"], metric)
    texts = np.zeros((len(rows), 1))
    dummies = [DummyClassifier(strategy="constant", constant=c).fit(texts, outcome.labels) for c in (0, 1)]
    best = max(METRICS[metric](outcome.labels, dummy.predict(texts)) for dummy in dummies)
    assert constant_answer(outcome)[1] == pytest.approx(best)


def test_the_best_labels_for_every_text_are_found(store):
    """Of three texts all have x and one has y: x alone has precision 1 and recall 3 / 4."""
    rows = [([1.0, 0.0], [1.0, 1.0], [1.0, 1.0])] * 2 + [([1.0, 1.0], [1.0, 1.0], [1.0, 1.0])]
    outcome = labelled_run(store, "multi_label", rows, ["x", "y"], "micro_f1")
    answer, value = constant_answer(outcome)
    assert (answer, value) == ("x", pytest.approx(2 * 1 * 0.75 / 1.75))


def test_the_labels_that_most_often_come_together_are_tried(store):
    """No label is the whole answer more often than any set of labels that occurs."""
    sets = [[0.0, 1.0]] * 3 + [[1.0, 1.0]] * 2 + [[1.0, 0.0]] * 2 + [[0.0, 0.0]] * 4
    rows = [(one, [1.0, 1.0], [1.0, 1.0]) for one in sets]
    outcome = labelled_run(store, "multi_label", rows, ["x", "y"], "exact_match")
    assert constant_answer(outcome) == ("none", pytest.approx(4 / 11))


@pytest.mark.parametrize(
    ("value", "low", "said"),
    [
        (0.9, 0.8, "whole interval lies above"),
        (0.6, 0.4, "not shown to be better"),
        (0.4, 0.3, "not better than that"),
    ],
)
def test_the_verdict_says_how_it_stands_to_the_same_answer_throughout(value, low, said, store):
    made_run(store, "a", "toy", np.arange(100) < 100 * value)
    path = store.path("a") / "run.json"
    record = json.loads(path.read_text())
    record["results"][0]["scores"][0] |= {"low": low, "high": 1.0}
    path.write_text(json.dumps(record))
    points = run_summary(store.read("a"), read_outcomes(store, "a")).points
    assert f"accuracy {value:.4f} on validation (100 rows" in points[0]
    assert "scores 0.5000" in points[1] and said in points[1]
    assert any("slightly optimistic" in point for point in points)
    assert any("one training" in point for point in points)


def test_facts_are_told(store):
    made_run(store, "a", "toy", np.arange(100) < 90)
    (table,) = run_summary(store.read("a"), read_outcomes(store, "a")).tables
    facts = dict(table.rows)
    assert facts["rows"] == "train 100, validation 100"
    assert facts["checkpoint"] == "step 1 of 1, the best evaluation on validation"
    assert facts["seed"] == "42" and facts["hardware"] == "fp32"


def test_a_right_answer_is_not_wrong(sure):
    assert (wrongness(sure) > 0).tolist() == [False, True, False, False, True]
