"""The embedded model: real, small, and what `mbert demo` makes of it."""

from __future__ import annotations

import email.message
import heapq
import shutil
import statistics
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from modernbert.cli.main import app
from modernbert.tasks.codesearch import stdlib
from typer.testing import CliRunner

from modernbert import demo
from modernbert.data.docstrings import snippets_of
from modernbert.evaluation.embed import Embedder
from modernbert.model.catalogue import EMBEDDED
from modernbert.model.locate import locate_model

LARGEST = 24 * 2**20


def test_the_embedded_model_is_small_and_has_learned(store):
    """It guesses masked words of a docstring better than the 10.1 of a network that knows nothing."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    source = locate_model(EMBEDDED, store=store)
    assert sum(path.stat().st_size for path in source.folder.iterdir()) <= LARGEST
    tokenizer = AutoTokenizer.from_pretrained(source.folder)
    model = AutoModelForMaskedLM.from_pretrained(source.folder, dtype=torch.float32).eval()
    ids_1L = tokenizer(email.message.Message.__doc__, return_tensors="pt")["input_ids"]
    hidden_L = torch.arange(ids_1L.shape[1]) % 5 == 2
    masked_1L = ids_1L.masked_fill(hidden_L, tokenizer.mask_token_id)
    with torch.inference_mode():
        logits_LV = model(input_ids=masked_1L).logits[0]
    assert torch.nn.functional.cross_entropy(logits_LV[hidden_L], ids_1L[0, hidden_L]) < 8


def test_the_embedded_model_finds_code(store):
    """As it comes: over a third of the docstrings of four modules find their own function first."""
    modules = (heapq, shutil, statistics, textwrap)
    snippets = [s for module in modules for s in snippets_of(Path(module.__file__), module.__name__)]
    assert len(snippets) > 60
    embedder = Embedder(locate_model(EMBEDDED, store=store))
    _, places = embedder.search([s.summary for s in snippets], [s.code for s in snippets], 1)
    assert np.mean(places[:, 0] == np.arange(len(snippets))) > 0.35


@pytest.mark.slow
def test_demo(store):
    """A twentieth of the training: what is shown is that of the runs, and answers are given."""
    found = demo.run_demo(store, settings={"epochs": 0.1, "max_length": 32})
    names = ["bm25 (code)", f"{EMBEDDED}, before", found.run, f"{found.run} + bm25"]
    assert [system.system for system in found.systems] == names
    assert store.read(found.run).status == "finished"
    asked = demo.questions_on(stdlib()["test"].documents)
    assert [answer.question for answer in found.answers] == [question.question for question in asked]
    assert all(list(answer.ranks) == names[:3] for answer in found.answers)
    assert all(0 <= rank <= demo.SHOWN for answer in found.answers for rank in answer.ranks.values())
    assert found.systems[1].note == "not fine-tuned"
    assert (
        found.systems[1].ranking.main.value > 0.35
    )  # it finds code without any training; 0.04 before it could


def test_the_questions_that_the_test_modules_answer_are_asked():
    """Nearly all of them; modules that a Python lacks take theirs with them."""
    documents = stdlib()["test"].documents
    asked = demo.questions_on(documents)
    assert len(asked) >= 50 and len({question.question for question in asked}) == len(asked)
    functions = {":".join(identifier.split(":")[:2]) for identifier in documents.ids}
    assert all(functions & question.identifiers for question in asked)
    without = [place for place, identifier in enumerate(documents.ids) if not identifier.startswith("shlex:")]
    fewer = demo.questions_on(documents.take(without))
    assert [q for q in asked if q not in fewer] == [q for q in asked if q.module == "shlex"] != []


@pytest.mark.parametrize(
    ("listed", "rank"), [(["a", "b"], 0), (["a", "right", "also"], 2), (["also"], 1), ([], 0)]
)
def test_the_rank_is_that_of_the_first_right_answer(listed, rank):
    assert demo.rank_of({"right", "also"}, listed) == rank


def test_demo_has_help():
    done = CliRunner().invoke(app, ["demo", "--help"])
    assert done.exit_code == 0
    assert "no network" in done.output
