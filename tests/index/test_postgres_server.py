"""What an index in PostgreSQL refuses, and what its server refuses; addresses and their passwords."""

from __future__ import annotations

import json

import pytest
from modernbert.cli.interrupted import what_was_kept
from postgres import needs_server

from modernbert.errors import BadData, BadModel, BadOption, MbertError
from modernbert.index import postgres
from modernbert.index.build_postgres import build_in_postgres
from modernbert.index.postgres import open_postgres
from modernbert.index.query_postgres import PostgresSearcher, find_any
from modernbert.index.server import read_address


def run_sql(server, *statements):
    import psycopg

    with psycopg.connect(server.address(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@needs_server
def test_two_at_once_and_what_is_not_ours(tree, address, server, embedder):
    with open_postgres(address, writing=True), pytest.raises(BadOption, match="another mbert is indexing"):
        build_in_postgres(tree, embedder, address)
    run_sql(server, f"CREATE SCHEMA {address.schema}", f"CREATE TABLE {address.schema}.theirs (x int)")
    with pytest.raises(BadOption, match="holds other tables"):
        build_in_postgres(tree, embedder, address, anew=True)


@needs_server
def test_another_model_is_refused(tree, address, server, embedder, monkeypatch):
    build_in_postgres(tree, embedder, address)
    monkeypatch.setitem(embedder.key, "weights", {"model.safetensors": "other"})
    with pytest.raises(BadOption, match=r"was built with .*: weights differ"):
        build_in_postgres(tree, embedder, address)
    with pytest.raises(BadModel, match="whose weights or settings are not those") as refused:
        PostgresSearcher(address, embedder)
    assert f"mbert index PATH --store '{address}' --rebuild" in str(refused.value)
    monkeypatch.undo()
    run_sql(server, f"UPDATE {address.schema}.about SET record = replace(record, '\"format\"', '\"was\"')")
    with pytest.raises(BadData, match="another format"):
        find_any(address)


@needs_server
def test_what_a_server_refuses(tree, server, embedder, monkeypatch, address):
    run_sql(
        server,
        "CREATE EXTENSION IF NOT EXISTS vector",
        "CREATE ROLE guarded LOGIN PASSWORD 'right'",
        "CREATE ROLE weak LOGIN",
        "CREATE DATABASE bare",
    )
    cases = {
        server.address("guarded:wr%C3%B6ng"): "does not accept this user's password",
        server.address("guarded"): "does not accept this user's password",
        server.address("weak"): r"this user may not do that \(permission denied for database postgres\)",
        server.address("weak", "bare"): "this user may not install pgvector",
        server.address("owner", "none"): r"refuses the connection \(database \"none\" does not exist\)",
        server.address("owner", application="x"): "an option that PostgreSQL does not know",
        "postgresql://owner:hidden@127.0.0.1:1/db": "cannot be reached",
        "postgresql://owner:hidden@nowhere.invalid/db": "cannot be reached",
    }
    for text, said in cases.items():
        with pytest.raises(MbertError, match=said) as refused:
            build_in_postgres(tree, embedder, read_address(text))
        assert "wr%C3" not in str(refused.value) and "hidden" not in str(refused.value)
    monkeypatch.setenv("PGPASSWORD", "right")
    with pytest.raises(BadData, match="there is no index here"):
        find_any(read_address(server.address("guarded", schema="empty")))
    with pytest.raises(BadOption, match="the database has no pgvector"):
        find_any(read_address(server.address("owner", "bare")))


@needs_server
def test_a_password_is_nowhere(tree, server, embedder, tmp_path):
    run_sql(server, "CREATE EXTENSION IF NOT EXISTS vector", "CREATE SCHEMA hidden",
            "CREATE ROLE owner2 LOGIN SUPERUSER")  # fmt: skip
    address = read_address(server.address("owner2:s3cr3t", schema="hidden"))
    done = build_in_postgres(tree, embedder, address)
    assert "s3cr3t" not in f"{done} {address!r} {address}"
    with open_postgres(address) as store:
        assert "s3cr3t" not in json.dumps(store.about())
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]


def test_a_stopped_command_does_not_repeat_the_password():
    for given in (
        ["--store", "postgresql://ann:s3cr3t@host/db"],
        ["--store=postgresql://ann:s3cr3t@host/db"],
    ):
        said = what_was_kept(["index", "src", *given])
        assert "s3cr3t" not in said and "postgresql://ann@host/db" in said
        assert said.startswith("Every file that was stored is whole.")


@pytest.mark.parametrize(
    ("text", "shown", "schema"),
    [
        ("postgresql://ann@host/db", "postgresql://ann@host/db", "mbert"),
        ("postgres://ann:s3%40t@host:5433/db?schema=a_1", "postgres://ann@host:5433/db?schema=a_1", "a_1"),
        ("postgresql:///db?host=/tmp&password=s3", "postgresql:///db?host=/tmp", "mbert"),
        ("postgresql://[::1]:5432/db?sslmode=require", "postgresql://[::1]:5432/db?sslmode=require", "mbert"),
    ],
)
def test_addresses(text, shown, schema):
    address = read_address(text)
    assert (address.shown, address.schema) == (shown, schema)
    assert "s3" not in repr(address) + str(address)


@pytest.mark.parametrize(
    "text",
    [
        "mysql://ann:s3cr3t@host/db", "postgresql://ann:s3@cr3t@host/db", "postgresql://ann:s3/cr3t@host/db",
        "postgresql://ann:s3:cr3t@host/db", "postgresql://ann:s3?cr3t@host/db", "host=h password=s3cr3t",
        "postgresql://ann:s3cr3t@host/db?schema=Drop Table", "postgresql://ann:s3#cr3t@host/db",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_repeating_it(text):
    with pytest.raises(BadOption) as refused:
        read_address(text)
    assert "cr3t" not in str(refused.value)


@pytest.mark.parametrize("refused", ["FeatureNotSupported", "UndefinedFile"])
def test_a_server_without_pgvector(refused):
    errors = pytest.importorskip("psycopg").errors

    class Bare:
        def execute(self, query):
            if query.startswith("CREATE EXTENSION"):
                raise getattr(errors, refused)
            return self

        def fetchone(self):
            return False, False

    with pytest.raises(BadOption, match="the PostgreSQL server has no pgvector"):
        postgres._require_pgvector(Bare(), read_address("postgresql://ann@host/db"), install=True)
