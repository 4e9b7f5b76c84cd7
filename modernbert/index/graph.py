"""The graph of vectors, through which a large index is searched.

The library that reads it trusts its bytes: damaged ones end the process. So a graph's name holds a code of
its content that only this user can make, and a file that does not fit, planted ones too, is not opened.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path
from typing import Any

from modernbert.errors import BadData
from modernbert.files import atomic_file, flush_to_disk, temporary_file
from modernbert.index.record import take_name
from modernbert.index.store import IndexStore
from modernbert.places import own_cache
from modernbert.reading import read_bytes

NAME = "graph.{}.usearch"
KEY_BYTES = 32
# The share of its chunks that may come and go before a graph is made again.
CHANGED = 0.1


def write_graph(folder: Path, store: IndexStore, size: int) -> str:
    """Write the graph of a store's vectors, of `size` numbers each; return its name."""
    graph = _empty(size)
    for ids, vectors_ND in store.vectors(size):
        graph.add(ids.astype("uint64"), vectors_ND)
    key = _key() or _new_key()
    with temporary_file(folder / NAME.format("0" * 64)) as temporary:
        graph.save(str(temporary))
        flush_to_disk(temporary)
        name = NAME.format(_code(temporary, key))
        take_name(temporary, folder / name)
    return name


def open_graph(path: Path, size: int) -> Any | None:
    """Map a graph into memory; None if it is not as this user's `write_graph` left it."""
    key = _key()
    if key is None or not path.is_file() or not hmac.compare_digest(NAME.format(_code(path, key)), path.name):
        return None
    graph = _empty(size)
    graph.view(str(path))
    return graph


def last_of(graph: Any) -> int:
    """Return the largest number of a chunk in a graph."""
    return int(graph.keys[:].max(initial=0))


def covers(graph: Any, store: IndexStore) -> bool:
    """Is a graph still worth using, now that chunks went and others came?"""
    chunks, came = store.count(), store.count(after=last_of(graph))
    went = len(graph) - (chunks - came)
    return came + went <= CHANGED * chunks


def _empty(size: int) -> Any:
    from usearch.index import Index  # few indexes are large enough to need it

    return Index(ndim=size, metric="cos", dtype="f16")


def _code(path: Path, key: bytes) -> str:
    code = hmac.new(key, digestmod="sha256")
    with path.open("rb") as file:
        while block := file.read(2**20):
            code.update(block)
    return code.hexdigest()


def _key() -> bytes | None:
    try:
        key = read_bytes(own_cache() / "index.key")
    except BadData:
        return None
    return key if len(key) == KEY_BYTES else None


def _new_key() -> bytes:
    key = secrets.token_bytes(KEY_BYTES)
    own_cache().mkdir(parents=True, exist_ok=True)
    with atomic_file(own_cache() / "index.key", binary=True) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(key)
    return key
