"""Trainings that were killed, or began in the same moment: no name is lost, nothing stays behind."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path

import pytest
from commands import finish, start
from faults.kill_at import count_changes
from forks import fork, status_of
from helpers import request_of, toy_rows, write_csv

from modernbert.finetuning.finetune import finetune, resume
from modernbert.runs import RunStore
from modernbert.training.inputs import Request

WHOLE = {".lock", "log.jsonl", "model", "run.json", "scores.jsonl", "trained_texts.npy"}


@pytest.fixture
def request_(tmp_path: Path, tiny_bert: Path) -> Request:
    """A training of a moment, for a run called `toy`."""
    rows = write_csv(tmp_path / "reviews.csv", toy_rows(40))
    return dataclasses.replace(request_of(rows, tiny_bert, epochs=1.0), name="toy")


def train(request: Request, root: Path, at: int = 0) -> None:
    """Train, and be killed before the change to the file system with the number `at`; 0 kills never."""
    count = count_changes(at)
    finetune(request, RunStore(root))
    (root.parent / "changes").write_text(str(count[0]))


def changes_of_a_whole_one(request: Request, folder: Path) -> int:
    assert status_of(fork(train, request, folder / "whole")) == 0
    return int((folder / "changes").read_text())


def killed_and_ended(request: Request, folder: Path, at: int) -> None:
    assert status_of(fork(train, request, folder / str(at), at)) == -signal.SIGKILL, at
    end(request, folder, at)


def end(request: Request, folder: Path, place: int) -> None:
    """Go on after a kill as a user would, and expect what an undisturbed training leaves."""
    store, whole = RunStore.at(folder / str(place)), RunStore(folder / "whole")
    if not store.has("toy"):  # killed before there was anything: the name is free
        finetune(request, store)
    elif store.read("toy").status == "interrupted":
        resume("toy", store)
    assert [path.name for path in store.root.iterdir()] == ["toy"], place
    assert {path.name for path in store.path("toy").iterdir()} == WHOLE, place
    for name in ("scores.jsonl", "model/model.safetensors"):
        assert (store.path("toy") / name).read_bytes() == (whole.path("toy") / name).read_bytes(), place


def test_killed_at_the_first_and_the_last_changes(request_, tmp_path):
    changes = changes_of_a_whole_one(request_, tmp_path)
    for place in (2, 5, changes - 11, changes - 7, changes - 3, changes):
        killed_and_ended(request_, tmp_path, place)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_every_change(request_, tmp_path):
    for place in range(1, changes_of_a_whole_one(request_, tmp_path) + 1):
        killed_and_ended(request_, tmp_path, place)


def both(*arguments: str) -> list[str]:
    """Run a command in two processes at once, which must both end well; return what they said."""
    told = []
    for process in [start(*arguments), start(*arguments)]:
        code, out, error = finish(process)
        assert code == 0, error
        told.append(out + error)
    return told


@pytest.mark.slow
def test_two_trainings_without_a_name_begin_at_once(reviews, store, tiny_bert):
    both("finetune", str(reviews), "--model", str(tiny_bert), "--epochs", "1", "--precision", "fp32")
    assert store.names() == ["reviews-tiny-bert-s42", "reviews-tiny-bert-s42-2"]
    first, second = ((store.path(name) / "scores.jsonl").read_bytes() for name in store.names())
    assert first == second


@pytest.mark.slow
def test_two_comparisons_make_what_is_missing_once(reviews, store, tiny_bert):
    finetune(request_of(reviews, tiny_bert, epochs=1.0), store)
    told = both("compare", "-b", "tfidf", "--seeds", "2", "--yes")
    assert len(store.names()) == 3
    assert any("another comparison is training" in text or "exists already" in text for text in told)
    assert not store.survey().damaged
