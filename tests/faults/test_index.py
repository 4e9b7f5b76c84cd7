"""An index after kills, full disks, damage and planted files: the same results, or one sentence."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest
from forks import fork, status_of

from modernbert import files, temporary
from modernbert.errors import BadData, DiskFull
from modernbert.files import sha256
from modernbert.index import build, nearest, record, write
from modernbert.index.build import build_index
from modernbert.index.made import Made
from modernbert.index.query import Searcher, find_index
from modernbert.index.record import CHUNKS_NAME, MADE, RECORD, read_record
from modernbert.index.store import IndexStore

FOLDER = ".mbert-index"
# What an index does to the disk, one after another: killed before any of these, it must survive.
STEPS = [
    (Made, "add"), (IndexStore, "add"), (IndexStore, "forget"), (write.shutil, "copyfile"), (write, "sha256"),
    (write, "flush_to_disk"), (build, "write_chunks"), (build, "with_graph"), (write, "write_graph"),
    (build, "switch_to"), (record, "write_json"), (record, "remove"), (build, "tidy"), (Path, "replace"),
    (Path, "unlink"), (os, "fsync"), (temporary, "_lock"),
]  # fmt: skip


@pytest.fixture(params=["small", pytest.param("large", marks=pytest.mark.slow)])
def tree(request, tmp_path, monkeypatch):
    """A folder to index; where it is large, with a graph."""
    if request.param == "large":
        for module in (nearest, write):
            monkeypatch.setattr(module, "LARGE", 2)
    monkeypatch.setattr(build, "BATCH", 2)
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "a.py").write_text("def good_fine(w1):\n    return w1\n\n\ndef bad(w2):\n    return w2\n")
    (root / "sub" / "b.md").write_text("# w5\nlovely w6 w7\n")
    (root / "c.txt").write_text("superb w9\n")
    return root


def change(root):
    (root / "a.py").write_text("def poor(w3):\n    return w3\n")
    (root / "c.txt").unlink()
    (root / "d.txt").write_text("dull w4\n")


def answers(folder, embedder):
    """Return what is found; scores to five digits, as a graph has its own way to a cosine."""
    searcher = Searcher(folder, embedder)
    found = [hit for hybrid in (False, True) for hit in searcher.search("good w1", 9, hybrid=hybrid)]
    return sorted((hit.path, hit.start, hit.text, round(hit.score, 3)) for hit in found)


def clean(folder):
    """Are there only the files of a whole index?"""
    now = read_record(folder)
    named = {RECORD, ".gitignore", ".lock", now["chunks"], now["graph"]}
    return {path.name for path in folder.iterdir()} == named - {None}


def killed_before(step, root, embedder, folder):
    """Index, and be killed before the step of this number."""
    count = 0

    def counted(real):
        def call(*given, **named):
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **named)

        return call

    for owner, name in STEPS:
        setattr(owner, name, counted(getattr(owner, name)))
    build_index(root, embedder, folder)


def kills(root, embedder, start, allowed, wanted, tmp_path):
    """Kill an index before every one of its steps, each time from `start`; return at how many."""
    for step in range(1, 200):
        folder = tmp_path / "killed" / str(step)
        folder.parent.mkdir(exist_ok=True)
        if start:
            shutil.copytree(start, folder)
        status = status_of(fork(killed_before, step, root, embedder, folder))
        assert status in (0, -signal.SIGKILL)
        try:
            assert answers(folder, embedder) in allowed, step
        except BadData:
            assert not start, "there is an older state to search"
        assert not build_index(root, embedder, folder).repaired or not start
        assert answers(folder, embedder) == wanted, step
        assert clean(folder), step
        if not status:
            return step
    raise AssertionError("it never ends")


def test_a_first_build_killed_anywhere_goes_on(tree, tmp_path, embedder):
    build_index(tree, embedder, tmp_path / "whole")
    wanted = answers(tmp_path / "whole", embedder)
    assert kills(tree, embedder, None, [wanted], wanted, tmp_path) > 15


def test_an_update_killed_anywhere_is_done_or_not(tree, tmp_path, embedder):
    build_index(tree, embedder, tmp_path / "old")
    before = answers(tmp_path / "old", embedder)
    change(tree)
    build_index(tree, embedder, tmp_path / "whole")
    wanted = answers(tmp_path / "whole", embedder)
    assert wanted != before
    assert kills(tree, embedder, tmp_path / "old", [before, wanted], wanted, tmp_path) > 15


def test_two_at_once(tree, tmp_path, embedder):
    build_index(tree, embedder, tmp_path / "whole")
    for number in range(3):
        folder = tmp_path / f"both{number}"
        both = [fork(build_index, tree, embedder, folder) for _ in range(2)]
        assert sorted(status_of(child) for child in both) in ([0, 0], [0, 2])
        assert answers(folder, embedder) == answers(tmp_path / "whole", embedder)
        assert clean(folder)


def limited(size, root, embedder, folder):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    build_index(root, embedder, folder)


def test_a_disk_that_is_full(tree, tmp_path, embedder):
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    before = answers(folder, embedder)
    change(tree)
    for size in (0, 100, 4096, 20_000):
        assert status_of(fork(limited, size, tree, embedder, folder)) == DiskFull.exit_code, size
        assert answers(folder, embedder) == before
        assert not list(folder.glob("*-journal"))
    build_index(tree, embedder, folder)
    build_index(tree, embedder, tmp_path / "whole")
    assert answers(folder, embedder) == answers(tmp_path / "whole", embedder)
    assert clean(folder)


def flipped(path, share):
    content = bytearray(path.read_bytes())
    start = min(int(len(content) * share), len(content) - 1)
    content[start : start + 64] = bytes(byte ^ 0xFF for byte in content[start : start + 64])
    path.write_bytes(content)


def cut(path, share):
    os.truncate(path, int(path.stat().st_size * share))


def folder_instead(path):
    path.unlink()
    path.mkdir()
    (path / "x").write_text("")


def no_permission(path):
    path.unlink()
    path.symlink_to(path.name)  # even root cannot open a link to itself


DAMAGES = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "one byte": lambda path: path.write_bytes(b"x"),
    "text": lambda path: path.write_text("this is no index\n" * 500),
    "a list": lambda path: path.write_text("[]"),
    "a folder": folder_instead,
    "a link to itself": no_permission,
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    **{f"cut at {i}/5": lambda path, i=i: cut(path, i / 5) for i in range(1, 5)},
    **{f"flipped at {i}/6": lambda path, i=i: flipped(path, i / 6) for i in range(6)},
}
OTHERS = [
    {"format": 2}, {"key": None}, {"model": 3}, {"root": 3}, {"chunks": "../x"}, {"graph": "x"}, {"key": {}},
]  # fmt: skip


@pytest.mark.parametrize("which", ["record", "chunks", "graph", "everything"])
def test_whatever_is_damaged_is_mended(which, tree, tmp_path, embedder):
    whole = tmp_path / "whole"
    build_index(tree, embedder, whole)
    wanted, names = answers(whole, embedder), read_record(whole)
    chosen = {"record": [RECORD], "chunks": [names["chunks"]], "graph": [names["graph"]]}
    if which == "graph" and not names["graph"]:
        pytest.skip("this one has no graph")
    for kind, damage in DAMAGES.items():
        folder = tmp_path / kind.replace("/", " ")
        shutil.copytree(whole, folder)
        for name in chosen.get(which, [RECORD, names["chunks"], names["graph"], ".gitignore"]):
            if name:
                damage(folder / name)
        with contextlib.suppress(BadData):
            assert answers(folder, embedder) == wanted, kind
        build_index(tree, embedder, folder)
        assert answers(folder, embedder) == wanted, kind
        assert clean(folder), kind


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_a_record_that_says_something_else(other, tree, tmp_path, embedder):
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    wanted = answers(folder, embedder)
    files.write_json(folder / RECORD, read_record(folder) | other)
    with pytest.raises(BadData):
        Searcher(folder, embedder)
    assert build_index(tree, embedder, folder).repaired
    assert answers(folder, embedder) == wanted


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_progress_is_made_again(damage, tree, tmp_path, embedder):
    folder = tmp_path / "index"
    status_of(fork(killed_before, 5, tree, embedder, folder))
    assert (folder / MADE).is_file()
    if (folder / MADE).stat().st_size:
        DAMAGES[damage](folder / MADE)
    build_index(tree, embedder, folder)
    build_index(tree, embedder, tmp_path / "whole")
    assert answers(folder, embedder) == answers(tmp_path / "whole", embedder)
    assert clean(folder)


PLANTED = {
    "another program's": "CREATE TABLE notes (id INTEGER)",
    "a trigger": "CREATE TRIGGER x AFTER INSERT ON files BEGIN SELECT 1; END",
    "a view": "CREATE VIEW x AS SELECT 1",
    "another table": "ALTER TABLE files ADD COLUMN x",
    "a vector of text": "UPDATE chunks SET vector = 'text'",
    "a short vector": "UPDATE chunks SET vector = x'0000'",
    "a path of bytes": "UPDATE chunks SET path = x'ff'",
    "text that is no text": "UPDATE chunks SET text = CAST(x'ffff' AS TEXT)",
    "a line that is no number": "UPDATE chunks SET first = 'x'",
    "words of nothing": "UPDATE words SET postings = x'ffffffff0100'",
    "words cut off": "UPDATE words SET postings = x'00'",
    "words of text": "UPDATE words SET postings = 'text'",
    "a number of words that is none": "UPDATE chunks SET words = 'x'",
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("tree", ["small"], indirect=True)
def test_a_foreign_database_with_the_right_checksum(kind, tree, tmp_path, embedder):
    folder = tmp_path / "index"
    build_index(tree, embedder, folder)
    wanted, names = answers(folder, embedder), read_record(folder)
    path = folder / names["chunks"]
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(PLANTED[kind])
    planted = path.rename(folder / CHUNKS_NAME.format(sha256(path)))
    files.write_json(folder / RECORD, names | {"chunks": planted.name})
    with pytest.raises(BadData):
        answers(folder, embedder)
    build_index(tree, embedder, folder, anew=True)
    assert answers(folder, embedder) == wanted


def test_an_index_above_that_is_another_users_must_be_named(tree, embedder, monkeypatch):
    build_index(tree, embedder, tree / FOLDER)
    monkeypatch.chdir(tree / "sub")
    assert find_index(None) == tree / FOLDER
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    with pytest.raises(BadData, match="belongs to another user"):
        find_index(None)
    assert find_index(tree) == tree / FOLDER
