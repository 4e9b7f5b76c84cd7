"""Where collections come from: a folder, a bundle, this machine, the Hub."""

from __future__ import annotations

import json

import pytest
from collections_toy import JUDGEMENTS, write_collection

from modernbert.data import collections
from modernbert.data.collection import read_collection
from modernbert.data.collections import folder_task, hold_out, load_collection
from modernbert.data.registry import find_task, find_tasks
from modernbert.data.retrieval_task import MadeCollection, guess_analyser
from modernbert.download import download
from modernbert.errors import BadData, NotAvailable
from modernbert.evaluation.retrieve import retrieval_tasks

HUB = {
    "corpus": {"corpus": {"_id": ["d1", "d2"], "title": ["t", None], "text": ["a", "b"]}},
    "queries": {"queries": {"_id": ["q1", "q2"], "text": ["x", "y"]}},
    "default": {
        "test": {"query-id": ["q1"], "corpus-id": ["d2"], "score": [1]},
        "train": {"query-id": ["q2"], "corpus-id": ["d1"], "score": [2]},
    },
}


class Columns(dict):
    def to_dict(self):
        return dict(self)


@pytest.fixture
def hub(monkeypatch):
    """Stand in for `datasets.load_dataset`; return what it was asked for."""
    import datasets

    asked = []

    def load_dataset(repo, config, *, revision, download_config):
        asked.append((repo, config, revision))
        found = HUB[config.removeprefix("en-").replace("qrels", "default")]
        return {split: Columns(rows) for split, rows in found.items()}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_the_hubs_layout(hub):
    task = find_task("retrieval/scifact")
    found = load_collection(task, "test")
    assert dict(found.collection.queries) == {"q1": "x"}
    assert found.collection.judgements == {"q1": {"d2": 1}}
    assert found.collection.documents.with_titles() == ["t a", "b"]
    assert found.revision == task.source.revision
    assert hub == [("mteb/scifact", name, task.source.revision) for name in ("corpus", "queries", "default")]
    assert load_collection(task, "train").collection.judgements == {"q2": {"d1": 2}}


def test_a_languages_configurations(hub):
    load_collection(find_task("retrieval/mldr-en"), "test")
    assert [config for _, config, _ in hub] == ["en-corpus", "en-queries", "en-qrels"]


def test_a_bundle_that_was_downloaded_gives_the_same(hub, tmp_path, store):
    task = find_task("retrieval/scifact")
    item, *_ = download(["retrieval/scifact"], tmp_path / "bundle", store=store)
    assert item.files == 5
    first = load_collection(task, "test")
    hub.clear()
    again = load_collection(task, "test", tmp_path / "bundle")
    assert not hub
    assert again.collection.fingerprint() == first.collection.fingerprint()
    (tmp_path / "bundle" / task.name / "queries.jsonl").write_text('{"_id": "q1", "text": "z"}\n')
    with pytest.raises(BadData, match="checksum"):
        load_collection(task, "test", tmp_path / "bundle")


def test_out_of_reach_names_every_place():
    with pytest.raises(
        NotAvailable, match=r"(?s)bundle folder: none given.*cache:.*Hub:.*codesearch/stdlib"
    ) as told:
        load_collection(find_task("codesearch/cosqa"), "test")
    assert "(test) is not on this machine and the Hub is out of reach\n" in str(told.value)


def test_queries_are_held_out_by_their_text(tmp_path):
    toy = read_collection(write_collection(tmp_path / "toy"), "test")
    kept, held = hold_out(toy, 0.34)
    assert {*kept.queries, *held.queries} == {row[0] for row in JUDGEMENTS}
    assert not set(kept.queries) & set(held.queries)
    assert (kept.split, held.split) == ("test", "validation")
    assert len(kept.documents) == len(held.documents) == 4
    with pytest.raises(BadData, match="too few"):
        hold_out(toy.only(["q1"]))


def test_a_folders_splits(tmp_path):
    folder = write_collection(tmp_path / "toy")
    (folder / "qrels" / "train.tsv").write_text((folder / "qrels" / "test.tsv").read_text())
    (folder / "qrels" / "dev.tsv").write_text((folder / "qrels" / "test.tsv").read_text())
    assert folder_task(folder).splits == ("train", "dev", "test")


def test_names_and_groups():
    assert [task.name for task in find_tasks("codesearch")] == ["codesearch/stackoverflow-qa"]
    assert len(find_tasks("retrieval")) == 13
    assert len(find_tasks("retrieval/beir")) == 14 + 12
    assert "codesearch/stdlib" in [task.name for task in find_tasks("codesearch/all")]
    assert retrieval_tasks("glue/sst2") == retrieval_tasks("glue") == []
    pinned = [task.source for task in find_tasks("retrieval/all") + find_tasks("codesearch/all")]
    assert all(isinstance(s, MadeCollection) or len(s.revision) == 40 for s in pinned)
    assert collections.VALIDATION_SHARE == 0.1


@pytest.mark.parametrize(
    ("text", "analyser"),
    [
        ("def f(x):\n    return x[0] + 1\n", "code"),
        ("SELECT a.b, COUNT(*) FROM t WHERE x = 'y' GROUP BY a.b;", "code"),
        ("The quick brown fox jumps over the lazy dog, again and again.", "english"),
        ("", "english"),
    ],
)
def test_bm25_reads_code_as_code_in_folders_too(text, analyser, tmp_path):
    folder = write_collection(tmp_path / "toy")
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": "d1", "text": text}) + "\n{broken\n")
    assert folder_task(folder).analyser == analyser
    assert guess_analyser([text] * 3) == analyser
