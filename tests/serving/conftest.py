"""A store of small models of each kind, and applications that serve them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import request_of, tiny_modernbert_config, toy_rows, write_csv

from modernbert.model.pretrained import quiet_transformers
from modernbert.runs import RunStore

pytest.importorskip("fastapi")
from served import Serving, started

MACHINE = {"device": "cpu", "precision": "fp32"}


def _saved(model, tokenizer, folder: Path) -> Path:
    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _several(path: Path) -> Path:
    """Write reviews with none, one or both of two labels."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "labels"])
        for place, row in enumerate(toy_rows(80)):
            writer.writerow([row["text"], "|".join([row["label"], *["even"] * (place % 2 == 0)])])
    return path


def _pairs(path: Path) -> Path:
    """Write pairs of reviews and a number."""
    pairs = zip(toy_rows(60), toy_rows(60, seed=1), strict=True)
    rows = [
        (a["text"], b["text"], 1.5 * (a["label"] == b["label"]) + n / 100) for n, (a, b) in enumerate(pairs)
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("first", "second", "alike"), *rows])
    return path


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="session")
def store(place, tiny_modernbert):
    """Runs: `reviews` (two classes), `weak` (learnt less), `several` (labels), `alike` (a number)."""
    from modernbert.finetuning.finetune import finetune

    store = RunStore(place / "runs")
    reviews, several, pairs = (place / f"{name}.csv" for name in ("reviews", "several", "pairs"))
    write_csv(reviews, toy_rows(120))
    columns = {"text": ("first", "second"), "label": "alike", "kind": "regression"}
    asked = {
        "reviews": request_of(reviews, tiny_modernbert, epochs=3.0),
        "weak": request_of(reviews, tiny_modernbert, epochs=1.0),
        "several": request_of(_several(several), tiny_modernbert, epochs=1.0),
        "alike": replace(
            request_of(_pairs(pairs), tiny_modernbert, epochs=1.0, pair_encoder="bi"), **columns
        ),
    }
    for name, request in asked.items():
        finetune(replace(request, name=name), store)
    return store


@pytest.fixture(scope="session")
def folders(place, tiny_tokenizer, tiny_modernbert) -> dict[str, str]:
    """Models that are no runs, by their names: a tagger, a reranker and an encoder."""
    import torch
    from transformers import ModernBertForSequenceClassification, ModernBertForTokenClassification

    torch.manual_seed(0)
    tags = ["O", "B-PLUS", "I-PLUS", "B-MINUS", "I-MINUS"]
    names = {"id2label": dict(enumerate(tags)), "label2id": {tag: i for i, tag in enumerate(tags)}}
    tagger = ModernBertForTokenClassification(tiny_modernbert_config(**names))
    reranker = ModernBertForSequenceClassification(tiny_modernbert_config(num_labels=1))
    return {
        "tagger": str(_saved(tagger, tiny_tokenizer, place / "tagger")),
        "reranker": str(_saved(reranker, tiny_tokenizer, place / "reranker")),
        "encoder": str(tiny_modernbert),
    }


@pytest.fixture(scope="session")
def index(place, tiny_modernbert) -> Path:
    """A folder of three files that is indexed with the tiny encoder."""
    from modernbert.cli.main import app
    from typer.testing import CliRunner

    folder = place / "code"
    folder.mkdir()
    for number, row in enumerate(toy_rows(3)):
        (folder / f"{number}.txt").write_text(row["text"])
    line = ["index", str(folder), "--model", str(tiny_modernbert), "--precision", "fp32", "--device", "cpu"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="session")
def serving(store, folders, index) -> Serving:
    """A server of every kind of model, with an index."""
    models = ("reviews", "several", "alike", *folders.values())
    with started(store, models=models, index=index) as serving:
        yield serving
