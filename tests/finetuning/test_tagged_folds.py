"""Cross-validation of tagged words: each sentence is tagged once, by a model that was not trained on it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from helpers import request_of, toy_sentences, write_conll

from modernbert.comparison.compare import compare
from modernbert.comparison.outcomes import read_outcomes
from modernbert.data.own import OwnData
from modernbert.data.own_sentences import token_task
from modernbert.errors import BadOption
from modernbert.finetuning.study import plan_study, run_study
from modernbert.report.report import report

# The rare one's entity is in one sentence only: of one fold.
SENTENCES = [*toy_sentences(59), (["good", "x9", "rare"], ["B-PLUS", "O", "B-RARE"])]


def cross_validated(path, model, store, *, folds=3, **settings):
    request = request_of(path, model, **settings)
    (run,) = run_study(request, plan_study(request, [str(path)], 1, store, folds=folds), store).runs
    return run


def rows_of(store, name):
    return [json.loads(line) for line in (store.path(name) / "scores.jsonl").read_text().splitlines()]


def test_every_sentence_is_held_out_once_and_equal_ones_stay_together(tmp_path):
    path = write_conll(tmp_path / "words.conll", [*SENTENCES, SENTENCES[0]])
    held: list[int] = []
    for number in range(1, 4):
        task, notes = token_task(OwnData(path=str(path), fold=(number, 3)))
        train, fold = task.splits["train"], task.splits["fold"]
        assert (task.scored, task.watched) == (("fold",), "fold")
        assert not {*map(tuple, train.columns[task.text])} & {*map(tuple, fold.columns[task.text])}
        assert "B-RARE" in task.labels, "whatever it was trained on, a model knows the tags of all rows"
        assert (
            f"fold {number} of 3: {len(fold)} of 61 rows held out (by a hash of the text; equal" in notes[-1]
        )
        held += fold.numbers
    assert len(held) == len(set(held)) == 61


def test_a_cross_validation_is_scored_compared_and_reported_as_one(tmp_path, store, tiny_modernbert):
    path = write_conll(tmp_path / "words.conll", SENTENCES)
    slow = cross_validated(path, tiny_modernbert, store, epochs=1.0, learning_rate=1e-4)
    run = cross_validated(path, tiny_modernbert, store, epochs=6.0, learning_rate=1e-2)
    rows, folds = rows_of(store, run.name), store.read(run.name).folds
    assert [row["id"] for row in rows] == [f"out-of-fold/{n}" for n in range(1, 61)]
    by_fold = {row["id"]: row for name in folds for row in rows_of(store, name)}
    for row in rows:
        number = row["id"].partition("/")[2]
        assert row["prediction"] == by_fold[f"fold/{number}"]["prediction"]
    right = sum(len({*map(tuple, r["label"])} & {*map(tuple, r["prediction"])}) for r in rows)
    sizes = sum(len(row["label"]) + len(row["prediction"]) for row in rows)
    assert run.main == pytest.approx(2 * right / sizes) and run.main > 0.3
    assert run.splits[0].main.n == 60
    assert {label.label for label in run.splits[0].labels} == {"MINUS", "PLUS", "RARE"}
    assert all(store.read(name).config.evaluation.keep == "last" for name in folds)
    (outcome,) = read_outcomes(store, run.name)
    assert outcome.value == pytest.approx(run.main)
    (task,) = compare(store, [run.name, slow.name], [], allow=True).tasks
    assert task.n == 60 and task.contrasts[0].difference.value == pytest.approx(slow.main - run.main)
    page = report(run.name, store)
    wrong = [
        words for (words, _), row in zip(SENTENCES, rows, strict=True) if row["label"] != row["prediction"]
    ]
    assert any(" ".join(words) in page for words in wrong) and "Ids alone are shown" not in page
    path.write_text(path.read_text().replace("x9", "x8"))
    assert "Ids alone are shown" in report(run.name, store), "the file has changed"


def test_a_validation_split_beside_folds_is_refused(tmp_path, store, tiny_modernbert):
    for name in ("train", "validation"):
        write_conll(tmp_path / f"{name}.conll", SENTENCES)
    with pytest.raises(BadOption, match="there is a validation split already"):
        cross_validated(tmp_path, tiny_modernbert, store)
    one = replace(request_of(tmp_path / "train.conll", "m"), validation=str(tmp_path / "validation.conll"))
    with pytest.raises(BadOption, match="leave --validation out"):
        plan_study(one, [one.target], 1, store, folds=3)
