"""Scores, logs and comparisons that were damaged or edited: told, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.records import REMOVED, command, damaged


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
    assert "KiB" in command("report", "eval-coll-tiny-bert", "-o", "x.html", "--overwrite")


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
    command("compare", "toy", "-b", "tfidf", "--finished", "-o", "c.json", "--overwrite")
    kept = json.loads(Path("c.json").read_text())
    first, second = kept["tasks"][0]["models"]
    first["runs"], second["runs"] = ["../runs/toy"], [str(here.path("toy").absolute())]
    Path("c.json").write_text(json.dumps(kept))
    command("report", "c.json", "-o", "c.html", "--overwrite")
    assert Path("c.html").read_text().count("without its answers: there is no run called") == 2
