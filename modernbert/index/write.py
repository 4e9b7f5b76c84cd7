"""Write the next state of an index: a file of chunks, and a graph if they are many."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from modernbert.activity import phase
from modernbert.files import flush_to_disk, sha256, temporary_file
from modernbert.index.graph import covers, open_graph, write_graph
from modernbert.index.nearest import LARGE
from modernbert.index.record import CHUNKS_NAME, About, Record, take_name
from modernbert.index.store import IndexStore, change_store, open_store


@phase("writing the index")
def write_chunks(
    folder: Path, about: About, fill: Callable[[IndexStore], None], *, old: Record | None = None
) -> Record:
    """Write a file of chunks into an index's folder, and return a record that names it.

    Args:
        fill: adds to what is in `old`, or to nothing, and removes from it.
        old: the state to begin with.
    """
    with temporary_file(folder / "chunks.sqlite") as temporary:
        if old:
            shutil.copyfile(folder / old["chunks"], temporary)
        with change_store(temporary, new=old is None) as store:
            store.describe(about)
            fill(store)
        flush_to_disk(temporary)
        name = CHUNKS_NAME.format(sha256(temporary))
        take_name(temporary, folder / name)
    return Record(**about, chunks=name, graph=old["graph"] if old else None)


@phase("bringing the graph up to date")
def with_graph(folder: Path, record: Record, size: int) -> tuple[Record, int]:
    """Return a record that names a graph if the chunks are many enough for one, and how many they are.

    Args:
        size: numbers of a vector.
    """
    with open_store(folder / record["chunks"]) as store:
        chunks = store.count()
        graph = open_graph(folder / record["graph"], size) if record["graph"] else None
        if chunks >= LARGE and (graph is None or not covers(graph, store)):
            record = {**record, "graph": write_graph(folder, store, size)}
    return record, chunks
