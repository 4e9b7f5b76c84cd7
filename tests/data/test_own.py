"""Own data as tasks: files, folders, Hub data sets; labels, metrics and the recorded split."""

from __future__ import annotations

import json

import pytest
from helpers import toy_rows, write_csv

from modernbert.data.check import check_data
from modernbert.data.choices import OF_POSITIVE
from modernbert.data.examples import to_examples
from modernbert.data.own import OwnData, own_task, read_hub_data
from modernbert.errors import BadData, NotAvailable


def test_a_split_is_made_the_same_way_whatever_the_order(tmp_path):
    rows = toy_rows(200)
    first, notes = own_task(OwnData(path=str(write_csv(tmp_path / "a.csv", rows))))
    second, _ = own_task(OwnData(path=str(write_csv(tmp_path / "b.csv", rows[::-1]))))
    held_out = [set(task.source.splits["validation"].columns["text"]) for task in (first, second)]
    assert held_out[0] == held_out[1]
    assert any(note.startswith("split: ") and "of 200 rows held out" in note for note in notes)


def test_of_a_thousand_rows_a_test_is_held_out_that_leaves_validation_as_it_was(tmp_path):
    rows = [{"text": f"text {i}", "label": "ab"[i % 4 == 0]} for i in range(1000)]
    path = write_csv(tmp_path / "a.csv", rows)
    task, notes = own_task(OwnData(path=str(path)))
    assert {name: len(part) for name, part in task.source.splits.items()} == {
        "train": 800, "validation": 100, "test": 100,
    }  # fmt: skip
    assert (
        task.scored_splits == ("validation", "test")
        and "and 100 for a test that chooses nothing" in notes[-1]
    )
    assert task.source.splits["test"].columns["label"].count("b") == 25
    texts = [text for part in task.source.splits.values() for text in part.columns["text"]]
    assert sorted(texts) == sorted(row["text"] for row in rows)
    given, _ = own_task(OwnData(path=str(path), test=write_csv(tmp_path / "test.csv", rows[:7])))
    sizes = {name: len(part) for name, part in given.source.splits.items()}
    assert sizes == {"train": 900, "validation": 100, "test": 7}
    assert given.source.splits["validation"].columns == task.source.splits["validation"].columns
    few, notes = own_task(OwnData(path=str(write_csv(tmp_path / "few.csv", rows[1:]))))
    assert few.scored_splits == ("validation",) and notes[-1].endswith("--folds 5 scores better")


def test_equal_texts_stay_on_one_side(tmp_path):
    rows = toy_rows(100)
    task, _ = own_task(OwnData(path=str(write_csv(tmp_path / "a.csv", rows * 2))))
    parts = [set(part.columns["text"]) for part in task.source.splits.values()]
    assert not parts[0] & parts[1]


@pytest.mark.parametrize(
    ("labels", "kind", "names", "metrics"),
    [
        (["no", "yes"], "single_label", ("no", "yes"), ("accuracy", "macro_f1", "matthews", *OF_POSITIVE)),
        ([2, 10, 1], "single_label", ("1", "2", "10"), ("accuracy", "macro_f1")),
        ([["a"], ["a", "b"]], "multi_label", ("a", "b"), ("micro_f1", "macro_f1", "exact_match")),
        (
            [0.1, 0.25, 3.5],
            "regression",
            (),
            ("r2", "mean_absolute_error", "root_mean_squared_error", "pearson", "spearman"),
        ),
    ],
)
def test_labels_decide_kind_names_and_metrics(tmp_path, labels, kind, names, metrics):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"text {i}", "label": labels[i % len(labels)]} for i in range(60)]
    path.write_text("\n".join(map(json.dumps, rows)))
    task, _ = own_task(OwnData(path=str(path)))
    assert (task.kind, task.labels, task.metrics) == (kind, names, metrics)
    examples = to_examples(task, task.source.splits["validation"])
    assert examples.labels.shape == ((len(examples), 2) if kind == "multi_label" else (len(examples),))


