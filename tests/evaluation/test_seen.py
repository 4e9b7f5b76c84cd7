"""Scores on texts that a run was trained on are told from scores on new ones."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import request_of, toy_rows, write_csv

from modernbert.errors import BadRun
from modernbert.evaluation.evaluate import evaluate_model
from modernbert.evaluation.seen import remember, were_seen
from modernbert.evaluation.trained_task import task_of_file
from modernbert.finetuning.finetune import finetune
from modernbert.model.locate import locate_model


def test_texts_are_known_again_but_for_case_and_spaces(tmp_path):
    path = tmp_path / "texts.npy"
    remember(path, [("A  text",), ("two", "parts"), ("A  text",)])
    asked = [("a text",), ("two parts",), ("two", "Parts "), ("another",)]
    assert were_seen(path, asked).tolist() == [True, False, True, False]
    assert were_seen(tmp_path / "none.npy", asked) is None
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadRun, match="hashes of the training texts are damaged"):
        were_seen(path, asked)


def test_an_evaluation_says_what_was_trained_on(tmp_path, store, tiny_bert):
    old, new = toy_rows(60), toy_rows(20, seed=1)
    run = finetune(request_of(write_csv(tmp_path / "old.csv", old), tiny_bert, epochs=1.0), store)
    held_out = {s.split: s.rows for s in run.record.data.report.splits}["validation"]
    source = locate_model(run.name, store=store)

    def evaluated(name, rows):
        task = task_of_file(run.record, write_csv(tmp_path / name, rows))
        result = evaluate_model(task, source, store, precision="fp32")
        kept = (store.path(result.name) / "scores.jsonl").read_text().splitlines()
        return result.splits[0], [json.loads(line) for line in kept]

    both, rows = evaluated("both.csv", [*new, *old])
    (note,) = (note for note in both.notes if "TRAINED ON" in note)
    assert note.startswith(f"TRAINED ON: {60 - held_out} of 80 texts were trained on; ")
    unseen, _ = evaluated("new.csv", new)
    assert not any("TRAINED ON" in note for note in unseen.notes)
    assert f"the other {20 + held_out} score accuracy" in note
    right = np.mean([row["label"] == row["prediction"] for row in rows])
    assert both.main.value == pytest.approx(right), "the whole file is scored as before"
    trained, _ = evaluated("old.csv", [r for r in old if r["text"] in _training_texts(store, run, old)])
    assert any(note.endswith("were trained on: this is no test") for note in trained.notes)
    # The file that it held rows out of: these chose the step. With other rows beside them they did not.
    whole, _ = evaluated("whole.csv", old)
    assert any("chose the step that is kept on the others, which it held out" in n for n in whole.notes)
    assert not any("the run chose" in note for note in (*both.notes, *unseen.notes, *trained.notes))


def test_an_evaluation_of_the_whole_file_tells_rows_that_chose_the_step_from_those_of_the_test(
    tmp_path, store, tiny_bert
):
    rows = [{"text": f"{row['text']} {i}", "label": row["label"]} for i, row in enumerate(toy_rows(1000))]
    path = write_csv(tmp_path / "reviews.csv", rows)
    run = finetune(request_of(path, tiny_bert, epochs=0.1), store)
    task, source = task_of_file(run.record, path), locate_model(run.name, store=store)
    (split,) = evaluate_model(task, source, store, precision="fp32").splits
    assert any("on 100 of the others, which it held out" in note for note in split.notes)


def _training_texts(store, run, rows):
    """Return the texts that were not held out, by the numbers of those that were."""
    lines = (store.path(run.name) / "scores.jsonl").read_text().splitlines()
    held_out = {int(json.loads(line)["id"].split("/")[1]) for line in lines}
    return {row["text"] for number, row in enumerate(rows, 1) if number not in held_out}


def test_an_evaluation_says_that_its_examples_chose_the_step(tmp_path, store, tiny_bert):
    """The validation file itself, and another one."""
    validation = write_csv(tmp_path / "validation.csv", toy_rows(20, seed=1))
    request = request_of(write_csv(tmp_path / "train.csv", toy_rows(60)), tiny_bert, epochs=1.0)
    run = finetune(replace(request, validation=str(validation)), store)
    source = locate_model(run.name, store=store)
    for path, told in ((validation, True), (write_csv(tmp_path / "new.csv", toy_rows(20, seed=2)), False)):
        result = evaluate_model(task_of_file(run.record, path), source, store, precision="fp32")
        assert any("on these very examples" in note for note in result.splits[0].notes) is told
