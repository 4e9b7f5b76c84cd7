"""`mbert eval FOLDER`: a collection of one's own, beside BM25."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from collections_toy import write_collection


@pytest.fixture
def toy(tmp_path):
    return write_collection(tmp_path / "toy")


def test_every_system_is_scored_and_the_run_kept(mbert, toy, tiny_modernbert):
    code, out, err = mbert("eval", toy, "-m", tiny_modernbert, "--json", "--precision", "fp32")
    assert code == 0, err
    result = json.loads(out)
    names = [system["system"] for system in result["systems"]]
    assert names == [str(tiny_modernbert), "bm25 (english)", f"{tiny_modernbert} + bm25"]
    assert result["systems"][1]["scores"][0]["value"] > 0.8, "BM25 finds words that stand there"
    assert result["systems"][0]["note"] == "not made for retrieval"
    rows = (Path("runs") / result["name"] / "scores.jsonl").read_text().splitlines()
    assert len(rows) == 3 * 3
    assert json.loads(rows[0])["id"] == "test/q1"
    record = json.loads((Path("runs") / result["name"] / "run.json").read_text())
    assert record["config"]["protocol"]["titles"] is True
    assert len(record["data"]["splits"]["test"]["fingerprint"]) == 64


def test_tables_and_listing(mbert, toy, tiny_modernbert):
    code, out, err = mbert("eval", toy, "-m", tiny_modernbert, "--protocol", "coir", "--max-length", 64)
    assert code == 0, err
    assert "toy (test, 3 queries, coir)" in out
    assert "was never trained for retrieval" in err
    code, out, _ = mbert("runs")
    assert "retrieval" in out
    assert "ndcg_at_10" in out
    name = next(path.name for path in Path("runs").iterdir())
    code, out, err = mbert("runs", "show", name)
    assert code == 0, err
    assert "test bm25 (english)" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--protocol", "trec"), "no protocol 'trec'"),
        (("--analyser", "latin"), "no analyser 'latin'"),
        (("--split", "dev"), "no split 'dev'"),
        (("--max-length", "9999"), "exceeds the model's context"),
    ],
)
def test_mistakes(arguments, message, mbert, toy, tiny_modernbert):
    code, _, err = mbert("eval", toy, "-m", tiny_modernbert, *arguments)
    assert code == 2
    assert message in err
    assert not Path("runs").exists()
