"""`mbert runs mv`: what was made with a run goes on to work, under its new name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import FAST


@pytest.fixture
def ok(mbert):
    def run(*arguments: object) -> str:
        code, out, err = mbert(*arguments)
        assert code == 0, err
        return out

    return run


@pytest.mark.slow
def test_what_was_made_with_a_run_finds_it_by_its_new_name(ok, trained, reviews, tmp_path):
    ok("eval", reviews, "-m", trained)
    ok("finetune", reviews, "-m", trained, *FAST, "--lora", "--name", "adapted")
    ok("finetune", reviews, "-m", trained, *FAST, "--folds", "2", "--name", "folded")
    ok("compare", "adapted", trained, "-o", "kept.json", "--show-seeds")
    shown = ok("predict", "-m", "adapted", "--text", "w1 good", "--json")
    for old, new in ((trained, "better"), ("folded-s42-f1", "first"), ("folded-s42", "pooled")):
        ok("runs", "mv", old, new)
    for path in (tmp_path / "runs").glob("*/run.json"):
        record = json.loads(path.read_text())
        record.pop("former_names", None)
        for name in (trained, "folded-s42"):
            assert f'"{name}"' not in json.dumps(record) and f"runs/{name}" not in json.dumps(record), path
    assert "`toy`" not in (tmp_path / "runs" / "adapted" / "model" / "README.md").read_text()
    assert json.loads((tmp_path / "runs" / "pooled" / "run.json").read_text())["folds"][0] == "first"
    assert ok("predict", "-m", "adapted", "--text", "w1 good", "--json") == shown
    assert "without its answers" not in Path(_report(ok)).read_text()


def _report(ok) -> str:
    ok("report", "kept.json", "-o", "kept.html")
    return "kept.html"


def test_an_index_finds_its_renamed_model_but_takes_no_other(ok, mbert, tmp_path, tiny_bert, toy):
    flags = ["--precision", "fp32", "--epochs", "1", "--max-length", "16", "--keep", "last"]
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"query": f"w{i} good", "positive": f"w{i} bad"} for i in range(30)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ok("finetune", pairs, "-m", tiny_bert, *flags, "--name", "finder")
    ok("eval", toy, "-m", "finder", "--precision", "fp32")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("def good():\n    return 1\n")
    ok("index", "code", "-m", "finder", "--precision", "fp32")
    ok("runs", "mv", "finder", "scout")
    assert "a.py" in ok("search", "good", "--index", "code", "--precision", "fp32")
    assert "tiny-bert trained" in ok("compare", "-b", "bm25", "eval-toy-finder", "--finished")
    ok("finetune", pairs, "-m", tiny_bert, *flags, "--name", "finder", "--seed", "7")
    code, _, err = mbert("search", "good", "--index", "code", "--precision", "fp32")
    assert code != 0 and "whose weights or settings are not those" in " ".join(err.split())
