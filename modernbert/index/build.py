"""Bring an index up to date with its files: only what changed is cut and embedded again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.activity import explain, phase
from modernbert.ahead import ahead
from modernbert.errors import BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.runner import Begun
from modernbert.index.before import Before, columns_of, describe, find_before, require_same, scope_of
from modernbert.index.chunks import Chunk, text_of
from modernbert.index.files import Scan, SourceFile, scan, scan_table
from modernbert.index.made import Made, open_made
from modernbert.index.paths import keeper
from modernbert.index.postgres import PostgresStore
from modernbert.index.record import (
    LOCK,
    About,
    switch_to,
    tidy,
)
from modernbert.index.server import Address
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
        folder: the index; its address if it is in a database.
        files, chunks: in the index now.
        new, changed, removed: files since the last time.
        embedded: chunks that got a vector this time.
        left_out: files that cannot be searched, with the reason.
        repaired: what was wrong with the index, if it was damaged.
        table: the columns of a table; None for files.
        cut: share of the new chunks, of which up to 512 are looked at, that are longer than the model reads.
        max_length: tokens of a chunk that it reads.
    """

    folder: Path | Address
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
    plan = make_plan(path, folder, before, embedder, exclude=exclude, text=text)
    _require_outside(plan, folder)
    make_folder(folder)
    busy = BadOption("another mbert is indexing here", where=str(folder), fix="Wait until it is done.")
    with held(folder, busy, name=LOCK):
        if not anew and find_before(folder) != before:
            raise busy  # it was done just before this one got the lock
        ignore = folder / ".gitignore"
        if not os.path.lexists(ignore):
            ignore.write_text("*\n", encoding="utf-8")
        return _update(folder, before, plan, embedder, on_progress)


@dataclass(frozen=True)
class Plan:
    """What an index is to be, and what it takes to bring it there.

    Attributes:
        about: what it will say of itself.
        root: the folder whose files it holds.
        found: the files that are there now.
        known: the hashes of those that were indexed, as far as they are to be brought up to date.
    """

    about: About
    root: Path
    found: Scan
    known: dict[str, str]

    @property
    def removed(self) -> list[str]:
        """Return the paths that are no longer there."""
        now = {file.path for file in self.found.files}
        return [path for path in self.known if path not in now]

    @property
    def files(self) -> list[SourceFile]:
        """Return the files that are new or have changed."""
        return [file for file in self.found.files if self.known.get(file.path) != file.digest]

    @property
    def changed(self) -> list[str]:
        """Return the paths of those that have changed."""
        return [file.path for file in self.files if file.path in self.known]

    def outcome(self, before: Before, **done: Any) -> Indexed:
        """Return what the index holds once all this is done, and how that came about."""
        return Indexed(
            files=len(before.digests) - len(self.known) + len(self.found.files),
            new=len(self.files) - len(self.changed),
            changed=len(self.changed),
            removed=len(self.removed),
            left_out=self.found.left_out,
            repaired=before.trouble,
            table=self.about["table"],
            **done,
        )


def make_plan(
    path: Path,
    place: Path | Address,
    before: Before,
    embedder: Embedder,
    *,
    exclude: Sequence[str] | None,
    text: Sequence[str],
) -> Plan:
    """Compare what is there with what is indexed in `place`; see `build_index` for the rest."""
    path, root = scope_of(path, place, before)
    table = columns_of(path, place, before, text)
    if exclude is None:
        exclude = before.record["exclude"] if before.record else ()
    about = describe(root, place, embedder, before.record, exclude=list(exclude), table=table)
    if before.record:
        require_same(before.record, about, place)
    found = scan_table(path, root, table) if table else scan(path, root, keeper(exclude=exclude))
    return Plan(about, root, found, _known_in(path, root, before))


def _require_outside(plan: Plan, folder: Path) -> None:
    place, root = os.path.realpath(folder), plan.root
    if stray := [file.path for file in plan.found.files if (root / file.path).is_relative_to(place)]:
        raise BadOption(f"the index's folder holds files to index, such as {stray[0]}", where=str(folder))


def _known_in(path: Path, root: Path, before: Before) -> dict[str, str]:
    """Return the hashes of the indexed files that `path` is, or holds."""
    return {name: value for name, value in before.digests.items() if (root / name).is_relative_to(path)}


def _update(
    folder: Path,
    before: Before,
    plan: Plan,
    embedder: Embedder,
    on_progress: Callable[[int, int], None],
) -> Indexed:
    size, about = embedder.size, plan.about
    record, embedded, cut_share = before.record, 0, 0.0
    if record is None or plan.files or plan.removed or record["exclude"] != about["exclude"]:
        with open_made(folder, about["key"], size) as made:
            cut, texts = cut_files(plan.files)
            if record:
                with open_store(folder / record["chunks"]) as old:
                    take_known(made, {path: texts[path] for path in plan.changed}, old)
            embedded, cut_share = embed_missing(made, texts, embedder, on_progress)

            def fill(store: IndexStore) -> None:
                store.forget([*plan.removed, *plan.changed])
                for file in plan.files:
                    store.add(file.path, file.digest, cut[file.path], made.vectors(texts[file.path]))

            record = write_chunks(folder, about, fill, old=record)
    record, chunks = with_graph(folder, record, size)
    if record != before.record or before.trouble:
        switch_to(folder, record)
    tidy(folder, record)
    return plan.outcome(
        before,
        folder=folder,
        chunks=chunks,
        embedded=embedded,
        cut=cut_share,
        max_length=embedder.settings.max_length,
    )


def cut_files(files: Sequence[SourceFile]) -> tuple[dict[str, list[Chunk]], dict[str, list[str]]]:
    """Return the chunks of each file, and the texts that the model reads of them."""
    with phase("splitting into chunks"):
        cut = {file.path: file.cut() for file in files}
    return cut, {path: [text_of(path, chunk) for chunk in chunks] for path, chunks in cut.items()}


def embed_missing(
    made: Made,
    texts: Mapping[str, list[str]],
    embedder: Embedder,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, float]:
    """Make the vectors that are missing; return how many, and which share of their texts is cut."""
    every = [text for part in texts.values() for text in part]
    share = embedder.share_cut(made.missing(every))
    return _embed(made, every, embedder, on_progress), share


def take_known(made: Made, texts: Mapping[str, list[str]], store: IndexStore | PostgresStore) -> None:
    """Take over the vectors of a changed file's texts that were there before."""
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
