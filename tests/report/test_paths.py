"""Reports and cards are for others: nothing in them says where things lay on the machine that made them."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from collections_toy import write_collection
from helpers import request_of, toy_rows, write_csv

from modernbert.comparison.baselines import run_baseline
from modernbert.comparison.compare import compare
from modernbert.evaluation.evaluate import evaluate_model
from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks, retrieval_tasks
from modernbert.evaluation.trained_task import task_of_file
from modernbert.finetuning.finetune import finetune
from modernbert.model.locate import locate_model
from modernbert.report.report import comparison_report, run_report
from modernbert.without_paths import without_paths


def rows_of_kind(kind: str) -> list[dict[str, str]]:
    rows = toy_rows(80)
    if kind == "several":
        return [
            {"text": r["text"], "label": f"{r['label']}|{'odd' if i % 2 else 'even'}"}
            for i, r in enumerate(rows)
        ]
    if kind == "number":
        return [{"text": r["text"], "label": str(len(r["text"]) + 0.5)} for r in rows]
    return rows


@pytest.fixture
def base(tmp_path, tiny_bert) -> Path:
    """A model in a folder whose name has a blank, as have the folders above it."""
    return shutil.copytree(tiny_bert, tmp_path / "my secret place" / "my model")


def require_no_paths(text: str, *folders: Path) -> None:
    for folder in (*folders, Path.home(), Path(__file__).resolve().parents[2]):
        assert str(folder) not in text
    assert "secret place" not in text


@pytest.mark.parametrize("kind", ["one", "several", "number"])
@pytest.mark.parametrize("lora", [False, True])
def test_a_run_of_a_local_model_on_a_local_file_tells_neither_place(kind, lora, tmp_path, store, base):
    path = write_csv(base.parent / "my data.csv", rows_of_kind(kind))
    request = request_of(path, base, epochs=0.5, lora=lora)
    first = finetune(request, store)
    evaluated = evaluate_model(task_of_file(first.record, path), locate_model(first.name, store=store), store)
    names = [first.name, evaluated.name]
    if not lora:
        names.append(finetune(replace(request, init_from=first.name), store).name)
    names.append(run_baseline("majority", request, store))
    for name in names:
        page = run_report(name, store)
        require_no_paths(page, tmp_path, store.root)
        assert "my data" in page or "majority" in page, "what is not a place stays"
        folder = store.path(name) / "model"
        for file in [*folder.glob("*.md"), *folder.glob("*.json")]:
            require_no_paths(file.read_text(), tmp_path, store.root)


def test_a_search_and_a_comparison_tell_no_place(tmp_path, store, base, tiny_modernbert):
    folder = write_collection(base.parent / "my collection")
    for model in (base, tiny_modernbert):
        source = locate_model(str(model), store=store)
        (done,) = evaluate_tasks(retrieval_tasks(str(folder)), source, store, SearchOptions(), device="cpu")
        page = run_report(done.name, store)
        require_no_paths(page, tmp_path, tiny_modernbert.parent)
    page = comparison_report(compare(store, [], ["my model"]), store)
    assert "my model" in page and "tiny-modernbert" in page
    require_no_paths(page, tmp_path, tiny_modernbert.parent)


def test_a_training_for_search_tells_no_place_and_shows_its_queries(tmp_path, store, base):
    """A tenth of its own pairs was held out: no file holds that split."""
    rows = [{"query": f"w{i} w{i + 1}", "positive": f"w{i} w{i + 1} w{i + 2}"} for i in range(57)]
    path = write_csv(base.parent / "my pairs.csv", rows)
    names = [
        finetune(request_of(path, base, epochs=0.5, batch_size=8, head=head), store).name
        for head in ("vectors", "tokens", "reranker")
    ]
    for name in names:
        page = run_report(name, store)
        assert "Ids alone" not in page and re.search(r">w\d+ w\d+<", page)
        require_no_paths(page, tmp_path)
        require_no_paths((store.path(name) / "model" / "README.md").read_text(), tmp_path)
    page = comparison_report(compare(store, names, []), store)
    require_no_paths(page, tmp_path)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("/home/ann/models/base", "base"),
        ("~/models/base", "base"),
        ("run /home/ann/my runs/first", "run first"),
        ("bundle /mnt/x y/glue/rte/train.jsonl (no checksums)", "bundle train.jsonl (no checksums)"),
        ("starting from run /tmp/runs/first", "starting from run first"),
        ("/home/ann/base > /home/ann/ranker", "base > ranker"),
        ("init: '/tmp/a/b' and '/tmp/c/d'", "init: 'b' and 'd'"),
        ("answerdotai/ModernBERT-base", "answerdotai/ModernBERT-base"),
        ("Hub google-bert/bert-base-uncased", "Hub google-bert/bert-base-uncased"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("1 / 2, and/or, n/a", "1 / 2, and/or, n/a"),
        (
            {"labels": ["/a/b"], "folder": "/a/b", "n": [1, None]},
            {"labels": ["/a/b"], "folder": "b", "n": [1, None]},
        ),
    ],
)
def test_only_the_last_part_of_a_path_is_told(told, expected):
    assert without_paths(told) == expected
