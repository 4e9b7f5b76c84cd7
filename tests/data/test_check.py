"""The look at the data: duplicates, torn labels, rare classes, cut and empty texts; GLUE's own defects."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import SHARED_DATA, needs_shared_data

from modernbert.data.check import check_data
from modernbert.data.examples import to_examples
from modernbert.data.registry import find_task
from modernbert.data.rows import Rows
from modernbert.data.sources import load_split
from modernbert.data.tokens import TokenLengths

TASK = find_task("glue/sst2")


def examples(sentences, labels):
    return to_examples(TASK, Rows.of({"sentence": sentences, "label": labels}, "rows"))


def test_duplicates_across_splits_are_counted_whatever_case_and_spaces():
    train = examples(["A  good film", "b"] * 10, [1, 0] * 10)
    others = [f"new {i}" for i in range(19)]
    held_out = examples(["a good Film ", *others], [1, 0] * 10)
    report = check_data(TASK, {"train": train, "validation": held_out})
    assert report.warnings == ("validation: 1 of 20 rows are also in train; they count in the scores",)


def test_texts_with_two_labels_rare_classes_and_empties_are_named():
    train = examples(["same", "same", " ", *"abcdefgh"], [0, 1, 0, *[0] * 8])
    warnings = " / ".join(check_data(TASK, {"train": train}).warnings)
    assert "train: hardly any rows for positive (1)" in warnings
    assert "train: 1 text occurs with different labels" in warnings
    assert "train: 1 of 11 rows have no text" in warnings


def test_the_share_of_cut_texts_is_shown():
    train = examples(list("abcdefghij") * 2, [0, 1] * 10)
    lengths = {"train": TokenLengths(np.array([10] * 18 + [99] * 2))}
    report = check_data(TASK, {"train": train}, lengths=lengths, max_length=50)
    assert report.splits[0].truncated == pytest.approx(0.1)
    assert report.splits[0].tokens == {"p50": 10, "p95": 99, "max": 99}
    assert "texts longer than 50 tokens are truncated: 10% of train" in report.warnings


def test_truncation_is_one_warning_for_all_splits():
    parts = dict.fromkeys(("train", "validation", "test"), examples(list("abcdefghij") * 2, [0, 1] * 10))
    lengths = {"train": TokenLengths(np.array([10] * 18 + [99] * 2))}
    lengths |= {"validation": TokenLengths(np.array([99] * 20)), "test": TokenLengths(np.array([9] * 20))}
    warnings = check_data(TASK, parts, lengths=lengths, max_length=50).warnings
    told = [warning for warning in warnings if "50 tokens" in warning]
    assert told == ["texts longer than 50 tokens are truncated: 10% of train, 100% of validation"]


def test_names_of_special_tokens_are_counted_and_said_to_be_text(tiny_tokenizer):
    train = examples(["good [SEP] fine", "[SEP] [SEP] [MASK]", "[sep] good"] + ["fine"] * 17, [0, 1] * 10)
    warnings = check_data(TASK, {"train": train}, tokenizer=tiny_tokenizer).warnings
    assert warnings[-1] == (
        "train: 2 of 20 texts name special tokens ([MASK], [SEP]), which are read as text"
    )
    assert not check_data(
        TASK, {"train": examples(["a", "b"] * 9, [0, 1] * 9)}, tokenizer=tiny_tokenizer
    ).warnings


@needs_shared_data
@pytest.mark.parametrize(("name", "count"), [("glue/cola", 18), ("glue/stsb", 6)])
def test_glues_own_overlaps_are_found(name, count):
    task = find_task(name)
    splits = {s: to_examples(task, load_split(task, s, SHARED_DATA).rows) for s in ("train", "validation")}
    found = [w for w in check_data(task, splits).warnings if w.startswith("validation")]
    assert found
    assert f"{count} of" in found[0], found
