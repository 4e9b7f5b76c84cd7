"""The index as it was found, and what it must have in common with what it is brought up to date with."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modernbert.data.readers import read_rows
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.index.light import light_reading
from modernbert.index.record import (
    FORMAT,
    PLACE,
    About,
    Record,
    checked_chunks,
    has_index,
    index_root,
    read_record,
    restored_record,
)
from modernbert.index.server import Address
from modernbert.index.store import open_store
from modernbert.index.table import Table, is_table, table_of
from modernbert.reading import checked
from modernbert.version import versions


@dataclass(frozen=True)
class Before:
    """The index as it was found: its record, root and files' hashes, as far as they can be read."""

    record: Record | None = None
    root: Path | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


def find_before(folder: Path) -> Before:
    """Return what is left of an index, whole or not; nothing where there is none."""
    if not has_index(folder):
        return Before()
    root = None
    try:
        record = read_record(folder)
        root = index_root(folder, record)
        with open_store(checked_chunks(folder, record)) as store:
            return Before(record, root, store.digests())
    except BadData as error:
        restored = restored_record(folder)
        if not restored:
            return Before(root=root, trouble=f"{error.what}: it was rebuilt")
        with open_store(folder / restored["chunks"]) as store:
            trouble = f"{error.what}: it was restored"
            return Before(restored, index_root(folder, restored), store.digests(), trouble)


def scope_of(path: Path, folder: Path | Address, before: Before) -> tuple[Path, Path]:
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
            fix="Put the new one elsewhere (--to, --store), or begin this one anew (--rebuild).",
        )
    root = before.root or (path if path.is_dir() else path.parent)
    return (path if before.record or not before.trouble else root), root


def columns_of(path: Path, folder: Path | Address, before: Before, text: Sequence[str]) -> Table | None:
    """Return the columns of a table; None for files. Raises BadOption when the index is of something else."""
    is_one = is_table(path) and not path.is_dir()
    if before.record:
        old = before.record["table"]
        if is_one != (old is not None) or (is_one and path.name not in before.digests):
            what = f"the table {min(before.digests, default='')}" if old else "a folder"
            raise BadOption(
                f"this is the index of {what}",
                where=str(folder),
                fix="Put the new one elsewhere (--to, --store), or begin this one anew (--rebuild).",
            )
        if old and not text:
            return old
    if text and not is_one:
        fix = "A table is a CSV, TSV, JSONL or Parquet file."
        raise BadOption("--text-col has no effect: this is no table", where=str(path), fix=fix)
    return table_of(read_rows(path), text) if is_one else None


def describe(
    root: Path, folder: Path | Address, embedder: Embedder, old: Record | None, **what: Any
) -> About:
    """Return what an index will say of itself; `what` it holds besides (`exclude`, `table`).

    Raises:
        BadOption: it is elsewhere than the folder, whose path it cannot write down.
    """
    where = str(root)
    if isinstance(folder, Path) and (place := Path(os.path.realpath(folder))).is_relative_to(root):
        where = os.path.relpath(root, place)
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
        "light": old["light"] if old else light_reading(embedder),
        **what,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }
    return checked(About, about, where="the index")


def require_same(old: About, new: About, folder: Path | Address) -> None:
    """Raise BadOption when an index was built with another model, or other settings of it."""
    ours, theirs = dict(new["key"]), dict(old["key"])
    if differing := [name for name in ours if ours[name] != theirs[name]]:
        raise BadOption(
            f"the index was built with {old['model']}: {', '.join(differing)} differ from {new['model']}'s",
            where=str(folder),
            fix=f"Use --model {old['model']}, or begin anew with --rebuild.",
        )
