"""A label column is read in one way, which all of its cells decide; what was decided is said."""

from __future__ import annotations

import json
import random

import pytest
from helpers import write_csv

from modernbert.data.columns import guess_columns
from modernbert.data.examples import to_examples
from modernbert.data.labels import read_label_column
from modernbert.data.own import OwnData, own_task
from modernbert.data.rows import Rows
from modernbert.errors import BadData, BadOption


def column(name, values, kind=None):
    return read_label_column(Rows.of({name: values}, "rows.csv"), name, kind)


def targets(tmp_path, values, name="labels", kind=None):
    """Return the task that a JSONL file with these cells makes, and the training file's targets."""
    rows = [{"text": f"text {i}", name: value} for i, value in enumerate(values)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task, notes = own_task(OwnData(path=str(path), kind=kind, validation=path))
    return task, to_examples(task, task.source.splits["train"]).labels.tolist(), notes[0]


VECTORS = [
    [[0, 1, 1], [1, 0, 0], [0, 0, 0]],
    [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    [[False, True, True], [True, False, False], [False, False, False]],
    ["[0, 1, 1]", "[1, 0, 0]", "[0, 0, 0]"],
    ["[0. 1. 1.]", "[1. 0. 0.]", "[0. 0. 0.]"],
    ["[0 1 1]", "[1 0 0]", "[0 0 0]"],
    ["0,1,1", "1,0,0", "0,0,0"],
    ["0 1 1", "1 0 0", "0 0 0"],
    ["[false, true, true]", "[true, false, false]", "[false, false, false]"],
]


@pytest.mark.parametrize("cells", VECTORS)
def test_vectors_of_zeros_and_ones_are_classes_by_their_place(tmp_path, cells):
    task, labels, note = targets(tmp_path, cells * 4)
    assert (task.kind, task.labels) == ("multi_label", ("0", "1", "2"))
    assert labels[:3] == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert "vectors of 3 zeros and ones; --kind single_label" in note


def test_vectors_with_one_1_each_are_one_class_a_row_unless_told(tmp_path):
    cells = [[0, 1, 0], [1, 0, 0], [0, 1, 0]] * 4
    task, labels, _ = targets(tmp_path, cells)
    assert (task.kind, task.labels, labels[:3]) == ("single_label", ("0", "1", "2"), [1, 0, 1])
    task, labels, note = targets(tmp_path, cells, kind="multi_label")
    assert (task.kind, labels[:2]) == ("multi_label", [[0, 1, 0], [1, 0, 0]])
    assert note.endswith("with one 1 in each; --kind multi_label")


@pytest.mark.parametrize(
    "cells",
    [
        [["joy"], ["anger", "sadness"], []],
        ["['joy']", "['anger', 'sadness']", "[]"],
        ['["joy"]', '["anger", "sadness"]', "[]"],
        ["['joy']", "['anger' 'sadness']", "[]"],
        ["[joy]", "[anger, sadness]", "[]"],
        ["('joy',)", "('anger', 'sadness')", "()"],
        [{"joy": 1, "anger": 0, "sadness": 0}, {"joy": 0, "anger": 1, "sadness": 1}, {}],
        [{"joy": True}, {"anger": True, "sadness": True, "joy": False}, {}],
        ["{'joy': 1}", "{'anger': 1, 'sadness': 1}", "{'joy': 0}"],
        ["joy", "anger|sadness", ""],
        ["joy", "anger; sadness", ""],
        ["joy", "anger, sadness", ""],
    ],
)
def test_lists_objects_and_separated_names_hold_several_labels(tmp_path, cells):
    task, labels, _ = targets(tmp_path, cells * 4)
    assert (task.kind, task.labels) == ("multi_label", ("anger", "joy", "sadness"))
    assert labels[:3] == [[0, 1, 0], [1, 0, 1], [0, 0, 0]]


def test_lists_of_class_numbers_are_names(tmp_path):
    task, labels, _ = targets(tmp_path, [[27], [2.0, 14], [0], [1, 0]] * 3)
    assert task.labels == ("0", "1", "2", "14", "27")
    assert labels[3] == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([["a"], ["b"], None], "row 3: the label .column 'labels'. is missing"),
        ([["a"], ["b", None]], r"row 2: column 'labels' holds \['b', None\] where a list of labels"),
        ([["a"], ["b", " "]], "row 2: column 'labels' holds"),
        ([["a", "b"], "c"], "row 2: column 'labels' holds 'c' where a list of labels is expected"),
        ([[0, 1, 1], [0, 1, 1], [1, 0]], r"row 3: column 'labels' holds \[1, 0\] where a list of 3 zeros"),
        ([[0.1, 0.9], [0.8, 0.2]], r"row 1: column 'labels' holds \[0.1, 0.9\] where a list of labels"),
        ([{"joy": 0.3}, {"joy": 0.7}], "row 1: column 'labels' holds {'joy': 0.3} where a list of labels"),
        (["['a']", "['b']", "c"], "row 3: column 'labels' holds 'c' where a list of labels is expected"),
        (["['a']", "['b', nan]", "['b']"], "row 2: column 'labels' holds"),
    ],
)
def test_a_cell_of_another_form_is_named_with_its_row(tmp_path, cells, message):
    with pytest.raises(BadData, match=message):
        targets(tmp_path, cells)


def test_one_label_a_row_is_obeyed_or_refused(tmp_path):
    task, labels, _ = targets(tmp_path, [["a"], ["b"]] * 4, kind="single_label")
    assert (task.labels, labels[:2]) == (("a", "b"), [0, 1])
    with pytest.raises(BadData, match="row 2: column 'labels' holds 2 labels where one is expected"):
        targets(tmp_path, [["a"], ["b", "a"]], kind="single_label")


