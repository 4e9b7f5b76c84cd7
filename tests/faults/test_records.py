"""Records of runs that were damaged or edited: told, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from faults.records import KINDS, REMOVED, command, damaged

from modernbert.errors import BadRun
from modernbert.runs import RunStore, read_run

DAMAGES = {
    "missing": REMOVED,
    "null": None,
    "text": "x",
    "list": [],
    "object": {},
    "negative": -1,
    "NaN": float("nan"),
    "huge": 10**30,
    "nested": [[{"x": 1}]],
}


def paths_of(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value in a record; of a list, the first alone."""
    if at:
        yield at
    inner = (
        value.items()
        if isinstance(value, dict)
        else [(0, value[0])]
        if value and at and isinstance(value, list)
        else []
    )
    for key, part in inner:
        yield from paths_of(part, (*at, key))


def accepted_damages(store: RunStore, name: str, *, step: int = 1) -> Iterator[tuple[Any, ...]]:
    """Damage a record in every way, or every `step`-th; yield the places of what its reader lets through."""
    path = store.path(name) / "run.json"
    record = json.loads(path.read_text())
    ways = [(at, value) for at in paths_of(record) for value in DAMAGES.values()]
    for at, value in ways[::step]:
        path.write_text(json.dumps(damaged(record, at, value)))
        try:
            read_run(path.parent)
        except BadRun as error:
            assert error.where == str(path) and error.fix
        else:
            yield at


@pytest.mark.parametrize("name", KINDS)
def test_a_record_damaged_anywhere_is_told_or_can_be_shown(name, here):
    shown = set()
    for at in accepted_damages(here, name, step=4):  # of each place two or three, of each damage a quarter
        if at[0] not in shown:  # of what is let through, one of each part: the slow test takes all
            shown.add(at[0])
            command("runs", "show", name)
            command("runs")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", KINDS)
def test_a_record_damaged_anywhere_is_survived_by_every_command(name, here):
    seen = set()
    for at in accepted_damages(here, name):
        command("runs")
        if at in seen:
            continue
        seen.add(at)
        command("report", name, "-o", "x.html", "--overwrite")
        command("compare", name, "-b", "tfidf", "--finished", "--allow")
        command("predict", "reviews.csv", "--model", name, "-o", "out.jsonl", "--overwrite")
        command("eval", "reviews.csv", "--model", name, "--runs-dir", "other")
        command("resume", name)


@pytest.mark.parametrize(
    "key",
    ["kind", "status", "created", "task", "model", "config", "data", "seed", "versions", "hardware",
     "request", "training", "results", "machine", "model_files"],
)  # fmt: skip
def test_a_record_without_a_key_that_is_used_is_refused_by_every_command(key, here):
    path = here.path("toy") / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(damaged(record, (key,), REMOVED)))
    for arguments in (["runs", "show", "toy"], ["report", "toy"], ["resume", "toy"],
                      ["compare", "toy", "-b", "tfidf", "--finished"],
                      ["predict", "reviews.csv", "--model", "toy", "-o", "out.jsonl"],
                      ["eval", "reviews.csv", "--model", "toy"]):  # fmt: skip
        said = command(*arguments)
        assert f"toy/run.json: {key}: field required" in said, (arguments, said)
    assert "damaged" in command("runs")


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '{"format": 1}', '{"format": 2}', '"\\ud800"', "1" * 5000]
)
def test_a_record_that_is_no_record_stops_nobody_else(text, here):
    (here.path("eval-reviews-toy") / "run.json").write_text(text)
    assert "damaged" in command("runs")
    (shown,) = [run for run in json.loads(command("runs", "--json")) if run["status"] == "damaged"]
    assert "run.json" in shown["fault"]
    assert "accuracy" in command("runs", "show", "toy")
    said = command("compare", "-b", "tfidf", "-t", "own/reviews", "--finished")
    assert "passed over" in said and "eval-reviews-toy/run.json" in said and "differences" in said
    said = command("compare", "toy", "-b", "tfidf", "--finished")
    assert "left out" in said and "differences" in said
    assert command("compare", "eval-reviews-toy", "toy", "-b", "tfidf", "--finished").startswith("Error: ")


def test_a_run_of_the_future_can_be_read(here):
    path = here.path("toy") / "run.json"
    record = json.loads(path.read_text())
    record |= {"new": 1}
    record["request"] |= {"new": 1}
    path.write_text(json.dumps(record))
    assert "KiB" in command("report", "toy", "-o", "x.html", "--overwrite")


def test_while_a_run_trains_others_are_told_so(here):
    from modernbert.runs import lock

    path = here.path("toy") / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "running"}))
    with lock(path.parent):
        assert "running" in command("runs")
        assert "another process is working on this run" in command("resume", "toy")
        for arguments in (["predict", "reviews.csv", "--model", "toy", "-o", "out.jsonl"],
                          ["eval", "reviews.csv", "--model", "toy"], ["report", "toy"],
                          ["compare", "toy", "-b", "tfidf", "--finished"]):  # fmt: skip
            said = command(*arguments)
            assert "the run is running" in said and "Wait until it has ended" in said, said
