"""Guessing columns: the usual names, the kinds of label, and saying so when it cannot be told."""

from __future__ import annotations

import pytest

from modernbert.data.columns import guess_columns
from modernbert.data.rows import Rows
from modernbert.errors import BadData

LONG = [f"this is a somewhat longer text, number {i}" for i in range(20)]


def rows(**columns) -> Rows:
    return Rows.of(columns, "rows.csv")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"body": LONG, "category": ["a", "b"] * 10}, "text <- body, label <- category (2 classes)"),
        ({"Text": LONG, "Label": [0, 1] * 10}, "text <- Text, label <- Label (2 classes)"),
        (
            {"premise": LONG, "hypothesis": LONG, "label": [0, 1] * 10},
            "text <- premise + hypothesis, label <- label (2 classes)",
        ),
        (
            {"text": LONG, "score": [i / 7 for i in range(20)]},
            "text <- text, label <- score (a number)",
        ),
        ({"text": LONG, "stars": [1, 2, 3, 4, 5] * 4}, "text <- text, label <- stars (5 classes)"),
        (
            {"text": LONG, "tags": ["red|blue", "red"] * 10},
            "text <- text, label <- tags (2 labels, several a row)",
        ),
        (
            {"text": LONG, "labels": [["red", "blue"], []] * 10},
            "text <- text, label <- labels (2 labels, several a row)",
        ),
        (
            {"id": range(20), "utterance": LONG, "intent": ["x", "y"] * 10},
            "text <- utterance, label <- intent",
        ),
    ],
)
def test_guesses(columns, expected):
    assert guess_columns(rows(**columns)).describe().startswith(expected)


def test_what_is_given_is_taken():
    data = rows(text=LONG, title=LONG, label=[0, 1] * 10, stars=[1, 2, 3, 4] * 5)
    found = guess_columns(data, text=("title",), label="stars", kind="regression")
    assert (found.text, found.label, found.found.kind) == (("title",), "stars", "regression")


def test_two_candidates_for_the_label_are_no_guess():
    with pytest.raises(BadData, match="cannot tell which column is the label; the columns are a, b, text"):
        guess_columns(rows(a=["x", "y"] * 10, b=["x", "y"] * 10, text=LONG))


def test_a_file_without_labels_is_called_so():
    with pytest.raises(BadData, match="no column looks like a label; the columns are text, body"):
        guess_columns(rows(text=LONG, body=[None] * 19 + ["x"]))


def test_one_column_is_not_enough():
    with pytest.raises(BadData, match="the only column is 'text'; a text and a label are needed"):
        guess_columns(rows(text=LONG))


def test_a_label_with_more_values_than_classes_can_have():
    data = rows(text=["t"] * 1500, label=[f"name {i}" for i in range(1500)])
    with pytest.raises(BadData, match="1500 different values: not a label"):
        guess_columns(data)


MEASURED, WITH_A_GAP = ["9.5", "10", "7"], [9.5, 10.0, None]
NUMBERED, WITH_A_WORD = ["9", "10", "7"], ["9.5", "x", "7"]


@pytest.mark.parametrize("prices", [MEASURED, WITH_A_GAP])
def test_the_only_other_column_is_the_label_if_it_holds_measurements(prices):
    found = guess_columns(rows(text=LONG[: len(prices)], price=prices))
    assert (found.label, found.found.kind) == ("price", "regression")


@pytest.mark.parametrize("prices", [NUMBERED, WITH_A_WORD])
def test_whole_numbers_that_hardly_repeat_may_be_identifiers(prices):
    with pytest.raises(BadData, match="no column looks like a label") as caught:
        guess_columns(rows(text=LONG[: len(prices)], price=prices))
    assert "--label-col price" in caught.value.fix
