"""An index: incremental, resumable, exact about what it holds, and refused with another model."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest

from modernbert.errors import BadData, BadModel, BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.index import build
from modernbert.index import store as store_module
from modernbert.index.build import build_index
from modernbert.index.files import scan
from modernbert.index.query import Searcher, find_index
from modernbert.index.store import open_store
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore


@pytest.fixture(scope="module")
def embedder(tiny_modernbert, tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("none"))
    return Embedder(locate_model(str(tiny_modernbert), store=store), device="cpu", precision="fp32")


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "a.py").write_text("def good_fine(w1):\n    return w1\n\n\ndef bad(w2):\n    return w2\n")
    (root / "sub" / "b.md").write_text("# w5\nlovely w6 w7\n")
    (root / "c.bin").write_bytes(b"\0\1")
    (root / "broken.txt").write_bytes(b"caf\xe9")
    return root


def holdings(folder):
    with open_store(folder) as store:
        rows = store.database.execute("SELECT path, first, last, text FROM chunks ORDER BY path, first")
        return rows.fetchall(), store.missing()


def test_only_what_changed_is_embedded_again(tree, tmp_path, embedder):
    folder = tmp_path / "index"
    first = build_index(tree, embedder, folder)
    assert (first.files, first.new, first.embedded) == (2, 2, first.chunks)
    assert first.left_out == {"broken.txt": "not UTF-8"}
    again = build_index(tree, embedder, folder)
    assert (again.new, again.changed, again.removed, again.embedded) == (0, 0, 0, 0)
    (tree / "a.py").write_text("def poor(w3):\n    return w3\n")
    (tree / "sub" / "b.md").unlink()
    (tree / "new.txt").write_text("superb\n")
    changed = build_index(tree, embedder, folder)
    assert (changed.new, changed.changed, changed.removed) == (1, 1, 1)
    fresh = tmp_path / "fresh"
    build_index(tree, embedder, fresh)
    assert holdings(folder) == holdings(fresh)
    hits = Searcher(folder, embedder).search("good", 10)
    assert {hit.path for hit in hits} == {"a.py", "new.txt"}


def test_an_interrupted_index_goes_on(tree, tmp_path, embedder, monkeypatch):
    folder = tmp_path / "index"
    monkeypatch.setattr(build, "BATCH", 1)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(tree, embedder, folder, on_progress=stop)
    rows, missing = holdings(folder)
    assert missing == len(rows) - 1
    assert build_index(tree, embedder, folder).embedded == len(rows) - 1


def test_scores_are_cosines_of_the_models_vectors(tree, tmp_path, embedder):
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    hits = Searcher(folder, embedder).search("lovely w6", 5)
    texts = [f"{hit.path} {hit.name}".strip() + f"\n{hit.text}" for hit in hits]
    expected = embedder.encode(texts) @ embedder.encode(["lovely w6"], "query")[0]
    np.testing.assert_allclose([hit.score for hit in hits], expected, atol=2e-3)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert (hits[0].start, hits[0].end) in {(1, 2), (5, 6)}


def test_hybrid_finds_an_exact_name(tree, tmp_path, embedder):
    for number in range(30):
        (tree / f"f{number}.txt").write_text(f"w{number} w{number + 1}\n")
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    hits = Searcher(folder, embedder).search("good_fine", 40, hybrid=True)
    assert hits[0].score > hits[-1].score
    assert "a.py" in [hit.path for hit in hits[:3]]
    with open_store(folder) as store:
        assert len(store.by_words("goodFine", 5)) == 1, "names are split into their parts"
        assert store.by_words('"; DROP TABLE chunks', 5) == []


def test_a_changed_file_is_marked(tree, tmp_path, embedder):
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    (tree / "a.py").write_text("x = 1\n")
    marks = {hit.path: hit.stale for hit in Searcher(folder, embedder).search("w1", 10)}
    assert marks == {"a.py": True, "sub/b.md": False}


def test_the_graph_is_mapped_once_and_again_after_a_change(tree, tmp_path, embedder, monkeypatch):
    folder, opened, real = tmp_path / "index", [], store_module._graph
    monkeypatch.setattr(store_module, "_graph", lambda size: opened.append(size) or real(size))
    build_index(tree, embedder, folder)
    opened.clear()
    searcher = Searcher(folder, embedder)
    first = {hit.path for hit in searcher.search("w1", 10)}
    searcher.search("w2", 10)
    assert len(opened) == 1
    (tree / "new.txt").write_text("w1 w2\n")
    build_index(tree, embedder, folder)
    assert {hit.path for hit in searcher.search("w1", 10)} == first | {"new.txt"}


def test_another_model_or_version_is_refused(tree, tmp_path, embedder, tiny_bert):
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    other = Embedder(locate_model(str(tiny_bert), store=RunStore(tmp_path)), device="cpu", precision="fp32")
    with pytest.raises(BadOption, match="the index was built with"):
        build_index(tree, other, folder)
    with pytest.raises(BadModel, match="whose weights or settings are not those"):
        Searcher(folder, other)
    record = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(record | {"format": 99}))
    with pytest.raises(BadData, match="format 99"):
        build_index(tree, embedder, folder)


def test_mistakes(tree, tmp_path, embedder, monkeypatch):
    with pytest.raises(BadData, match="no such folder"):
        scan(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="nothing here can be searched"):
        scan(tmp_path / "empty")
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(BadData, match="there is no index"):
        find_index(None)
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    with pytest.raises(BadOption, match="the query is empty"):
        Searcher(folder, embedder).search("  ")
    (folder / "chunks.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(BadData, match="the index is damaged"):
        build_index(tree, embedder, folder)


def test_git_decides_what_is_searched(tree):
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    (tree / ".gitignore").write_text("sub/\n")
    assert [file.path for file in scan(tree).files] == ["a.py"]
    assert [file.path for file in scan(tree / "sub").files] == ["b.md"], "named, so searched all the same"
    (tree / "node_modules").mkdir()
    (tree / "node_modules" / "x.js").write_text("1\n")
    assert "node_modules/x.js" in [file.path for file in scan(tree).files], "git was not told to ignore it"
