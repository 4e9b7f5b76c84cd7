"""Records, scores, logs, comparisons and checkpoints that were damaged or edited: told, never a traceback."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import request_of, toy_rows, write_csv
from modernbert.cli.main import app
from typer.testing import CliRunner

from modernbert.errors import BadRun, MbertError
from modernbert.runs import RunStore, read_run

REMOVED = object()
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
KINDS = ("toy", "reviews-tfidf", "eval-reviews-toy", "eval-coll-tiny-bert")


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_bert) -> Path:
    """A folder with one run of each kind in `runs`, and what they were made of."""
    from modernbert.comparison.baselines import run_baseline
    from modernbert.data.collections import folder_task
    from modernbert.evaluation.evaluate import evaluate_model
    from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks
    from modernbert.evaluation.trained_task import task_of_file
    from modernbert.model.locate import locate_model
    from modernbert.training.finetune import finetune

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


def collection(folder: Path) -> Path:
    """Write a collection of five documents, each with a query; ids may hold any Unicode line separator."""
    (folder / "qrels").mkdir(parents=True)
    ids = ["a", "b", "c", "d\u2028d", "e\x85e"]
    documents = [{"_id": i, "title": "", "text": f"good w{n} w{n + 9}"} for n, i in enumerate(ids)]
    queries = [{"_id": i, "text": f"w{n} w{n + 9}"} for n, i in enumerate(ids)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    judged = "".join(f"{i}\t{i}\t1\n" for i in ids)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")
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


def command(*arguments: str) -> str:
    """Run a command in this process; return what it said. Anything but a result or a sentence fails."""
    done = CliRunner().invoke(app, list(arguments))
    if done.exception is None or isinstance(done.exception, SystemExit):
        assert done.exit_code in (0, 2), (arguments, done.output)
        return done.output
    assert isinstance(done.exception, MbertError), (arguments, done.exception)
    assert done.exception.exit_code == 2 and "Traceback" not in str(done.exception)
    return f"Error: {done.exception}"


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


def damaged(record: dict[str, Any], at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a record with one value replaced, or removed."""
    changed = part = copy.deepcopy(record)
    for key in at[:-1]:
        part = part[key]
    if value is REMOVED:
        del part[at[-1]]
    else:
        part[at[-1]] = value
    return changed


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
        command("report", name, "-o", "x.html")
        command("compare", name, "-b", "tfidf", "--finished", "--allow")
        command("predict", "reviews.csv", "--model", name, "-o", "out.jsonl")
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


def edited(number: int, change: Callable[[dict[str, Any]], object]) -> Callable[[list[bytes]], list[bytes]]:
    """Return a damage that changes one row."""

    def edit(lines: list[bytes]) -> list[bytes]:
        row = json.loads(lines[number])
        change(row)
        return [*lines[:number], json.dumps(row).encode(), *lines[number + 1 :]]

    return edit


ROWS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "last row cut": lambda lines: [*lines[:-1], lines[-1][:20]],
    "row gone": lambda lines: lines[1:],
    "row twice": lambda lines: [*lines, lines[0]],
    "empty": lambda lines: [],
    "garbage": lambda lines: [b"\xff\x00garbage"],
    "a list": lambda lines: [b"[1]", *lines[1:]],
    "deep": lambda lines: [b"[" * 50_000, *lines[1:]],
    "id missing": edited(1, lambda row: row.pop("id")),
    "id a number": edited(1, lambda row: row.update(id=1)),
    "label text": edited(1, lambda row: row.update(label="x")),
    "label out of range": edited(1, lambda row: row.update(label=7, prediction=7)),
    "prediction a list": edited(1, lambda row: row.update(prediction=[1])),
    "prediction huge": edited(1, lambda row: row.update(prediction=10**30)),
    "no logits": edited(1, lambda row: row.pop("logits")),
    "more logits": edited(1, lambda row: row.update(logits=[0.0] * 3)),
    "logits NaN": edited(1, lambda row: row.update(logits=[float("nan"), 0.0])),
    "logits text": edited(1, lambda row: row.update(logits="ab")),
    "other answers": edited(1, lambda row: row.update(prediction=1 - row["prediction"])),
}


