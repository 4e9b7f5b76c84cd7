"""The order of `mbert runs`."""

from __future__ import annotations

import json

import numpy as np
from helpers import made_run
from modernbert.cli import output
from modernbert.cli.main import app
from modernbert.cli.screen import Screen
from typer.testing import CliRunner


def listed(store, sort: str) -> list[str]:
    done = CliRunner().invoke(app, ["runs", "--sort", sort, "--json", "--runs-dir", str(store.root)])
    assert done.exit_code == 0, done.output
    return [run["name"] for run in json.loads(done.stdout)]


def of_metric(metric: str, value: float) -> dict:
    score = {"metric": metric, "value": value, "low": None, "high": None, "n": 9, "interval": "none"}
    return {"results": [{"split": "validation", "scores": [score], "notes": []}]}


def test_scores_are_ranked_within_a_task_and_a_metric(store):
    right = np.arange(9) < 9
    made_run(store, "a-good", "m", right, task="glue/sst2", record=of_metric("accuracy", 0.9))
    made_run(store, "a-bad", "m", right, task="glue/sst2", record=of_metric("accuracy", 0.6))
    made_run(store, "b-best", "m", right, task="glue/cola", record=of_metric("matthews", 0.3))
    made_run(store, "b-worse", "m", right, task="glue/cola", record=of_metric("matthews", 0.2))
    made_run(store, "c-far", "m", right, task="own/x", record=of_metric("mean_absolute_error", 700.0))
    made_run(store, "c-near", "m", right, task="own/x", record=of_metric("mean_absolute_error", 7.0))
    assert listed(store, "score") == ["b-best", "b-worse", "a-good", "a-bad", "c-near", "c-far"]
    shown = CliRunner().invoke(app, ["runs", "--sort", "score", "--runs-dir", str(store.root)])
    assert "ranked within a task, a split and a metric, and not across them" in shown.stderr
    one = ["runs", "--sort", "score", "--task", "glue/cola", "--runs-dir", str(store.root)]
    assert "not across them" not in CliRunner().invoke(app, one).stderr
    assert listed(store, "name") == ["a-bad", "a-good", "b-best", "b-worse", "c-far", "c-near"]


def test_a_score_of_texts_that_were_trained_on_is_marked(store):
    right = np.arange(9) < 9
    seen = {"notes": ["test: TRAINED ON: 7 of 9 texts were trained on; the other 2 score accuracy 0.5000"]}
    made_run(store, "seen", "m", right, task="own/x", record=of_metric("accuracy", 1.0) | seen)
    made_run(store, "new", "m", right, task="own/x", record=of_metric("accuracy", 0.7))
    done = CliRunner().invoke(app, ["runs", "--runs-dir", str(store.root)], env={"COLUMNS": "200"})
    marked = [line for line in done.stdout.splitlines() if "trained on in part or whole" in line]
    assert len(marked) == 1 and marked[0].startswith("seen"), done.output


def test_filters_take_short_names_and_know_typing_mistakes(store):
    right = np.arange(9) < 9
    made_run(store, "a", "owner/m", right, task="own/reviews", record=of_metric("accuracy", 1.0))
    made_run(store, "b", "other", right, task="own/prices", record=of_metric("accuracy", 1.0))

    def told(*filters):
        return CliRunner().invoke(app, ["runs", *filters, "--runs-dir", str(store.root), "--json"])

    for filters in (["--task", "reviews"], ["--task", "own/reviews"], ["--model", "m"]):
        assert [run["name"] for run in json.loads(told(*filters).stdout)] == ["a"]
    assert "Did you mean own/reviews?" in told("--task", "own/reviws").exception.fix
    assert "Did you mean other?" in told("--model", "othr").exception.fix


def test_a_name_that_is_no_run_is_told_before_anything_is_asked(store):
    done = CliRunner().invoke(app, ["runs", "rm", "frist", "--runs-dir", str(store.root)])
    assert "no run called 'frist'" in str(done.exception) and "cannot ask" not in str(done.exception)


def test_a_narrow_screen_shows_task_and_score_and_which_run_is_unfinished(store, monkeypatch):
    monkeypatch.setattr(output, "screen", lambda **_: Screen(no_color=True, width=60, highlight=False))
    right = np.arange(9) < 9
    made_run(
        store, "reviews-minilm-s42", "minilm", right, task="own/reviews", record=of_metric("accuracy", 0.7)
    )
    stopped = {"status": "interrupted", "results": []}
    made_run(store, "reviews-minilm-s43", "minilm", right, task="own/reviews", record=stopped)
    done = CliRunner().invoke(app, ["runs", "--runs-dir", str(store.root)])
    first, second = (line for line in done.stdout.splitlines() if line.startswith("reviews"))
    assert first.split()[1:] == ["own/reviews", "minilm", "accuracy", "0.7000"]
    assert second.split()[1:] == ["own/reviews", "minilm", "interrupted"]
