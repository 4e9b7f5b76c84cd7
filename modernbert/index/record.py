"""What an index says of itself, which of its files hold it now, and what is left of a damaged one.

`mbert-index.json` names the file of chunks, whose name holds its SHA-256. To replace that record is to
switch from one state of the index to the next.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Any

from typing_extensions import TypedDict

from modernbert.errors import BadData, MbertError
from modernbert.files import sha256, write_json
from modernbert.index.store import open_store
from modernbert.index.table import Table, is_table
from modernbert.model.light import Light
from modernbert.reading import checked, read_object
from modernbert.temporary import sweep

FOLDER, RECORD, LOCK = ".mbert-index", "mbert-index.json", ".lock"
# Vectors of an index that has not ended.
MADE = "vectors.part"
FORMAT = 4
CHUNKS_NAME = "chunks.{}.sqlite"
_CHUNKS, _GRAPH = r"chunks\.([0-9a-f]{64})\.sqlite", r"graph\.([0-9a-f]{64})\.usearch"
# Of an older version.
OLD_RECORD, OLD_FILES = "index.json", ("chunks.sqlite", "chunks.sqlite-journal", "vectors.usearch")


# What may differ between building and searching: where it runs. The vectors are the same to two digits.
PLACE = ("device", "precision", "attention")


class Key(TypedDict):
    """What a vector depends on; where it is computed changes it in the last digits only."""

    weights: dict[str, str]
    pooling: str
    normalize: bool
    max_length: int
    prompt: str
    lower_case: bool
    special_tokens: str


class About(TypedDict):
    """What an index says of itself, beside its chunks too.

    Attributes:
        root: the folder that is indexed, from the index's own folder if that is inside it.
        model, key: the model by its name, and what else the vectors depend on.
        exclude: patterns of paths that are left out.
        table: the columns of a table; None where files are indexed.
        light: how a query is read without torch; None where that gave another vector.
    """

    format: int
    root: str
    model: str
    key: Key
    light: Light | None
    exclude: list[str]
    table: Table | None
    created: str
    versions: dict[str, Any]


class Record(About):
    """The record of an index: which files hold it now."""

    chunks: str
    graph: str | None


def default_folder(path: Path) -> Path:
    """Return where the index of a folder (or of a file or table) is unless it is put elsewhere."""
    if is_table(path) and not path.is_dir():
        return path.with_name(path.name + FOLDER)
    return (path if path.is_dir() else path.parent) / FOLDER


def index_command(folder: Path, record: About | None = None) -> str:
    """Return what to type to bring an index up to date; `record` tells of what it is, if it is elsewhere."""
    if folder.name == FOLDER:
        return f"mbert index {quote(str(folder.parent))}"
    if folder.name.endswith(FOLDER):
        return f"mbert index {quote(str(folder).removesuffix(FOLDER))}"
    path = quote(str(index_root(folder, record))) if record else "PATH"
    return f"mbert index {path} --to {quote(str(folder))}"


def has_index(folder: Path) -> bool:
    """Is an index in this folder, whole or not?"""
    return os.path.lexists(folder / RECORD) or bool(_chunk_files(folder)) or _is_old(folder)


def read_record(folder: Path) -> Record:
    """Return an index's record.

    Raises:
        BadData: there is none, or it is damaged or of another version.
    """
    if _is_old(folder) and not os.path.lexists(folder / RECORD):
        raise _other_version(folder, 1)
    raw = read_object(folder / RECORD, what="the index's record")
    if raw.get("format", FORMAT) != FORMAT:
        raise _other_version(folder, raw["format"])
    record = checked(Record, raw, where=str(folder / RECORD))
    graph = record["graph"]
    if not re.fullmatch(_CHUNKS, record["chunks"]) or not (graph is None or re.fullmatch(_GRAPH, graph)):
        raise BadData("the index's record is damaged (it names other files)", where=str(folder / RECORD))
    record["key"]["weights"].pop("README.md", None)  # earlier versions took the model's card for weights
    return record


def _other_version(folder: Path, number: object) -> BadData:
    return BadData(
        f"the index has format {number}; this version of mbert reads format {FORMAT}",
        where=str(folder),
        fix=f"Next: {index_command(folder)}",
    )


def checked_chunks(folder: Path, record: Record) -> Path:
    """Return the file of chunks after comparing it with its SHA-256. Raises BadData when it differs."""
    path = folder / record["chunks"]
    if not _fits(path):
        fix = f"Next: {index_command(folder, record)}"
        raise BadData("the index is damaged", where=str(path), fix=fix)
    return path


def restored_record(folder: Path) -> Record | None:
    """Return a record made from a file of chunks that is whole; None if there is none."""
    for path in sorted(_chunk_files(folder), key=lambda path: -path.lstat().st_mtime):
        if _fits(path):
            try:
                with open_store(path) as store:
                    about = checked(About, store.about(), where=str(path))
            except MbertError:
                continue
            about["key"]["weights"].pop("README.md", None)
            if about["format"] == FORMAT:
                return Record(**about, chunks=path.name, graph=None)
    return None


def model_of(folder: Path) -> tuple[str, int] | None:
    """Return the model and the length of an index as far as it still tells them; None if it does not."""
    for name in (RECORD, OLD_RECORD):
        with suppress(BadData):  # of whichever version
            kept = checked(_Kept, read_object(folder / name), where=name)
            return kept["model"], kept["key"]["max_length"]
    record = restored_record(folder)
    return (record["model"], record["key"]["max_length"]) if record else None


class _Length(TypedDict):
    max_length: int


class _Kept(TypedDict):
    model: str
    key: _Length


def index_root(folder: Path, about: About) -> Path:
    """Return the folder that an index is of."""
    return Path(os.path.normpath(Path(os.path.realpath(folder)) / about["root"]))


def switch_to(folder: Path, record: Record) -> None:
    """Make this the index's record."""
    if (folder / RECORD).is_dir():
        remove(folder / RECORD)
    write_json(folder / RECORD, record)


def tidy(folder: Path, record: Record) -> None:
    """Remove an index's files that its record does not name: those from before, and unfinished ones."""
    sweep(folder)
    kept = {record["chunks"], record["graph"]}
    old = (OLD_RECORD, *OLD_FILES) if _is_old(folder) else ()
    for path in folder.iterdir():
        ours = re.fullmatch(f"{_CHUNKS}|{_GRAPH}", path.name)
        if (ours and path.name not in kept) or path.name in old or path.name == MADE:
            remove(path)


def remove(path: Path) -> None:
    """Remove a file, or the folder that somebody put in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def take_name(temporary: Path, path: Path) -> None:
    """Give a file that was written its name, whatever is there."""
    if path.is_dir():
        remove(path)
    temporary.replace(path)


def _fits(path: Path) -> bool:
    try:
        return path.is_file() and path.name == CHUNKS_NAME.format(sha256(path))
    except OSError:
        return False


def _chunk_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("chunks.*.sqlite") if re.fullmatch(_CHUNKS, path.name)]


def _is_old(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (OLD_RECORD, OLD_FILES[0]))