def test_one_separator_holds_for_the_whole_column():
    cells = ["New York, NY|Paris", "Paris", "Lyon|New York, NY", "Rome, Italy"] * 5
    assert column("tags", cells).labels == ("Lyon", "New York, NY", "Paris", "Rome, Italy")
    stray = ["red, blue", "blue, green"] * 20 + ["a|b, red"]
    assert column("tags", stray).labels == ("a|b", "blue", "green", "red")


def test_parts_that_come_back_tell_several_labels_in_a_column_of_any_name():
    assert column("genre", ["Drama|Comedy", "Drama", "Comedy"] * 5).labels == ("Comedy", "Drama")
    assert column("genre", ["Arts | Culture", "Sports | Leisure"] * 5).kind == "single_label"
    assert column("topic", ["Arts, culture", "Arts", "culture"] * 5).kind == "single_label"


def spread(distinct, rows, first=0, step=1):
    values = [first + step * (i % distinct) for i in range(rows)]
    random.Random(0).shuffle(values)
    return values


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("label", spread(77, 462), "single_label"),
        ("label", list(map(str, spread(77, 462))), "single_label"),
        ("label", [float(value) for value in spread(77, 462)], "single_label"),
        ("category_id", spread(40, 400, 4711, 13), "single_label"),
        ("intentCode", spread(40, 400, 100, 10), "single_label"),
        ("target", spread(40, 400), "single_label"),
        ("target", spread(40, 400, 18), "regression"),
        ("score", spread(101, 1000), "regression"),
        ("stars", spread(5, 100, 1), "single_label"),
        ("value", spread(15, 15), "regression"),
        ("label", spread(300, 310), "regression"),
        ("label", [f"{value:04d}" for value in spread(30, 180)], "single_label"),
        ("score", ["0.5", "1", "2.25"] * 9, "regression"),
        ("label", ["1_000", "2_000", "3_000"] * 9, "single_label"),
        ("label", [True, False] * 9, "single_label"),
        ("score", [i / 7 for i in range(60)] + ["n/a"], "regression"),
    ],
)
def test_numbers_are_classes_or_quantities(name, values, kind):
    assert column(name, values).kind == kind


def test_codes_keep_their_zeros_and_numbers_are_one_however_written(tmp_path):
    codes = [f"{value:04d}" for value in spread(30, 180)]
    assert column("label", codes).labels[:2] == ("0000", "0001")
    assert column("label", ["1_0", "2_0"] * 9).labels == ("1_0", "2_0")
    assert column("label", [1.0, 0.0, 2, "1", "2.0", 10.0] * 3).labels == ("0", "1", "2", "10")
    assert targets(tmp_path, [1.0, 0.0] * 5, "label")[1][:2] == [1, 0]


def test_a_cell_that_is_no_number_does_not_make_classes_of_the_others(tmp_path):
    with pytest.raises(BadData, match="row 61: label 'n/a' is no plain number"):
        targets(tmp_path, [i / 7 for i in range(60)] + ["n/a"], "score")


def test_what_was_decided_is_said_with_the_reason_and_the_option():
    found = column("label", spread(77, 462))
    assert found.why == "77 whole numbers, each in 6 rows on average"
    assert found.otherwise == "--kind regression takes quantities"
    found = column("tags", ["a;b", "a"] * 6)
    assert found.why == "';' stands between labels in 6 of 12 rows"
    assert column("label", ["0007", "0008"]).why == "codes, such as 0007"


def test_numbers_of_many_digits_stay_apart(tmp_path):
    ids = [10**18 + 1, 10**18 + 2, 3]
    assert column("label", ids * 5).labels == ("3", "1000000000000000001", "1000000000000000002")
    assert targets(tmp_path, ids * 5, "label")[1][:3] == [1, 2, 0]


@pytest.mark.parametrize("cells", [["3,5", "2,0", "4,25"], ["1,234", "900", "12,500"]])
def test_numbers_with_a_comma_are_refused_unless_they_are_said_to_be_names(tmp_path, cells):
    with pytest.raises(BadData, match=r"row 1: column 'label' holds .* which is no plain number"):
        targets(tmp_path, cells * 5, "label")
    assert column("label", cells * 5, "single_label").labels == tuple(sorted(cells))


FLAGS = {"toxic": [1, 0, 0, 1], "insult": [0, 0, 0, 1], "threat": [0, 0, 0, 0]}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("label", [None, "toxic,insult,threat"])
def test_a_column_of_zeros_and_ones_for_each_label(tmp_path, suffix, label):
    rows = [{"text": f"text {i}"} | {n: cells[i % 4] for n, cells in FLAGS.items()} for i in range(40)]
    path = tmp_path / f"rows{suffix}"
    if suffix == ".csv":
        write_csv(path, rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task, notes = own_task(OwnData(path=str(path), label=label, validation=path))
    train = task.source.splits["train"]
    assert (task.kind, task.labels) == ("multi_label", ("insult", "threat", "toxic"))
    assert to_examples(task, train).labels[:4].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0], [1, 0, 1]]
    assert "label <- toxic,insult,threat (3 labels, several a row): zeros and ones" in notes[0]
    other = Rows({**train.columns, "insult": [1] * 40}, "other", train.numbers)
    assert train.fingerprint(["text", task.label]) != other.fingerprint(["text", task.label])


def test_a_missing_one_of_several_label_columns_is_named():
    data = Rows.of({"text": ["a"], "toxic": [1]}, "rows.csv")
    with pytest.raises(BadData, match="there is no column 'threat'; the columns are text, toxic"):
        guess_columns(data, label="toxic,threat")
    with pytest.raises(BadOption, match="the column 'toxic' cannot be both text and label"):
        guess_columns(data, text=["toxic"], label="toxic,threat")
