"""What a comparison lacks is found, timed, asked about, and made in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from unittest.mock import Mock

import forks
import numpy as np
import pytest
from helpers import SETTINGS, keep_run, made_run, request_of, running_record, toy_rows, write_csv
from modernbert.cli.main import app
from typer.testing import CliRunner

from modernbert.activity import Phase, watched_by
from modernbert.comparison.compare import collect
from modernbert.comparison.execute import execute
from modernbert.comparison.plan import (
    PlannedRun,
    Wanted,
    one_at_a_time,
    plan_runs,
    total_minutes,
    up_to_date,
)
from modernbert.comparison.relay import Receiver, Sender
from modernbert.errors import BadOption, Interrupted, MbertError, UnknownName
from modernbert.finetuning.finetune import finetune
from modernbert.settings.forms import in_sections

RIGHT = np.arange(100) < 80


def lacking(store, **wanted):
    return plan_runs(store, collect(store, [])[0], Wanted(**wanted))


def test_every_missing_seed_is_named_with_its_time(store):
    made_run(store, "a", "minilm-l12", RIGHT, seed=42)
    plan = lacking(store, baselines=("bert-base", "tfidf"), seeds=2)
    assert [(planned.model, planned.seed) for planned in plan] == [
        ("minilm-l12", 43),
        ("bert-base", 42),
        ("bert-base", 43),
        ("tfidf", None),
    ]
    assert plan[0].minutes == 2.0
    assert plan[1].minutes == pytest.approx(2.0 * 110 / 33)  # by size
    assert total_minutes(plan)[1] == 0


def test_new_runs_are_made_as_the_old_ones_were(store):
    made_run(store, "a", "minilm", RIGHT, settings={"epochs": 9.0, "log_every": 3})
    (planned,) = lacking(store, baselines=("bert-base lora",))
    assert planned.request.settings == {"epochs": 9.0, "lora": True}
    assert (planned.request.model, planned.request.target, planned.seed) == ("bert-base", "glue/sst2", 42)
    (planned,) = lacking(
        store, baselines=("bert-base",), changes={"settings": {"epochs": 1.0}, "recipe": "paper"}
    )
    assert (planned.request.settings, planned.request.recipe) == ({"epochs": 1.0}, "paper")


def test_random_weights_are_a_model_of_their_own(store):
    """What pretraining is worth: the same settings, and no name shared with the pretrained model's runs."""
    made_run(store, "a", "minilm", RIGHT, settings={"epochs": 9.0})
    (planned,) = lacking(store, baselines=("minilm random",))
    assert (planned.request.model, planned.request.settings) == (
        "minilm",
        {"epochs": 9.0, "random_weights": True},
    )
    made_run(store, "b", "minilm", RIGHT, random=True, settings={"epochs": 9.0, "random_weights": True})
    assert [outcome.model for outcome in collect(store, [])[0]] == ["minilm", "minilm random"]
    assert lacking(store, baselines=("minilm", "minilm random")) == []


def test_heads_are_models_of_their_own(store):
    """What searches with a vector for each token is not the same model as what has one for each text."""
    made_run(store, "a", "minilm", RIGHT, kind="retrieval", head="vectors")
    made_run(store, "b", "minilm", RIGHT, kind="retrieval", head="tokens", lora=True)
    found, notes = collect(store, [])
    assert [outcome.model for outcome in found] == ["minilm trained", "minilm late interaction lora"]
    assert notes == []


def test_what_was_trained_to_retrieve_is_not_what_it_came_from(store):
    """An evaluation of the encoder as it came is missing where only trained ones are there."""
    for seed in (42, 43):
        made_run(store, f"s{seed}", "minilm", RIGHT, kind="retrieval", head="vectors", seed=seed,
                 task="codesearch/stdlib")  # fmt: skip
    (planned,) = lacking(store, baselines=("minilm",))
    assert (planned.model, planned.is_evaluation) == ("minilm", True)
    assert lacking(store, baselines=("minilm trained", "bm25")) == []


def test_nothing_is_missing_when_all_is_there(store):
    for model in ("minilm", "bert-base"):
        made_run(store, model, model, RIGHT)
    assert lacking(store, baselines=("bert-base",)) == []


def test_what_does_not_fit_the_task_is_not_missing(store):
    plan = lacking(
        store,
        baselines=("bm25", "tfidf"),
        models=("minilm", "minilm lora"),
        tasks=("retrieval/scifact", "glue/rte"),
    )
    assert [(planned.task, planned.model, planned.is_evaluation) for planned in plan] == [
        ("retrieval/scifact", "minilm", True),
        ("glue/rte", "minilm", False),
        ("glue/rte", "minilm lora", False),
        ("glue/rte", "tfidf", False),
    ]
    assert total_minutes(plan) == (1.0, 3)


def test_unknown_names_are_told(store):
    made_run(store, "a", "minilm", RIGHT)
    with pytest.raises(UnknownName, match="bert-base"):
        lacking(store, baselines=("bert-bas",))
    with pytest.raises(UnknownName, match="'b'"):
        lacking(store, baselines=("b",))
    assert lacking(store, baselines=("a",)) == []  # a run: it is there
    with pytest.raises(BadOption, match="no task to compare on"):
        plan_runs(store, [], Wanted(baselines=("tfidf",)))


