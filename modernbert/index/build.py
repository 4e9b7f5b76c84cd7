"""Bring an index up to date with its files: only what changed is cut and embedded again."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from modernbert.activity import explain, phase
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.index.chunks import cut_file, text_of
from modernbert.index.files import Scan, scan
from modernbert.index.made import Made, open_made
from modernbert.index.record import (
    FOLDER,
    FORMAT,
    LOCK,
    About,
    Record,
    checked_chunks,
    has_index,
    index_root,
    read_record,
    restored_record,
    switch_to,
    tidy,
)
from modernbert.index.store import IndexStore, open_store
from modernbert.index.write import with_graph, write_chunks
from modernbert.places import make_folder
from modernbert.reading import checked
from modernbert.temporary import held
from modernbert.versions import versions

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


@dataclass(frozen=True)
class _Before:
    """The index as it was found: its record, root and files' hashes, as far as they can be read."""

    record: Record | None = None
    root: Path | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


def default_folder(path: Path) -> Path:
    """Return where the index of a folder (or a file) is unless it is put elsewhere."""
    return (path if path.is_dir() else path.parent) / FOLDER


def build_index(
    path: Path,
    embedder: Embedder,
    folder: Path,
    *,
    anew: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Indexed:
    """Index a folder of code and text; an index that is there is brought up to date.

    Until the last moment the index is as it was, whatever happens; then it is as it should be. What was
    interrupted goes on with the vectors that it had made. A damaged index is built anew.

    Args:
        path: what to search. Of the index of a folder above, only this part is brought up to date.
        embedder: the model; an index keeps the one that it was begun with.
        folder: where the index is.
        anew: forget what is indexed there.
        on_progress: told how many chunks of how many are embedded.

    Raises:
        BadData: nothing can be searched.
        BadOption: the index is of another folder, was built with another model or length, or is being
            written; or it cannot be written there.
        DiskFull: no space was left; the index is as it was.
    """
    before = _Before() if anew else _before(folder)
    path, root = _scope(path, folder, before)
    about = _about(root, folder, embedder)
    if before.record:
        _require_same(before.record, about, folder)
    found = scan(path, root)
    _require_outside(found, root, folder)
    make_folder(folder)
    busy = BadOption("another mbert is indexing here", where=str(folder), fix="Wait until it is done.")
    with held(folder, busy, name=LOCK):
        if not anew and _before(folder) != before:
            raise busy  # it was done just before this one got the lock
        ignore = folder / ".gitignore"
        if not os.path.lexists(ignore):
            ignore.write_text("*\n", encoding="utf-8")
        return _update(folder, before, about, found, _known_in(path, root, before), embedder, on_progress)


def _before(folder: Path) -> _Before:
    if not has_index(folder):
        return _Before()
    root = None
    try:
        record = read_record(folder)
        root = index_root(folder, record)
        with open_store(checked_chunks(folder, record)) as store:
            return _Before(record, root, store.digests())
    except BadData as error:
        restored = restored_record(folder)
        if not restored:
            return _Before(root=root, trouble=f"{error.what}: it was rebuilt")
        with open_store(folder / restored["chunks"]) as store:
            trouble = f"{error.what}: it was restored"
            return _Before(restored, index_root(folder, restored), store.digests(), trouble)


def _scope(path: Path, folder: Path, before: _Before) -> tuple[Path, Path]:
    """Return what is brought up to date, and the root of the index, both as whole paths.

    Raises:
        BadOption: the index is of another folder.
    """
    # Of a file, the name is kept: it may be a link.
    path = Path(os.path.realpath(path)) if path.is_dir() else Path(os.path.realpath(path.parent)) / path.name
    if before.root and not path.is_relative_to(before.root):
        raise BadOption(
            f"this is the index of {before.root}",
            where=str(folder),
            fix="Put the new one elsewhere (--to), or begin this one anew (--rebuild).",
        )
    root = before.root or (path if path.is_dir() else path.parent)
    return (path if before.record or not before.trouble else root), root


def _about(root: Path, folder: Path, embedder: Embedder) -> About:
    place = Path(os.path.realpath(folder))
    where = os.path.relpath(root, place) if place.is_relative_to(root) else str(root)
    try:
        where.encode()
    except UnicodeEncodeError:
        raise BadOption(
            "the folder's path is not UTF-8, so an index elsewhere cannot name it",
            fix="Rename the folder, or leave out --to.",
        ) from None
    about = {
        "format": FORMAT,
        "root": where,
        "model": embedder.source.name,
        "key": {name: value for name, value in embedder.key.items() if name not in PLACE},
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }
    return checked(About, about, where="the index")


# What may differ between building and searching: where it runs. The vectors are the same to two digits.
PLACE = ("device", "precision", "attention")


def _require_same(old: About, new: About, folder: Path) -> None:
    ours, theirs = dict(new["key"]), dict(old["key"])
    if differing := [name for name in ours if ours[name] != theirs[name]]:
        raise BadOption(
            f"the index was built with {old['model']}: {', '.join(differing)} differ from {new['model']}'s",
            where=str(folder),
            fix=f"Use --model {old['model']}, or begin anew with --rebuild.",
        )


def _require_outside(found: Scan, root: Path, folder: Path) -> None:
    place = os.path.realpath(folder)
    if stray := [file.path for file in found.files if (root / file.path).is_relative_to(place)]:
        raise BadOption(f"the index's folder holds files to index, such as {stray[0]}", where=str(folder))


def _known_in(path: Path, root: Path, before: _Before) -> dict[str, str]:
    """Return the hashes of the indexed files that `path` is, or holds."""
    return {name: value for name, value in before.digests.items() if (root / name).is_relative_to(path)}


def _update(
    folder: Path,
    before: _Before,
    about: About,
    found: Scan,
    known: dict[str, str],
    embedder: Embedder,
    on_progress: Callable[[int, int], None],
) -> Indexed:
    size = vector_size(embedder)
    now = {file.path: file.digest for file in found.files}
    removed = [path for path in known if path not in now]
    changed = [path for path in known if path in now and known[path] != now[path]]
    files = [file for file in found.files if known.get(file.path) != file.digest]
    record, embedded = before.record, 0
    if record is None or files or removed:
        with open_made(folder, about["key"], size) as made:
            with phase("splitting into chunks"):
                cut = {file.path: cut_file(PurePosixPath(file.path), file.text) for file in files}
            texts = {path: [text_of(path, chunk) for chunk in chunks] for path, chunks in cut.items()}
            embedded = _embed(made, [text for part in texts.values() for text in part], embedder, on_progress)

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
    )


def _embed(made: Made, texts: list[str], embedder: Embedder, on_progress: Callable[[int, int], None]) -> int:
    """Make the vectors that are missing; return how many."""
    missing = made.missing(texts)
    explain("vectors", f"{len(texts) - len(missing):,} of {len(texts):,} chunks have theirs already")
    with phase("embedding", len(missing), "chunks", by_text=True) as now:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            made.add(batch, embedder.encode(batch))
            now.advance(len(batch))
            on_progress(start + len(batch), len(missing))
    return len(missing)


def vector_size(embedder: Embedder) -> int:
    """Return how many numbers a vector has."""
    return int(embedder.model.model.config.hidden_size)
