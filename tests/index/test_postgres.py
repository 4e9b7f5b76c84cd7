"""An index in PostgreSQL: the answers of one in a folder, whatever the server lives through."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from commands import run
from helpers import write_csv
from postgres import needs_server

from modernbert.errors import BadOption, NotAvailable
from modernbert.index import postgres
from modernbert.index.build import build_index
from modernbert.index.build_postgres import build_in_postgres
from modernbert.index.hits import as_dict
from modernbert.index.paths import keeper
from modernbert.index.postgres import open_postgres
from modernbert.index.query import Searcher
from modernbert.index.query_postgres import PostgresSearcher, find_any, kept_model
from modernbert.index.server import read_address
from modernbert.runs import RunStore


def many_files(root, count=9):
    for number in range(count):
        (root / f"many{number}.md").write_text(f"good w{number}\n\nfine w{number + 1} w{number}\n")


@needs_server
def test_it_answers_as_an_index_in_a_folder(tree, address, embedder, tmp_path, monkeypatch):
    many_files(tree)
    (tree / "copy.md").write_text((tree / "many3.md").read_text())  # equals come in the order of places
    there = build_in_postgres(tree, embedder, address)
    here = build_index(tree, embedder, tmp_path / "index")
    for name in ("files", "chunks", "new", "embedded", "left_out", "cut", "table"):
        assert getattr(there, name) == getattr(here, name), name
    ours, theirs = PostgresSearcher(address, embedder), Searcher(tmp_path / "index", embedder)
    for query, k in (("good w3", 1), ("good w3", 5), ("fine", 100), ("def bad", 3)):
        assert as_dict(ours.search(query, k)) == as_dict(theirs.search(query, k))
    monkeypatch.setattr(postgres, "MORE", 4)
    for number in range(20):  # more equals than the server is asked for at first
        (tree / f"equal{number}.md").write_text("good w3 fine w9\n")
    build_in_postgres(tree, embedder, address)
    build_index(tree, embedder, tmp_path / "index")
    assert as_dict(ours.search("good w3 w9", 3)) == as_dict(theirs.search("good w3 w9", 3))
    only = {"keep": keeper("code", ())}
    assert as_dict(ours.search("good", 9, **only)) == as_dict(theirs.search("good", 9, **only))
    for place in ("many3.md:1", "sub/b.md:2"):
        assert as_dict(ours.like(place, 4)) == as_dict(theirs.like(place, 4))
    for wrong in ("nowhere.md:1", "many3.md:99", "many3.md"):
        with pytest.raises(BadOption):
            ours.like(wrong)
    with pytest.raises(BadOption, match="--hybrid needs the words"):
        ours.search("good", hybrid=True)


@needs_server
def test_a_table(address, embedder, tmp_path):
    rows = [
        {"id": f"x{i}", "text": f"good w{i} " * (1 + 900 * (i == 2)), "n": "\0"[: i == 3]} for i in range(6)
    ]
    path = write_csv(tmp_path / "a.csv", rows)
    done = build_in_postgres(path, embedder, address)
    assert done.table == {"text": ["text"], "id": "id"} and done.chunks > 6
    searcher = PostgresSearcher(address, embedder)
    assert [hit.row for hit in searcher.search("good w2", 6)].count(3) == 1
    assert searcher.like("x4", 6)[0].columns["id"] != "x4"
    with pytest.raises(BadOption, match="no row"):
        searcher.like("4")
    assert build_in_postgres(path, embedder, address).embedded == 0
    with pytest.raises(BadOption, match=r"this is the index of the table a\.csv"):
        build_in_postgres(tmp_path, embedder, address)


@needs_server
def test_only_what_changed_is_embedded(tree, address, embedder):
    many_files(tree, 3)
    build_in_postgres(tree, embedder, address)
    (tree / "many0.md").write_text("good w0\n\nfine w1 w0\n\nnew w9\n")
    (tree / "many1.md").unlink()
    searcher = PostgresSearcher(address, embedder)
    assert {hit.path: hit.stale for hit in searcher.search("w1", 99)}["many0.md"]
    done = build_in_postgres(tree, embedder, address)
    assert (done.new, done.changed, done.removed) == (0, 1, 1) and done.embedded <= 1
    paths = {hit.path: hit.stale for hit in searcher.search("w1", 99)}
    assert "many1.md" not in paths and not any(paths.values())
    assert build_in_postgres(tree, embedder, address, exclude=["*.md"]).removed == 3
    anew = build_in_postgres(tree, embedder, address, anew=True)
    assert (anew.new, anew.embedded) == (anew.files, anew.chunks)
    assert kept_model(address, anew=False) == (embedder.source.name, embedder.settings.max_length)


@needs_server
def test_a_killed_server_costs_nothing(tree, own_server, embedder, monkeypatch):
    """It dies in the midst of the fourth file; after its restart the same command goes on."""
    server, address = own_server, read_address(own_server.address())
    many_files(tree)
    real, stored, text, sessions = postgres.PostgresStore.put, [], postgres._text, []

    def put(self, path, *given):
        stored.append(path)
        if len(stored) == 4:
            sessions.append(self.connection.info.backend_pid)
        real(self, path, *given)

    def dying(part):
        if sessions:
            server.kill(sessions.pop())
        return text(part)

    monkeypatch.setattr(postgres.PostgresStore, "put", put)
    monkeypatch.setattr(postgres, "_text", dying)
    with pytest.raises(NotAvailable, match="the connection to the PostgreSQL server was lost") as lost:
        build_in_postgres(tree, embedder, address)
    assert "goes on from there" in str(lost.value)
    with pytest.raises(NotAvailable, match="cannot be reached"):
        find_any(address)
    server.start()
    with open_postgres(address) as store:
        assert sorted(store.digests()) == sorted(stored[:3])
    done = build_in_postgres(tree, embedder, address)
    assert done.embedded == 0, "the vectors were made before"
    assert Counter(stored[:3] + stored[4:]) == Counter(dict.fromkeys(stored, 1)), "each file once"
    with open_postgres(address) as store:
        ids = [row[0] for row in store._ask("SELECT path || ':' || first FROM {0}chunks ORDER BY 1")]
        assert len(ids) == len(set(ids)) == done.chunks
    assert len(PostgresSearcher(address, embedder).search("good", 99)) == done.chunks


@needs_server
def test_it_answers_until_the_new_one_is_whole(tree, address, embedder, monkeypatch):
    """`--rebuild` that is stopped, then one that is not, with a search before each file."""
    many_files(tree, 3)
    build_in_postgres(tree, embedder, address)
    searcher = PostgresSearcher(address, embedder)
    before, found = as_dict(searcher.search("good", 99)), []
    (tree / "many0.md").write_text("good\n")
    real = postgres.PostgresStore.put

    def put(self, *given):
        found.append(as_dict(searcher.search("good", 99)))
        if len(found) == 3:
            raise KeyboardInterrupt
        real(self, *given)

    monkeypatch.setattr(postgres.PostgresStore, "put", put)
    stale = [{**hit, "stale": hit["path"] == "many0.md"} for hit in before]
    with pytest.raises(KeyboardInterrupt):
        build_in_postgres(tree, embedder, address, anew=True)
    assert as_dict(searcher.search("good", 99)) == stale
    for _ in range(2):  # names of what was there before do not stand in the way
        done = build_in_postgres(tree, embedder, address, anew=True)
    assert len(found) > 10 and found[:8] == [stale] * 8
    after = as_dict(searcher.search("good", 99))
    assert len(after) == done.chunks and after != before and not any(hit["stale"] for hit in after)
    with open_postgres(address) as store:
        tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = %s"
        assert {row[0] for row in store._ask(tables, (address.schema,))} == {*postgres.TABLES}


@needs_server
def test_a_reader_sees_one_state_beside_a_new_index(tree, address, embedder):
    """What is read after a rebuild, in a block from before it, is what was there before."""
    build_in_postgres(tree, embedder, address)
    with ThreadPoolExecutor() as pool, open_postgres(address) as store:
        rebuilt = pool.submit(build_in_postgres, tree, embedder, address, anew=True)
        with pytest.raises(TimeoutError):
            rebuilt.result(0.5)  # it waits until nobody reads the old tables
        assert store.about()["model"] == embedder.source.name and store.count() > 0
    assert rebuilt.result().new > 0


@needs_server
def test_it_is_served(tree, address, embedder, tmp_path):
    pytest.importorskip("fastapi")
    from served import started

    build_in_postgres(tree, embedder, address)
    with started(RunStore(tmp_path / "none"), models=(), index=address) as serving:
        wanted = as_dict(PostgresSearcher(address, embedder).search("good w1", 2))
        assert len(wanted) == 2 and serving.ask("/search", query="good w1", k=2)["hits"] == wanted
        assert "--hybrid needs the words" in serving.ask("/search", 400, query="good", hybrid=True)
        (tree / "new.md").write_text("good w1\n")
        build_in_postgres(tree, embedder, address)  # which the server notices
        assert serving.ask("/search", query="good w1", k=1)["hits"][0]["path"] == "new.md"


@needs_server
def test_the_commands(tree, address, server, tiny_modernbert):
    uri = server.address("owner:s3cr3t", schema=address.schema)
    code, out, err = run("index", tree, "--store", uri, "--model", tiny_modernbert)
    assert code == 0 and f"Next: mbert search 'what you look for' --index '{address}'" in out
    assert "s3cr3t" not in out + err
    code, out, err = run("search", "good", "-k", "1", "--index", uri, "--json")
    assert code == 0 and len(json.loads(out)) == 1
    code, out, err = run("search", "good", "--index", uri, "--hybrid")
    assert code == 2 and err.startswith("Error: --hybrid needs the words")
    code, out, err = run("index", tree, "--store", uri, "--to", "x")
    assert code == 2 and err.startswith("Error: --to names a folder and --store a database")