@pytest.mark.parametrize("name", ROWS)
def test_damaged_scores_are_told_and_stop_nobody_else(name, here):
    path = here.path("toy") / "scores.jsonl"
    lines = path.read_bytes().rstrip(b"\n").split(b"\n")
    path.write_bytes(b"\n".join(ROWS[name](lines)) + b"\n")
    for arguments in (["report", "toy"], ["compare", "toy", "-b", "tfidf", "--finished"]):
        said = command(*arguments)
        assert said.startswith("Error: ") and "toy/scores.jsonl" in said, said
    (here.path("eval-reviews-toy") / "run.json").write_text("{")  # of another split: not comparable
    said = command("compare", "-b", "bm25", "-t", "own/coll", "--finished")
    assert "passed over" in said and "toy/scores.jsonl" in said and "differences" in said


@pytest.mark.parametrize("value", [REMOVED, None, "x", float("nan"), [1.0]])
def test_damaged_figures_of_queries_are_told(value, here):
    path = here.path("eval-coll-tiny-bert") / "scores.jsonl"
    first, *others = path.read_text().split("\n")
    path.write_text("\n".join([json.dumps(damaged(json.loads(first), ("ndcg_at_10",), value)), *others]))
    assert "scores.jsonl, line 1, ndcg_at_10" in command("report", "eval-coll-tiny-bert")


@pytest.mark.parametrize("value", [10**30, 10**400])
def test_a_figure_that_no_machine_number_holds_is_told(value, here):
    path = here.path("eval-coll-tiny-bert") / "scores.jsonl"
    first, *others = path.read_text().split("\n")
    path.write_text("\n".join([json.dumps(json.loads(first) | {"ndcg_at_10": value}), *others]))
    assert "eval-coll-tiny-bert/scores.jsonl" in command("report", "eval-coll-tiny-bert")


def test_ids_with_line_separators_are_read_back(here):
    assert "MiB" in command("report", "eval-coll-tiny-bert", "-o", "x.html")


@pytest.mark.parametrize(
    "line",
    ['{"event": "StepRep', "garbage", "{}", "[]", '{"event": "StepReport", "step": 1}',
     '{"event": "StepReport", "step": 1, "loss": NaN}'],
)  # fmt: skip
def test_a_damaged_log_is_told(line, here):
    path = here.path("toy") / "log.jsonl"
    whole = path.read_text()
    path.write_text(f"{whole}{line}\n{whole}")
    said = command("report", "toy")
    assert "log.jsonl, line" in said and "Delete the line" in said


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"tasks": 3, "baselines": []}', "[" * 100_000,
    '{"tasks": [{"models": [{"runs": [1]}]}], "baselines": ["tfidf"]}',
    '{"tasks": [{"models": [{"runs": ["toy"]}]}], "baselines": [1]}',
    '{"tasks": [], "baselines": ["tfidf"]}'])  # fmt: skip
def test_a_damaged_comparison_is_told(text, here):
    Path("c.json").write_text(text)
    assert "c.json: this is no comparison" in command("report", "c.json")


def test_a_comparison_names_runs_of_the_store_alone(here):
    outside = str(here.path("toy").absolute())
    kept = {"tasks": [{"models": [{"runs": [outside, "../runs/toy"]}]}], "baselines": ["tfidf"]}
    Path("c.json").write_text(json.dumps(kept))
    assert "there is no run called" in command("report", "c.json")


def test_a_run_of_the_future_can_be_read(here):
    path = here.path("toy") / "run.json"
    record = json.loads(path.read_text())
    record |= {"new": 1}
    record["request"] |= {"new": 1}
    path.write_text(json.dumps(record))
    assert "MiB" in command("report", "toy", "-o", "x.html")


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
