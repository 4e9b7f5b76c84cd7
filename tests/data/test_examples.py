"""Rows to examples: integer labels, names, several labels, numbers; each fault with its row."""

from __future__ import annotations

import numpy as np
import pytest

from modernbert.data.examples import to_examples, to_texts
from modernbert.data.registry import find_task
from modernbert.data.rows import Rows
from modernbert.errors import BadData


def rows(**columns) -> Rows:
    return Rows.of(columns, "rows.jsonl")


def test_glue_labels_are_indices():
    task = find_task("glue/rte")
    examples = to_examples(task, rows(sentence1=["a", "b"], sentence2=["c", "d"], label=[1, 0]))
    assert examples.texts == [("a", "c"), ("b", "d")]
    assert examples.labels.tolist() == [1, 0]
    assert examples.labels.dtype == np.int64


def test_a_benchmarks_label_may_be_a_name():
    task = find_task("glue/rte")
    found = to_examples(task, rows(sentence1=["a"], sentence2=["b"], label=["not_entailment"]))
    assert found.labels.tolist() == [1]


@pytest.mark.parametrize(("value", "ok"), [(0, True), (5.0, True), ("2.5", True), (5.1, False), ("x", False)])
def test_a_regression_label_has_its_range(value, ok):
    task = find_task("glue/stsb")
    data = rows(sentence1=["a"], sentence2=["b"], label=[value])
    if ok:
        assert to_examples(task, data).labels[0] == float(value)
    else:
        with pytest.raises(BadData, match="row 1"):
            to_examples(task, data)


def test_hidden_labels_are_not_read_unless_wanted():
    task = find_task("glue/sst2")
    data = rows(sentence=["a"], label=[-1])
    assert to_examples(task, data, labelled=False).labels is None
    with pytest.raises(BadData, match="the label is -1: it is hidden"):
        to_examples(task, data)


def test_a_row_without_the_text_says_what_it_has():
    data = Rows.from_records([(1, {"text": "a"}), (2049, {"body": "x"})], "rows.jsonl", columns=["text"])
    message = r"row 2049: column 'text' holds nothing \(the row has body\) where text is expected"
    with pytest.raises(BadData, match=message):
        to_texts(data, ["text"])
