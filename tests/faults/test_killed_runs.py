"""Trainings that were killed, or began in the same moment: no name is lost, nothing stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import request_of, toy_rows, write_csv

from modernbert.runs import RunStore
from modernbert.training.finetune import finetune, resume

WHOLE = {".lock", "log.jsonl", "model", "run.json", "scores.jsonl", "trained_texts.npy"}
DRIVER = Path(__file__).with_name("killed_trainings.py")


def killed(folder: Path, model: Path, places: list[int]) -> int:
    """Train with kills at the given places; return how many changes a whole training makes."""
    folder.mkdir(exist_ok=True)
    write_csv(folder / "reviews.csv", toy_rows(40))
    line = [sys.executable, str(DRIVER), str(folder), str(model), *map(str, places)]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


def end(folder: Path, place: int, model: Path) -> None:
    """Go on after a kill as a user would, and expect what an undisturbed training leaves."""
    store, whole = RunStore.at(folder / str(place)), RunStore(folder / "whole")
    if not store.has("toy"):  # killed before there was anything: the name is free
        request = request_of(folder / "reviews.csv", model, epochs=1.0)
        finetune(type(request)(**{**request.as_dict(), "text": (), "name": "toy"}), store)
    elif store.read("toy")["status"] == "interrupted":
        resume("toy", store)
    assert [path.name for path in store.root.iterdir()] == ["toy"], place
    assert {path.name for path in store.path("toy").iterdir()} == WHOLE, place
    for name in ("scores.jsonl", "model/model.safetensors"):
        assert (store.path("toy") / name).read_bytes() == (whole.path("toy") / name).read_bytes(), place


def test_killed_at_the_first_and_the_last_changes(tmp_path, tiny_bert):
    places = [2, 5, -12, -8, -4, -1]
    killed(tmp_path, tiny_bert, places)
    for place in places:
        end(tmp_path, place, tiny_bert)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_every_change(tmp_path, tiny_bert):
    places = list(range(1, killed(tmp_path, tiny_bert, []) + 1))
    killed(tmp_path / "every", tiny_bert, places)
    for place in places:
        end(tmp_path / "every", place, tiny_bert)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "modernbert.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def both(*arguments: str) -> list[str]:
    """Run a command in two processes at once, which must both end well; return what they said."""
    told = []
    for process in [start(*arguments), start(*arguments)]:
        out, error = process.communicate(timeout=200)
        assert process.returncode == 0, error
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
    assert any("another comparison makes runs here" in text or "is there" in text for text in told)
    assert not store.survey().damaged
