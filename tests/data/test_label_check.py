"""Labels that few rows have, that look alike, or that are written in several ways."""

from __future__ import annotations

import dataclasses
import json

import pytest
from helpers import write_csv

from modernbert.data.alike import look_alikes
from modernbert.data.check import check_data
from modernbert.data.examples import to_examples
from modernbert.data.own import OwnData, own_task
from modernbert.errors import BadData


def warnings_of(tmp_path, labels, **more):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"text {i}", "label": label} for i, label in enumerate(labels)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task, _ = own_task(OwnData(path=str(path), **more))
    splits = {name: to_examples(task, part) for name, part in task.source.splits.items()}
    return check_data(task, splits).warnings


def test_labels_with_few_held_out_rows_are_named(tmp_path):
    labels = ["rare"] * 36 + ["often"] * 342 + ["usual"] * 342
    assert warnings_of(tmp_path, labels) == ("validation: fewer than 10 rows to score rare (4)",)
    assert warnings_of(tmp_path, ["a"] * 200 + ["b"] * 200) == ()


def test_a_label_that_most_rows_have_makes_accuracy_say_little(tmp_path):
    start, end = "a constant answer is as accurate; choose", "; --class-weights balanced weighs the rare more"
    assert (
        f"train: 95% of the rows are ham: {start} --metric f1 or average_precision, which are of spam{end}"
        in warnings_of(tmp_path, ["ham"] * 950 + ["spam"] * 50)
    )
    assert f"train: 95% of the rows are ham: {start} --metric macro_f1{end}" in warnings_of(
        tmp_path, ["ham"] * 950 + ["spam"] * 30 + ["news"] * 20
    )


def test_the_positive_class_is_named_where_it_is_not_the_rare_one(tmp_path):
    rows = [{"text": f"w{i}", "label": "spam" if i % 20 else "ham"} for i in range(400)]
    path = write_csv(tmp_path / "mail.csv", rows)
    task, _ = own_task(OwnData(path=str(path)))
    task = dataclasses.replace(task, positive="spam")
    examples = {name: to_examples(task, part) for name, part in task.source.splits.items()}
    assert any("are of ham with --positive ham" in told for told in check_data(task, examples).warnings)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["pos", "pos ", "Pos", " neg", "neg"], "' neg' (20) and 'neg' (20), 'Pos' (20) and 'pos' (20) and"),
        ([1, 1.0, True, "x", "y"], "'1' (20) and '1.0' (20) and 'True' (20)"),
        (["caf\u00e9", "cafe\u0301"], "'cafe\u0301' (50) and 'caf\u00e9' (50)"),
        (["\uff11", "1", "one"], "(33) and '\uff11' (34)"),
    ],
)
def test_labels_that_look_alike_are_told(tmp_path, labels, told):
    found = [warning for warning in warnings_of(tmp_path, [labels[i % len(labels)] for i in range(100)])]
    assert any(warning.startswith("labels that differ only in") and told in warning for warning in found)


def test_labels_that_do_not_look_alike():
    assert look_alikes(["yes", "no", "1", "10", "-1", "0.1", "c", "c#", "true", "false"]) == [("1", "true")]


def test_spellings_of_one_label_and_names_of_nothing_are_told(tmp_path):
    found = warnings_of(tmp_path, [1, "1", 0, 0] * 25)
    assert "labels written in several ways are taken as one: '1' and 1" in found
    found = warnings_of(tmp_path, ["nan", "good", "bad", "bad"] * 25)
    assert "labels that may stand for a missing one: 'nan' (25)" in found


def test_an_unknown_label_that_looks_like_a_known_one_is_told_so(tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "new", "label": "Good "}\n')
    with pytest.raises(
        BadData, match=r"row 1: label 'Good ' does not occur(.|\n)*looks like the label 'good'"
    ):
        warnings_of(tmp_path, ["good", "bad"] * 10, validation=other)


def test_rows_without_a_label_are_counted(tmp_path):
    found = warnings_of(tmp_path, [["a"], ["b"], [], ["a", "b"]] * 50)
    assert any(warning.startswith("train: ") and "rows have no label" in warning for warning in found)
