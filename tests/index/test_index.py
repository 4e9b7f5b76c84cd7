"""An index: incremental, resumable, exact about what it holds, and refused with another model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from modernbert.errors import BadData, BadModel, BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.index import build, nearest, query, write
from modernbert.index.build import build_index
from modernbert.index.files import scan
from modernbert.index.query import Searcher, find_index
from modernbert.index.record import MADE, PLACE, RECORD, checked_chunks, default_folder, model_of, read_record
from modernbert.index.store import open_store
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.temporary import held


def opened(folder):
    return open_store(checked_chunks(folder, read_record(folder)))


def holdings(folder):
    with opened(folder) as store:
        columns = "path, first, last, name, text, vector"
        return store.database.execute(f"SELECT {columns} FROM chunks ORDER BY path, first").fetchall()


def answers(folder, embedder, query="good w1", k=50):
    searcher = Searcher(folder, embedder)
    return [searcher.search(query, k, hybrid=hybrid) for hybrid in (False, True)]


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
    assert answers(folder, embedder) == answers(fresh, embedder), "to the last bit, and in the same order"
    hits = Searcher(folder, embedder).search("good", 10)
    assert {hit.path for hit in hits} == {"a.py", "new.txt"}


def test_an_interrupted_index_goes_on(tree, tmp_path, embedder, monkeypatch):
    folder = tmp_path / "index"
    monkeypatch.setattr(build, "BATCH", 1)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(tree, embedder, folder, on_progress=stop)
    with pytest.raises(BadData, match="cannot be read"):
        Searcher(folder, embedder)
    assert build_index(tree, embedder, folder).embedded == len(holdings(folder)) - 1
    assert not (folder / MADE).exists()


def test_an_interrupted_update_leaves_the_old_index(tree, tmp_path, embedder, monkeypatch):
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    before = answers(folder, embedder)
    (tree / "a.py").write_text("def poor(w3):\n    return w3\n")

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(tree, embedder, folder, on_progress=stop)
    after = answers(folder, embedder)
    assert [[hit.text for hit in hits] for hits in after] == [[hit.text for hit in hits] for hits in before]
    assert build_index(tree, embedder, folder).embedded == 0, "its vectors were kept"
    assert "poor" in {row[3] for row in holdings(folder)}


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
    with opened(folder) as store:
        words = store.words()
        assert len(words.find(store.database, "goodFine", 5)[0]) == 1, "names are split into their parts"
        assert not len(words.find(store.database, '"; DROP TABLE chunks', 5)[0])


def test_a_changed_file_is_marked(tree, tmp_path, embedder):
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    (tree / "a.py").write_text("x = 1\n")
    marks = {hit.path: hit.stale for hit in Searcher(folder, embedder).search("w1", 10)}
    assert marks == {"a.py": True, "sub/b.md": False}


def test_vectors_are_read_once_and_again_after_a_change(tree, tmp_path, embedder, monkeypatch):
    folder, read, real = tmp_path / "index", [], query.Nearest
    monkeypatch.setattr(query, "Nearest", lambda *given: read.append(given) or real(*given))
    build_index(tree, embedder, folder)
    searcher = Searcher(folder, embedder)
    first = {hit.path for hit in searcher.search("w1", 10)}
    searcher.search("w2", 10)
    assert len(read) == 1
    (tree / "new.txt").write_text("w1 w2\n")
    build_index(tree, embedder, folder)
    assert {hit.path for hit in searcher.search("w1", 10)} == first | {"new.txt"}


def test_a_large_index_has_a_graph_that_only_its_user_can_make(tree, tmp_path, embedder, monkeypatch):
    for module in (nearest, write):
        monkeypatch.setattr(module, "LARGE", 5)
    for number in range(40):
        (tree / f"f{number}.txt").write_text(f"w{number} w{number + 1}\n")
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    graph = folder / read_record(folder)["graph"]
    searcher = Searcher(folder, embedder)
    assert searcher.nearest.graph is not None
    found = [hit.path for hit in searcher.search("w5 w6", 10)]
    monkeypatch.setattr(nearest, "LARGE", 1000)
    exact = [hit.path for hit in Searcher(folder, embedder).search("w5 w6", 10)]
    assert len(set(exact) & set(found)) > 7
    monkeypatch.setattr(nearest, "LARGE", 5)
    content = bytearray(graph.read_bytes())
    for damaged in (content[:100], content[:200] + bytes(64) + content[264:], b""):
        graph.write_bytes(damaged)
        assert Searcher(folder, embedder).nearest.graph is None, "it never reaches the library"
        assert [hit.path for hit in Searcher(folder, embedder).search("w5 w6", 10)] == exact
    build_index(tree, embedder, folder)
    assert Searcher(folder, embedder).nearest.graph is not None, "made again"
    changed = {number: f"w{number} w5 w{number + 2}\n" for number in (5, 30)}
    for number, text in changed.items():
        (tree / f"f{number}.txt").write_text(text)
    before = read_record(folder)["graph"]
    build_index(tree, embedder, folder)
    assert read_record(folder)["graph"] == before, "a few changes need no new graph"
    texts = {hit.path: hit.text for hit in Searcher(folder, embedder).search("w5 w6", 43)}
    assert len(texts) == 42
    assert all(texts[f"f{number}.txt"] == text.strip() for number, text in changed.items())
    for number in range(10):
        (tree / f"f{number}.txt").write_text("superb")
    build_index(tree, embedder, folder)
    assert read_record(folder)["graph"] != before
    monkeypatch.setenv("MBERT_CACHE", str(tmp_path / "other"))
    assert Searcher(folder, embedder).nearest.graph is None, "another user's"
    build_index(tree, embedder, folder)
    assert Searcher(folder, embedder).nearest.graph is not None
    assert len([path for path in folder.iterdir() if path.suffix == ".usearch"]) == 1


def test_a_part_of_an_indexed_folder_is_brought_up_to_date_alone(tree, tmp_path, embedder):
    folder = default_folder(tree)
    build_index(tree, embedder, folder)
    (tree / "a.py").write_text("def poor(w3):\n    return w3\n")
    (tree / "sub" / "b.md").write_text("dull\n")
    done = build_index(tree / "a.py", embedder, default_folder(tree / "a.py"))
    assert (done.files, done.new, done.changed, done.removed) == (2, 0, 1, 0)
    assert [row[4] for row in holdings(folder) if row[0] == "sub/b.md"] == ["# w5\nlovely w6 w7"]
    done = build_index(tree / "sub", embedder, folder)
    assert (done.files, done.changed, done.removed) == (2, 1, 0)
    build_index(tree, embedder, tmp_path / "fresh")
    assert holdings(folder) == holdings(tmp_path / "fresh")
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.md").write_text("w1\n")
    with pytest.raises(BadOption, match="this is the index of"):
        build_index(other, embedder, folder)
    assert build_index(other, embedder, folder, anew=True).files == 1


def test_files_named_one_by_one_come_together(tree, embedder):
    folder = default_folder(tree / "a.py")
    build_index(tree / "a.py", embedder, folder)
    (tree / "z.md").write_text("w9\n")
    assert build_index(tree / "z.md", embedder, folder).files == 2
    assert build_index(tree, embedder, folder).files == 3


def test_an_index_moves_with_its_folder(tree, tmp_path, embedder):
    build_index(tree, embedder, default_folder(tree))
    moved = tree.rename(tmp_path / "moved")
    assert build_index(moved, embedder, default_folder(moved)).embedded == 0
    assert not any(hit.stale for hit in answers(default_folder(moved), embedder)[0])


def test_one_writer_at_a_time(tree, tmp_path, embedder):
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    with held(folder, name=".lock"), pytest.raises(BadOption, match="another mbert is indexing here"):
        build_index(tree, embedder, folder)


def test_an_index_of_the_first_version_is_built_anew_with_its_model(tree, tmp_path, embedder):
    folder = tmp_path / "index"
    folder.mkdir()
    key = {name: value for name, value in embedder.key.items() if name not in PLACE}
    old = {"format": 1, "root": str(tree), "model": "mine", "key": key, "created": "", "versions": {}}
    (folder / "index.json").write_text(json.dumps(old))
    for name in ("chunks.sqlite", "vectors.usearch"):
        (folder / name).write_text("")
    assert model_of(folder) == ("mine", embedder.settings.max_length)
    assert find_index(folder) == folder
    with pytest.raises(BadData, match="format 1"):
        Searcher(folder, embedder)
    assert "format 1" in build_index(tree, embedder, folder).repaired
    assert {path.name for path in folder.iterdir()} == {
        "mbert-index.json", ".gitignore", ".lock", read_record(folder)["chunks"]
    }  # fmt: skip


def test_another_model_or_version_is_refused(tree, tmp_path, embedder, tiny_bert):
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    other = Embedder(locate_model(str(tiny_bert), store=RunStore(tmp_path)), device="cpu", precision="fp32")
    with pytest.raises(BadOption, match="the index was built with"):
        build_index(tree, other, folder)
    with pytest.raises(BadModel, match="whose weights or settings are not those"):
        Searcher(folder, other)
    record = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps(record | {"format": 99}))
    with pytest.raises(BadData, match="format 99"):
        Searcher(folder, embedder)
    done = build_index(tree, embedder, folder)
    assert (done.embedded, done.repaired[-15:]) == (0, "it was restored")


def test_mistakes(tree, tmp_path, embedder, monkeypatch):
    with pytest.raises(BadData, match="no such file or folder"):
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
    with pytest.raises(BadOption, match="-k must be at least 1"):
        Searcher(folder, embedder).search("x", 0)
    with pytest.raises(BadOption, match="holds files to index"):
        build_index(tree, embedder, tree)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(BadOption, match="cannot write here"):
            build_index(tree, embedder, place)


def test_any_number_of_results_may_be_asked_for(tree, tmp_path, embedder):
    build_index(tree, embedder, tmp_path / "index")
    for hits in answers(tmp_path / "index", embedder, k=10**20):
        assert len(hits) == 3


def test_a_long_query_is_searched_by_its_words(tree, tmp_path, embedder):
    build_index(tree, embedder, tmp_path / "index")
    long = " ".join(f"word{number}" for number in range(5000)) + " good_fine"
    assert answers(tmp_path / "index", embedder, query=long)[1][0].name == "good_fine"
