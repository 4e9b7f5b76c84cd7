"""`mbert eval FOLDER`: a collection of one's own, beside BM25."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from collections_toy import write_collection, write_lines

from modernbert.data.collection import read_collection
from modernbert.data.retrieval_task import MadeCollection, RetrievalTask
from modernbert.evaluation.embed import Estimate


def test_every_system_is_scored_and_the_run_kept(mbert, toy, tiny_modernbert):
    code, out, err = mbert("eval", toy, "-m", tiny_modernbert, "--json", "--precision", "fp32")
    assert code == 0, err
    result = json.loads(out)["results"][0]
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
    assert "own/toy (test, 3 queries, coir, but 64 tokens)" in out
    assert "was not trained for retrieval" in err
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
        (("--max-length", "9999"), "max_length 9999 exceeds the model's context"),
        (("--passages", "9999"), "--passages 9999 exceeds the model's context"),
    ],
)
def test_mistakes(arguments, message, mbert, toy, tiny_modernbert):
    code, _, err = mbert("eval", toy, "-m", tiny_modernbert, *arguments)
    assert code == 2
    assert message in err
    assert not Path("runs").exists()


def test_a_comparison_shows_the_encoders_speed_and_not_bm25s(mbert, toy, tiny_modernbert):
    assert mbert("eval", toy, "-m", tiny_modernbert)[0] == 0
    code, out, err = mbert("compare", "-b", "bm25", "--finished", "--json")
    assert code == 0, err
    models = json.loads(out)["tasks"][0]["models"]
    assert {m["on_front"] for m in models} == {None}, "one measured speed makes no front"
    costs = {m["model"]: m["cost"] for m in models}
    speeds = {model: cost["examples_per_second"] for model, cost in costs.items()}
    assert speeds.pop(Path(tiny_modernbert).name) > 0
    assert len(speeds) == 2 and set(speeds.values()) == {None}


def test_passages_and_the_cache_of_vectors(mbert, toy, tiny_modernbert, monkeypatch):
    from modernbert.evaluation.embed import Embedder

    first = mbert("eval", toy, "-m", tiny_modernbert, "--json")
    assert list(Path("cache/vectors").rglob("*.npy"))

    def fail(self, texts, kind="document"):
        assert kind == "query", "documents' vectors are read from disk"
        return real(self, texts, kind)

    real = Embedder.tokens_of
    monkeypatch.setattr(Embedder, "estimate", lambda self, texts: Estimate(4, 20, 0.1, 0.0))
    monkeypatch.setattr(Embedder, "tokens_of", fail)
    second = mbert("eval", toy, "-m", tiny_modernbert, "--json")
    scores = [json.loads(out)["results"][0]["systems"][0]["scores"] for _, out, _ in (first, second)]
    assert scores[0] == scores[1]
    monkeypatch.setattr(Embedder, "tokens_of", real)
    code, out, err = mbert("eval", toy, "-m", tiny_modernbert, "--json", "--passages", 5, "--no-cache")
    assert code == 0, err
    name = json.loads(out)["results"][0]["name"]
    assert json.loads((Path("runs") / name / "run.json").read_text())["config"]["passages"] == 5
    kept = json.loads((Path("runs") / name / "mteb.json").read_text())
    assert kept["scores"]["test"][0]["main_score"] == kept["scores"]["test"][0]["ndcg_at_10"]


def test_a_small_model_of_the_standard_library(mbert, tiny_modernbert, monkeypatch):
    """Several tasks at once: each is kept, and the mean is shown."""
    from modernbert.tasks import codesearch

    toy = {"test": read_collection(write_collection(Path("toy")), "test")}
    for name in ("one", "two"):
        source = MadeCollection(lambda: toy, lambda: "toy")
        task = RetrievalTask(name=f"codesearch/{name}", summary="", source=source, analyser="code")
        monkeypatch.setitem(codesearch.TASKS, name, task)
    monkeypatch.setattr(codesearch, "DEFAULT", ("one", "two"))
    code, out, err = mbert("eval", "codesearch", "-m", tiny_modernbert)
    assert code == 0, err
    assert out.count("bm25 (code)") == 2
    assert "nDCG@10 over 2 tasks, bm25:" in out


def test_what_needs_the_hub_says_so(mbert, tiny_modernbert):
    code, _, err = mbert("eval", "codesearch", "-m", tiny_modernbert)
    assert code == 2
    assert "codesearch/stackoverflow-qa (test) is not on this machine" in err
    assert "mbert download codesearch/stackoverflow-qa --to bundle" in err
    code, _, err = mbert("finetune", "retrieval/arguana", "-m", tiny_modernbert)
    assert code == 2
    assert "no training queries" in err
    code, _, err = mbert("eval", "glue/sst2")
    assert code == 2
    assert "which model?" in err


def test_a_reranker_gets_a_row_of_its_own(mbert, toy, tiny_modernbert, tiny_bert):
    rows = [{"query": f"w{i}", "positive": f"w{i} good", "negative": f"w{i} bad"} for i in range(30)]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ("--head", "reranker", "--epochs", 1, "--precision", "fp32", "--name", "judge")
    code, out, err = mbert("finetune", "pairs.jsonl", "-m", tiny_bert, *flags)
    assert code == 0, err
    assert "head reranker" in out
    code, out, err = mbert("eval", toy, "-m", tiny_modernbert, "--rerank", "judge", "--json")
    assert code == 0, err
    assert json.loads(out)["results"][0]["systems"][3]["system"] == f"{tiny_modernbert} > judge"
    code, _, err = mbert("eval", toy, "-m", tiny_modernbert, "--rerank", tiny_modernbert)
    assert code == 2
    assert "cannot rerank" in err


@pytest.mark.filterwarnings("ignore")  # of what mteb imports
def test_mteb_finds_the_same(mbert, toy, tiny_modernbert):
    pytest.importorskip("mteb")
    code, _, err = mbert("eval", toy, "-m", tiny_modernbert, "--precision", "fp32", "--via", "mteb")
    assert code == 0, err
    assert "mteb's own evaluation of the same data: nDCG@10" in err
    assert "they agree" in err
    code, _, err = mbert("eval", toy, "-m", tiny_modernbert, "--via", "mteb", "--protocol", "coir")
    assert code == 2
    assert "whole documents with their titles" in err


def test_data_check_of_a_collection(mbert, toy, tiny_modernbert):
    lines = (toy / "qrels" / "test.tsv").read_text()
    (toy / "qrels" / "train.tsv").write_text(lines)
    code, out, err = mbert("data", "check", toy, "-m", tiny_modernbert, "--max-length", 5)
    assert code == 0, err
    assert "documents 4, relevant 4, judged irrelevant 1" in out
    assert "test: 3 of 3 queries are also in training" in err
    assert "documents longer than 5 tokens are truncated: " in err
    assert "documents without text" in err
    code, out, err = mbert("data", "check", toy, "--json")
    assert json.loads(out)["splits"][0]["rows"] == 3


def test_a_run_for_retrieval_says_what_it_is_for(mbert, reviews, tiny_modernbert):
    rows = [{"query": f"w{i}", "positive": f"w{i} good"} for i in range(30)]
    Path("pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ("--epochs", 1, "--precision", "fp32", "--name", "finder")
    code, out, err = mbert("finetune", "pairs.jsonl", "-m", tiny_modernbert, *flags)
    assert code == 0, err
    assert "Next: mbert eval COLLECTION --model finder, mbert index PATH --model finder" in out
    code, out, err = mbert("eval", "pairs.jsonl", "-m", "finder", "--json")
    assert code == 0, err
    assert "finder was trained on most of this file" in json.loads(out)["results"][0]["notes"][0]
    assert json.loads(out)["results"][0]["systems"][0]["scores"][0]["n"] == 30
    for command in (("predict", reviews, "-o", "o.jsonl"), ("eval", reviews)):
        code, _, err = mbert(*command, "-m", "finder")
        assert code == 2
        assert "trained for retrieval (own/pairs): it predicts no labels" in err
    code, out, err = mbert("finetune", reviews, "-m", "finder", "--epochs", 1, "--precision", "fp32")
    assert code == 0, "an encoder trained for retrieval can learn labels"


ARGUMENTS = {
    "arg-0": "Cats should be kept indoors because roads are dangerous for them.",
    "arg-1": "Cats should roam outdoors because they need exercise.",
    "arg-2": "Tea is better than coffee since it is gentle on the stomach.",
    "arg-3": "Coffee is better than tea since it wakes people up.",
}


@pytest.mark.filterwarnings("ignore")  # of what mteb imports
def test_queries_that_are_documents_find_others_when_told_to(mbert, tmp_path):
    """Every query is a document; what is relevant is its counter-argument. mteb must agree."""
    pytest.importorskip("mteb")
    folder = tmp_path / "argu"
    (folder / "qrels").mkdir(parents=True)
    write_lines(folder / "corpus.jsonl", [{"_id": i, "title": "", "text": t} for i, t in ARGUMENTS.items()])
    write_lines(folder / "queries.jsonl", [{"_id": i, "text": t} for i, t in ARGUMENTS.items()])
    other = {"arg-0": "arg-1", "arg-1": "arg-0", "arg-2": "arg-3", "arg-3": "arg-2"}
    lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{document}\t1" for query, document in other.items())]
    (folder / "qrels/test.tsv").write_text("\n".join(lines) + "\n")
    common = ("eval", folder, "-m", "modernbert-nano", "--json", "--via", "mteb")
    code, out, err = mbert(*common)
    assert code == 0, err
    found = json.loads(out)["results"][0]
    # The query itself stands first, its counter-argument second: 1 / log2(3).
    assert [s["scores"][0]["value"] for s in found["systems"]] == pytest.approx([0.6309] * 3, abs=1e-4)
    assert any("4 queries have the id of a document, and were free" in note for note in found["notes"])
    assert any("they agree" in note for note in found["notes"])
    code, out, err = mbert(*common, "--ignore-identical-ids")
    assert code == 0, err
    found = json.loads(out)["results"][0]
    assert [s["scores"][0]["value"] for s in found["systems"]] == [1, 1, 1]
    assert any("they agree" in note for note in found["notes"])
    assert found["protocol"]["name"] == "mteb, but identical ids left out"
