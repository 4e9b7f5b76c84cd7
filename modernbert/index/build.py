"""Bring an index up to date with its files: only what changed is cut and embedded again."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from modernbert.errors import BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.index.chunks import cut_file
from modernbert.index.files import scan
from modernbert.index.store import IndexStore, Stored, open_store
from modernbert.versions import versions

FOLDER = ".mbert-index"
FILES = ("index.json", "chunks.sqlite", "vectors.usearch", ".gitignore")
# Chunks between two commits.
BATCH = 512


@dataclass(frozen=True)
class Indexed:
    """What an index holds now, and what was done to bring it there.

    Attributes:
        folder: the index.
        files, chunks: in the index now.
        new, changed, removed: files since the last time.
        embedded: chunks that got a vector this time.
        left_out: files that cannot be searched, with the reason.
    """

    folder: Path
    files: int
    chunks: int
    new: int
    changed: int
    removed: int
    embedded: int
    left_out: dict[str, str]


def default_folder(root: Path) -> Path:
    """Return where the index of a folder (or a file) is unless it is put elsewhere."""
    return (root if root.is_dir() else root.parent) / FOLDER


def remove_index(folder: Path) -> None:
    """Remove an index, and nothing else that may be in its folder."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def build_index(
    root: Path,
    embedder: Embedder,
    folder: Path,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Indexed:
    """Index a folder of code and text; an index that is there is brought up to date.

    Args:
        root: what to search.
        embedder: the model; an index keeps the one that it was begun with.
        folder: where the index is.
        on_progress: told how many chunks of how many are embedded.

    Raises:
        BadData: nothing can be searched, or the index is damaged or of another version.
        BadOption: the index was built with another model or length.
    """
    found = scan(root)
    if stray := [file.path for file in found.files if (root / file.path).is_relative_to(folder)]:
        raise BadOption(f"the index's folder holds files to index, such as {stray[0]}", where=str(folder))
    with open_store(folder) as store:
        record = _record(root, embedder)
        _require_same(store.record(), record, folder)
        store.write_record(record)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        known, now = store.digests(), {file.path: file.digest for file in found.files}
        removed = [path for path in known if path not in now]
        changed = [path for path in known if path in now and known[path] != now[path]]
        store.forget([*removed, *changed])
        for file in found.files:
            if known.get(file.path) != file.digest:
                store.add(file.path, file.digest, cut_file(PurePosixPath(file.path), file.text))
        embedded = _embed(store, embedder, on_progress)
        store.refresh_graph(int(embedder.model.model.config.hidden_size))
        return Indexed(
            folder=folder,
            files=len(now),
            chunks=store.count(),
            new=len(now.keys() - known.keys()),
            changed=len(changed),
            removed=len(removed),
            embedded=embedded,
            left_out=found.left_out,
        )


def _record(root: Path, embedder: Embedder) -> dict[str, Any]:
    return {
        "root": str(root.resolve()),
        "model": embedder.source.name,
        "key": {name: value for name, value in embedder.key.items() if name not in PLACE},
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }


# What may differ between building and searching: where it runs. The vectors are the same to two digits.
PLACE = ("device", "precision", "attention")


def _require_same(old: dict[str, Any], new: dict[str, Any], folder: Path) -> None:
    if old and old["key"] != new["key"]:
        differing = [name for name in new["key"] if old["key"].get(name) != new["key"][name]]
        raise BadOption(
            f"the index was built with {old['model']}: {', '.join(differing)} differ from {new['model']}'s",
            where=str(folder),
            fix=f"Use --model {old['model']}, or begin anew with --rebuild.",
        )


def _embed(store: IndexStore, embedder: Embedder, on_progress: Callable[[int, int], None]) -> int:
    total, done = store.missing(), 0
    while chunks := store.without_vectors(BATCH):
        vectors_ND = embedder.encode([text_of(stored) for stored in chunks])
        store.add_vectors([stored.id for stored in chunks], vectors_ND)
        done += len(chunks)
        on_progress(done, total)
    return done


def text_of(stored: Stored) -> str:
    """Return what a chunk's vector is made from: its place and name say much of what it is about."""
    title = f"{stored.path} {stored.chunk.name}".strip()
    return f"{title}\n{stored.chunk.text}"
