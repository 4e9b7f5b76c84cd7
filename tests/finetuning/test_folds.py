"""Cross-validation: the folds are scikit-learn's in kind, and every row is scored by a model without it."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest
from helpers import FILLER, request_of, toy_rows, write_csv
from sklearn import metrics as sk
from sklearn.model_selection import StratifiedKFold

from modernbert.comparison.collect import collect
from modernbert.comparison.compare import compare
from modernbert.comparison.outcomes import read_outcomes
from modernbert.comparison.plan import Wanted, plan_runs
from modernbert.data.own import OwnData, own_task
from modernbert.data.splits import hash_folds
from modernbert.errors import BadData, BadOption, BadRun, Stopped
from modernbert.finetuning.study import plan_study, resume_any, run_study
from modernbert.report.report import report
from modernbert.training.reports import EvaluationReport
from modernbert.training.resolve import load_training_splits, resolve_task


def test_folds_have_as_many_rows_of_each_class_as_scikit_learns():
    labels = [*"a" * 53, *"b" * 31, *"c" * 7]
    keys = [f"text {i}" for i in range(91)]
    found = np.array(hash_folds(keys, labels, 5))
    theirs = [held for _, held in StratifiedKFold(5).split(keys, labels)]
    assert sorted(np.bincount(found)) == sorted(map(len, theirs))
    for label in "abc":
        of_label = np.array(labels) == label
        expected = sorted(sum(of_label[held]) for held in theirs)
        assert sorted(np.bincount(found[of_label], minlength=5)) == pytest.approx(expected, abs=1)


def test_folds_depend_on_neither_order_nor_number_of_equal_keys():
    draw = random.Random(0)
    rows = [(f"key {i % 40}", "ab"[i % 2]) for i in range(100)]
    before = dict(zip((key for key, _ in rows), hash_folds(*zip(*rows, strict=True), 4), strict=True))
    draw.shuffle(rows)
    assert dict(zip((key for key, _ in rows), hash_folds(*zip(*rows, strict=True), 4), strict=True)) == before


def test_every_row_is_held_out_once_and_what_belongs_together_stays(tmp_path):
    rows = [{**row, "author": f"a{i // 3}"} for i, row in enumerate(toy_rows(90))]
    path = write_csv(tmp_path / "reviews.csv", [*rows, {**rows[0], "author": "a9"}])
    held: list[int] = []
    for number in range(1, 6):
        task, notes = own_task(OwnData(path=str(path), cluster="author", fold=(number, 5)))
        train, fold = task.source.splits["train"], task.source.splits["fold"]
        assert task.scored_splits == ("fold",)
        assert not set(train.columns["author"]) & set(fold.columns["author"])
        assert not set(train.columns["text"]) & set(fold.columns["text"])
        assert f"fold {number} of 5: {len(fold)} of 91 rows held out" in notes[-1]
        assert sorted([*train.numbers, *fold.numbers]) == list(range(1, 92))
        held += fold.numbers
    assert sorted(held) == list(range(1, 92))


def test_more_folds_than_rows_are_refused(tmp_path):
    path = write_csv(tmp_path / "few.csv", [*toy_rows(4), *toy_rows(4)])
    with pytest.raises(BadData, match="5 folds of 4 different rows"):
        own_task(OwnData(path=str(path), fold=(1, 5)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": "best"}, "--keep best has no effect with --folds"),
        ({"threshold": "auto"}, "--threshold auto has no effect"),
        ({"patience": 2}, "--patience has no effect"),
    ],
)
def test_a_fold_that_is_scored_chooses_nothing(changes, message, reviews, store):
    with pytest.raises(BadOption, match=message):
        plan_study(request_of(reviews, "m", **changes), [str(reviews)], 1, store, folds=3)


def test_what_has_no_labels_has_no_folds(store):
    with pytest.raises(BadOption, match="codesearch/stdlib is a retrieval task"):
        plan_study(request_of("codesearch/stdlib", "m"), ["codesearch/stdlib"], 1, store, folds=3)


def rte_bundle(folder):
    """Write a bundle of RTE with 60 training rows, one of which asks about the premise of another."""
    draw, path = random.Random(0), folder / "bundle" / "glue" / "rte"
    path.mkdir(parents=True)
    sizes = {"train": 60, "validation": 9}
    for split, size in sizes.items():
        texts = [" ".join(draw.choices(FILLER, k=6)) for _ in range(2 * size)]
        rows = [{"sentence1": texts[i], "sentence2": texts[-i - 1], "label": i % 2} for i in range(size)]
        rows[1]["sentence1"] = rows[0]["sentence1"]
        (path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "bundle"


def test_folds_of_a_named_task_are_of_its_training_rows(tmp_path):
    bundle = rte_bundle(tmp_path)
    held: list[int] = []
    for number in (1, 2, 3):
        request = replace(request_of("glue/rte", "m"), fold=(number, 3), data_dir=str(bundle))
        task, (note,) = resolve_task(request)
        splits = load_training_splits(task, bundle)
        assert set(splits) == {"train", "fold"} and len(splits["train"].rows) + len(splits["fold"].rows) == 60
        premises = [set(part.rows.columns["sentence1"]) for part in splits.values()]
        assert not premises[0] & premises[1]
        assert splits["fold"].found_in.startswith("bundle") and "'validation' is not used" in note
        held += splits["fold"].rows.numbers
    assert sorted(held) == list(range(1, 61))


def test_cross_validations_of_a_named_task_are_compared_row_by_row(tmp_path, store, tiny_bert):
    bundle = rte_bundle(tmp_path)
    for name, rate in (("slow", 1e-5), ("fast", 3e-3)):
        request = request_of("glue/rte", tiny_bert, epochs=1.0, learning_rate=rate)
        request = replace(request, data_dir=str(bundle), name=name)
        run_study(request, plan_study(request, ["glue/rte"], 1, store, folds=2), store)
    named = compare(store, ["fast-s42", "slow-s42"], [])
    (task,) = named.tasks
    assert (task.task, task.split, task.n) == ("glue/rte (out-of-fold)", "out-of-fold", 60)
    right = {}
    for name in ("fast-s42", "slow-s42"):
        rows = map(json.loads, (store.path(name) / "scores.jsonl").read_text().splitlines())
        right[name] = np.mean([row["label"] == row["prediction"] for row in rows])
    assert task.contrasts[0].difference.value == pytest.approx(right["slow-s42"] - right["fast-s42"])
    found, notes = collect(store, [])
    assert len(found) == 1, "the newer of one model's"
    assert any("4 runs of single folds" in note for note in notes)
    with pytest.raises(BadOption, match="minilm --folds 2"):
        plan_runs(store, found, Wanted(("minilm",)))


def test_a_cross_validation_is_stopped_resumed_and_scored_as_one(tmp_path, store, tiny_bert):
    path = write_csv(tmp_path / "reviews.csv", toy_rows(60))
    request = request_of(path, tiny_bert, epochs=1.0)
    study = plan_study(request, [str(path)], 1, store, folds=3)

    def stop(report):
        if isinstance(report, EvaluationReport) and len(store.names()) == 2:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        run_study(request, study, store, observe=stop)
    result = resume_any(study.name, store)
    (run,) = result.runs
    folds = store.read(run.name).folds
    assert len(folds) == 3 and len(store.names()) == 4
    by_id = {}
    for name in folds:
        record = store.read(name)
        assert record.training.steps == record.training.planned_steps
        assert record.config.evaluation.keep == "last"
        lines = (store.path(name) / "scores.jsonl").read_text().splitlines()
        by_id |= {int(row["id"].split("/")[1]): row for row in map(json.loads, lines)}
    assert sorted(by_id) == list(range(1, 61))
    labels, answers = zip(*((r["label"], r["prediction"]) for r in by_id.values()), strict=True)
    assert run.main == pytest.approx(sk.accuracy_score(labels, answers)) and run.splits[0].main.n == 60
    assert result.summaries[0].by_seed == {42: run.main}
    (outcome,) = read_outcomes(store, run.name)
    assert outcome.value == pytest.approx(run.main) and len(outcome.ids) == 60
    assert outcome.id == read_outcomes(store, folds[0])[0].id
    page = report(run.name, store)
    wrong = [toy_rows(60)[n - 1]["text"] for n, row in by_id.items() if row["label"] != row["prediction"]]
    assert any(text in page for text in wrong) and "Ids alone are shown" not in page
    path.write_text(path.read_text().replace("w1", "w2"))
    assert "Ids alone are shown" in report(run.name, store), "the file has changed"
    left = "left are 3 models, each trained on about 40 rows"
    assert any(note.startswith(left) for note in run.record.notes)
    with pytest.raises(BadRun, match="is finished"):
        resume_any(study.name, store)