def test_a_folder_of_splits_is_taken_as_it_is(tmp_path):
    for name, count in (("train", 50), ("dev", 20), ("test", 10)):
        write_csv(tmp_path / f"{name}.csv", toy_rows(count))
    task, _ = own_task(OwnData(path=str(tmp_path)))
    sizes = {name: len(rows) for name, rows in task.source.splits.items()}
    assert sizes == {"train": 50, "validation": 20, "test": 10}
    assert task.scored_splits == ("validation", "test")


def test_a_folder_that_is_no_data_set(tmp_path):
    with pytest.raises(BadData, match="no training file"):
        own_task(OwnData(path=str(tmp_path)))
    write_csv(tmp_path / "train.csv", toy_rows(5))
    write_csv(tmp_path / "train.tsv", toy_rows(5))
    with pytest.raises(BadData, match=r"two files for 'train': train.csv and train.tsv"):
        own_task(OwnData(path=str(tmp_path)))


def test_texts_that_differ_in_letter_case_stay_on_one_side(tmp_path):
    rows = toy_rows(100)
    path = write_csv(tmp_path / "a.csv", rows + [row | {"text": row["text"].upper() + " "} for row in rows])
    task, _ = own_task(OwnData(path=str(path)))
    splits = {name: to_examples(task, part) for name, part in task.source.splits.items()}
    assert not [warning for warning in check_data(task, splits).warnings if "stand in" in warning]
    assert sorted(map(len, splits.values())) == [20, 180]


def test_one_text_only_cannot_be_split(tmp_path):
    rows = [{"text": "same", "label": label} for label in "ab" * 10]
    with pytest.raises(BadData, match="too few different rows"):
        own_task(OwnData(path=str(write_csv(tmp_path / "a.csv", rows))))


def test_a_hub_data_set_is_read_through_datasets(monkeypatch):
    import datasets

    made = datasets.Dataset.from_list(toy_rows(40))
    loaded = datasets.DatasetDict({"train": made, "test": made, "unsupervised": made})
    monkeypatch.setattr(datasets, "load_dataset", lambda repo, **kwargs: loaded)
    task, notes = own_task(OwnData(path="someone/reviews"))
    assert notes[0].startswith("text <- text, label <- label (2 classes): names; --kind")
    assert set(task.source.splits) == {"train", "validation", "test"}


def test_a_hub_data_set_without_a_network():
    with pytest.raises(NotAvailable, match="'someone/reviews' is no file here, no task, and no data set"):
        own_task(OwnData(path="someone/reviews"))


def test_labels_that_stand_alone_are_told_before_training(tmp_path):
    file = write_csv(tmp_path / "ids.csv", [{"text": f"text {i}", "label": f"name {i}"} for i in range(60)])
    with pytest.raises(BadData, match="no row can be held out for validation: 60 labels in 60 rows"):
        own_task(OwnData(path=str(file)))


@pytest.mark.parametrize("price", ["$4,294.50", "3,5", "12 €", "7%", "1,234"])
def test_a_price_that_is_no_plain_number_is_told_with_its_row(tmp_path, price):
    rows = [{"text": f"text {i}", "price": price} for i in range(60)]
    with pytest.raises(BadData, match=r"row 1.*which is no plain number"):
        own_task(OwnData(path=str(write_csv(tmp_path / "prices.csv", rows)), label="price"))


def test_a_mistyped_task_may_be_a_data_set_of_the_hub_and_is_told_as_both():
    with pytest.raises(NotAvailable, match="no data set that can be loaded") as caught:
        read_hub_data("glu/sst2")
    assert "Did you mean glue/sst2?" in caught.value.fix
    with pytest.raises(NotAvailable) as caught:
        read_hub_data("somebody/something-else")
    assert "Did you mean" not in caught.value.fix
