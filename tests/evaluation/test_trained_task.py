"""A run reads other files' labels as it read its own."""

from __future__ import annotations

import json

import pytest
from helpers import record_of, running_record

from modernbert.data.cells import Cells
from modernbert.data.examples import to_examples
from modernbert.errors import BadData
from modernbert.evaluation.trained_task import task_of_file, task_of_run


def record(kind, labels, **data):
    task = {"name": "own/rows", "kind": kind, "labels": labels, "metrics": ["accuracy"]}
    plain = running_record()
    return record_of(plain | {"task": task, "data": plain["data"] | data})


def labels_of(tmp_path, run, cells):
    path = tmp_path / "other.jsonl"
    path.write_text("".join(json.dumps({"text": "t", "label": cell}) + "\n" for cell in cells))
    task = task_of_file(run, path)
    return to_examples(task, task.source.splits["test"]).labels.tolist()


def test_a_file_of_one_form_is_not_read_in_another(tmp_path):
    vectors = {"form": "vectors", "separator": "", "size": 3}
    run = record("multi_label", ["0", "1", "2"], cells=vectors)
    assert task_of_run(run).cells == Cells("vectors", size=3)
    assert labels_of(tmp_path, run, [[0, 1, 1]]) == [[0, 1, 1]]
    with pytest.raises(BadData, match=r"row 1: column 'label' holds \[0, 1\] where a list of 3 zeros"):
        labels_of(tmp_path, run, [[0, 1]])
    numbers = record("single_label", ["0", "2"], cells={"form": "numbers", "separator": "", "size": 0})
    assert labels_of(tmp_path, numbers, [2.0, "0", 2]) == [1, 0, 1]
    with pytest.raises(BadData, match=r"row 1: label '2.5' does not occur in the training data"):
        labels_of(tmp_path, numbers, [2.5])
    marks = record("multi_label", ["a, b", "c"], cells={"form": "separated", "separator": ";", "size": 0})
    assert labels_of(tmp_path, marks, ["a, b", "c;a, b"]) == [[1, 0], [1, 1]]


def test_runs_of_older_versions_say_no_form(tmp_path):
    several = record("multi_label", ["a", "b"])
    assert labels_of(tmp_path, several, [["a"], ["a", "b"]]) == [[1, 0], [1, 1]]
    assert labels_of(tmp_path, several, ["a|b", "b"]) == [[1, 1], [0, 1]]
    single = record("single_label", ["0.0", "1.0"])
    assert labels_of(tmp_path, single, [1.0, 0.0]) == [1, 0]
