"""One run of each kind, made once for the tests that damage them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.records import KINDS, collection
from helpers import request_of, toy_rows, write_csv

from modernbert.runs import RunStore


@pytest.fixture(scope="session")
def made(tmp_path_factory, tiny_bert) -> Path:
    """A folder with one run of each kind in `runs`, and what they were made of."""
    from modernbert.comparison.baselines import run_baseline
    from modernbert.data.collections import folder_task
    from modernbert.evaluation.evaluate import evaluate_model
    from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks
    from modernbert.evaluation.trained_task import task_of_file
    from modernbert.finetuning.finetune import finetune
    from modernbert.model.locate import locate_model

    folder = tmp_path_factory.mktemp("made")
    store, reviews = RunStore(folder / "runs"), write_csv(folder / "reviews.csv", toy_rows(60))
    request = request_of(reviews, tiny_bert, epochs=1.0)
    finetune(dataclasses.replace(request, name="toy"), store)
    run_baseline("tfidf", request, store)
    task = task_of_file(store.read("toy"), reviews)
    evaluate_model(task, locate_model("toy", store=store), store)
    source = locate_model(str(tiny_bert), store=store)
    evaluate_tasks([folder_task(collection(folder / "coll"))], source, store, SearchOptions())
    assert sorted(store.names()) == sorted(KINDS)
    return folder


@pytest.fixture
def here(made, monkeypatch) -> Iterator[RunStore]:
    """The store of `made`, as the current one; what a test damages is put back."""
    monkeypatch.chdir(made)
    monkeypatch.setenv("MBERT_RUNS", "runs")
    store = RunStore(made / "runs")
    files = [path for name in KINDS for path in store.path(name).glob("*.json*")]
    before = {path: path.read_bytes() for path in files}
    yield store
    for path, content in before.items():
        path.write_bytes(content)
