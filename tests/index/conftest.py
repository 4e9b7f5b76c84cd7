"""A folder to index."""

from __future__ import annotations

import pytest
from postgres import Server, shared

from modernbert.index.server import read_address


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "a.py").write_text("def good_fine(w1):\n    return w1\n\n\ndef bad(w2):\n    return w2\n")
    (root / "sub" / "b.md").write_text("# w5\nlovely w6 w7\n")
    (root / "c.bin").write_bytes(b"\0\1")
    (root / "broken.txt").write_bytes(b"caf\xe9")
    return root


@pytest.fixture(scope="session")
def server(tmp_path_factory, request):
    """Return a server that all processes of the tests share: no test may stop it."""
    own = tmp_path_factory.getbasetemp()
    with shared(own.parent if hasattr(request.config, "workerinput") else own) as started:
        yield started


@pytest.fixture
def own_server(server):
    """Return a server of the test's own."""
    started = Server.new(server.ready)
    yield started
    started.remove()


@pytest.fixture
def address(server, request):
    """Return an address of the test's own."""
    names = (character if character.isalnum() else "_" for character in request.node.name.lower())
    return read_address(server.address(schema="".join(names)[:60]))
