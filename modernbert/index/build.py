"""Bring an index up to date with its files: only what changed is cut and embedded again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from modernbert.activity import explain, phase
from modernbert.ahead import ahead
from modernbert.errors import BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.runner import Begun
from modernbert.index.before import Before, columns_of, describe, find_before, require_same, scope_of
from modernbert.index.chunks import text_of
from modernbert.index.files import Scan, scan, scan_table
from modernbert.index.made import Made, open_made
from modernbert.index.paths import keeper
from modernbert.index.record import (
    LOCK,
    About,
    switch_to,
    tidy,
)
from modernbert.index.store import IndexStore, open_store
from modernbert.index.table import Table
from modernbert.index.write import with_graph, write_chunks
from modernbert.places import make_folder
from modernbert.temporary import held

# Chunks whose vectors are made at once, and then kept.
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
        repaired: what was wrong with the index, if it was damaged.
        table: the columns of a table; None for files.
        cut: share of the new chunks, of which up to 512 are looked at, that are longer than the model reads.
        max_length: tokens of a chunk that it reads.
    """

    folder: Path
    files: int
    chunks: int
    new: int
    changed: int
    removed: int
    embedded: int
    left_out: dict[str, str]
    repaired: str
    table: Table | None
    cut: float
    max_length: int


def build_index(
    path: Path,
    embedder: Embedder,
    folder: Path,
    *,
    anew: bool = False,
    exclude: Sequence[str] | None = None,
    text: Sequence[str] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Indexed:
    """Index a folder of code and text, or a table; an index that is there is brought up to date.

    Until the last moment the index is as it was, whatever happens; then it is as it should be. What was
    interrupted goes on with the vectors that it had made. A damaged index is built anew.

    Args:
        path: what to search. Of the index of a folder above, only this part is brought up to date.
        embedder: the model; an index keeps the one that it was begun with.
        folder: where the index is.
        anew: forget what is indexed there.
        exclude: patterns of paths to leave out, as in a .gitignore file; None for those of the last time.
        text: a table's columns to search; guessed, or those of the last time, if none is named.
        on_progress: told how many chunks of how many are embedded.

    Raises:
        BadData: nothing can be searched.
        BadOption: the index is of another folder or table, was built with another model or length, or is
            being written; or it cannot be written there.
        DiskFull: no space was left; the index is as it was.
    """
    before = Before() if anew else find_before(folder)
    path, root = scope_of(path, folder, before)
    table = columns_of(path, folder, before, text)
    if exclude is None:
        exclude = before.record["exclude"] if before.record else ()
    about = describe(root, folder, embedder, before.record, exclude=list(exclude), table=table)
    if before.record:
        require_same(before.record, about, folder)
    found = scan_table(path, root, table) if table else scan(path, root, keeper(exclude=exclude))
    _require_outside(found, root, folder)
    make_folder(folder)
    busy = BadOption("another mbert is indexing here", where=str(folder), fix="Wait until it is done.")
    with held(folder, busy, name=LOCK):
        if not anew and find_before(folder) != before:
            raise busy  # it was done just before this one got the lock
        ignore = folder / ".gitignore"
        if not os.path.lexists(ignore):
            ignore.write_text("*\n", encoding="utf-8")
        return _update(folder, before, about, found, _known_in(path, root, before), embedder, on_progress)


def _require_outside(found: Scan, root: Path, folder: Path) -> None:
    place = os.path.realpath(folder)
    if stray := [file.path for file in found.files if (root / file.path).is_relative_to(place)]:
        raise BadOption(f"the index's folder holds files to index, such as {stray[0]}", where=str(folder))


def _known_in(path: Path, root: Path, before: Before) -> dict[str, str]:
    """Return the hashes of the indexed files that `path` is, or holds."""
    return {name: value for name, value in before.digests.items() if (root / name).is_relative_to(path)}


def _update(
    folder: Path,
    before: Before,
    about: About,
    found: Scan,
    known: dict[str, str],
    embedder: Embedder,
    on_progress: Callable[[int, int], None],
) -> Indexed:
    size = embedder.size
    now = {file.path: file.digest for file in found.files}
    removed = [path for path in known if path not in now]
    changed = [path for path in known if path in now and known[path] != now[path]]
    files = [file for file in found.files if known.get(file.path) != file.digest]
    record, embedded, cut_share = before.record, 0, 0.0
    if record is None or files or removed or record["exclude"] != about["exclude"]:
        with open_made(folder, about["key"], size) as made:
            with phase("splitting into chunks"):
                cut = {file.path: file.cut() for file in files}
            texts = {path: [text_of(path, chunk) for chunk in chunks] for path, chunks in cut.items()}
            if record:
                _take_known(made, {path: texts[path] for path in changed}, folder / record["chunks"])
            every = [text for part in texts.values() for text in part]
            cut_share = embedder.share_cut(made.missing(every))
            embedded = _embed(made, every, embedder, on_progress)

            def fill(store: IndexStore) -> None:
                store.forget([*removed, *changed])
                for file in files:
                    store.add(file.path, file.digest, cut[file.path], made.vectors(texts[file.path]))

            record = write_chunks(folder, about, fill, old=record)
    record, chunks = with_graph(folder, record, size)
    if record != before.record or before.trouble:
        switch_to(folder, record)
    tidy(folder, record)
    return Indexed(
        folder=folder,
        files=len(before.digests) - len(known) + len(now),
        chunks=chunks,
        new=len(now.keys() - known.keys()),
        changed=len(changed),
        removed=len(removed),
        embedded=embedded,
        left_out=found.left_out,
        repaired=before.trouble,
        table=about["table"],
        cut=cut_share,
        max_length=embedder.settings.max_length,
    )


def _take_known(made: Made, texts: Mapping[str, list[str]], chunks: Path) -> None:
    """Take over the vectors of a changed file's texts that were there before."""
    with open_store(chunks) as store:
        for path, wanted in texts.items():
            known = store.known_vectors(path, made.size)
            if same := [text for text in made.missing(wanted) if text in known]:
                made.add(same, np.stack([known[text] for text in same]))


def _embed(made: Made, texts: list[str], embedder: Embedder, on_progress: Callable[[int, int], None]) -> int:
    """Make the vectors that are missing; return how many."""
    missing = made.missing(texts)
    explain("vectors", f"{len(texts) - len(missing):,} of {len(texts):,} chunks have theirs already")
    with phase("embedding", len(missing), "chunks", by_text=True) as now:
        batches = (missing[start : start + BATCH] for start in range(0, len(missing), BATCH))
        begin = partial(_begin, embedder)
        for batch, begun in ahead(begin, batches, embedder.runner.size):
            made.add(batch, embedder.finish(begun))
            now.advance(len(batch))
            on_progress(now.done, len(missing))
    return len(missing)


def _begin(embedder: Embedder, batch: list[str]) -> tuple[list[str], Begun]:
    return batch, embedder.begin(batch)