def test_an_interrupted_error_passes_between_processes():
    import pickle

    error = pickle.loads(pickle.dumps(Interrupted(15, "stopped by SIGTERM", fix="resume")))
    assert (error.exit_code, error.what, error.fix) == (143, "stopped by SIGTERM", "resume")


def test_what_another_process_made_meanwhile_is_taken(store):
    made_run(store, "a", "minilm", RIGHT)
    plan = lacking(store, baselines=("bert-base",), seeds=2)
    known = store.names()
    assert [up_to_date(planned, store, known) for planned in plan] == plan
    made_run(store, "b", "bert-base", RIGHT, seed=43)
    keep_run(store, "c", running_record() | {"request": plan[0].request.as_dict(), "seed": 43,
                                             "config": in_sections(SETTINGS | {"seed": 43})})  # fmt: skip
    now = [up_to_date(planned, store, known) for planned in plan]
    assert [(planned.model, planned.seed) for planned in plan] == [
        ("minilm", 43),
        ("bert-base", 42),
        ("bert-base", 43),
    ]
    assert now == [replace(plan[0], interrupted="c"), plan[1], "b"]


def test_one_process_at_a_time_makes_runs(store):
    def wait():
        with one_at_a_time(store, lambda: sys.stdout.write("waits\n") and sys.stdout.flush()):
            sys.stdout.write("goes on\n")

    told = []
    with one_at_a_time(store, lambda: told.append("waits")):
        assert told == []
        other = forks.start(wait, {}, stdout=subprocess.PIPE)
        assert other.stdout.readline() == "waits\n"
    assert other.communicate()[0] == "goes on\n"


def test_missing_runs_are_made_by_command(tmp_path, store, tiny_modernbert):
    rows = write_csv(tmp_path / "reviews.csv", toy_rows(120))
    finetune(request_of(rows, tiny_modernbert, epochs=1.0), store)
    command = ["compare", "--baseline", "tfidf", "--baseline", "majority", "--seeds", "2"]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, BadOption) and "--yes" in str(refused.exception)
    assert len(store.names()) == 1
    done = CliRunner().invoke(app, [*command, "--yes", "--show-seeds", "-o", "out.md"])
    assert done.exit_code == 0, done.output
    models = {run.model.name for run in map(store.read, store.names())}
    assert models == {str(tiny_modernbert), "tfidf", "majority"}
    assert {store.read(name).seed for name in store.names()} == {42, 43, None}
    assert "| tfidf |" in (tmp_path / "out.md").read_text()
    again = CliRunner().invoke(app, command)  # nothing is missing any more
    assert again.exit_code == 0, again.output
    assert len(store.names()) == 4


def test_a_run_that_cannot_be_made_says_why(store, tmp_path):
    made_run(store, "a", "minilm", RIGHT)
    (planned,) = lacking(store, baselines=("bert-base",))
    assert isinstance(planned, PlannedRun)
    with pytest.raises(MbertError, match="not on this machine"):
        execute(planned, store)


def test_what_a_run_in_another_process_does_is_told_here(store, reviews, tiny_bert):
    """As of a training in this process: every phase, and steps up to the total."""
    request = replace(request_of(reviews, tiny_bert, epochs=1.0), name=None)
    events: list[tuple] = []
    watcher = Mock(
        began=lambda phase: events.append(("began", phase.name)),
        advanced=lambda phase: events.append(("advanced", phase.name, phase.done, phase.total)),
        ended=lambda phase: events.append(("ended", phase.name)),
        explained=lambda name, reason: events.append(("explained", name)),
    )
    with watched_by(watcher):
        name = execute(PlannedRun("own/reviews", str(tiny_bert), 42, request), store)
    steps = store.read(name).training.planned_steps
    assert ("advanced", "training", steps, steps) in events
    assert ("explained", "device") in events
    begun = [event[1] for event in events if event[0] == "began"]
    assert {"loading the model", "training", "evaluating", "saving"} <= set(begun)
    assert sorted(begun) == sorted(event[1] for event in events if event[0] == "ended")


def test_phases_of_a_process_that_was_killed_end(store):
    ended: list[str] = []
    sent: list = []
    sender, receiver = Sender(sent.append), Receiver()
    outer, inner = Phase("training", 9), Phase("evaluating")
    sender.began(outer)
    sender.began(inner)
    with watched_by(Mock(ended=lambda phase: ended.append(phase.name))):
        for message in sent:
            receiver.receive(message)
        receiver.over()
    assert ended == ["evaluating", "training"]


def test_a_file_of_pairs_is_searched(store, tmp_path):
    """BM25 comes with the evaluation of an encoder; nothing is trained, and TF-IDF is of the other kind."""
    pairs = tmp_path / "faq.jsonl"
    pairs.write_text('{"query": "q", "positive": "p"}\n')
    wanted = Wanted(baselines=("bm25", "tfidf"), models=("minilm",), tasks=(str(pairs),))
    (planned,) = plan_runs(store, [], wanted)
    assert (planned.task, planned.model, planned.is_evaluation) == ("own/faq", "minilm", True)


def test_a_task_that_nothing_is_called_is_told_before_anything_is_planned(store):
    with pytest.raises(UnknownName, match="'glue/rt'"):
        plan_runs(store, [], Wanted(("tfidf",), ("glue/rt",)))
    with pytest.raises(UnknownName, match="'retrieval/scifat'"):
        plan_runs(store, [], Wanted(("bm25",), ("retrieval/scifat",), ("modernbert-nano",)))
