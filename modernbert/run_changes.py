"""Remove, rename and tag runs."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from modernbert.errors import BadRun, UnknownName
from modernbert.model.catalogue import CHECKPOINTS
from modernbert.places import no_space_is_an_error
from modernbert.records.record import RunRecord, TrainingRecord
from modernbert.records.references import with_own_name, with_renamed
from modernbert.runs import RunStore, lock, read_run, write_run
from modernbert.temporary import TEMPORARY


def remove_runs(store: RunStore, names: Sequence[str]) -> list[Path]:
    """Remove runs, damaged ones too, and return the folders that they had.

    Nothing is removed when one of the names is wrong. What a kill leaves of a run is no run any more.

    Raises:
        UnknownName: there is no such run.
        BadRun: another process is working on it.
    """
    require_runs(store, names)
    folders = list(dict.fromkeys(store.path(name) for name in names))
    for folder in folders:
        with lock(folder), no_space_is_an_error(folder):
            gone = folder.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
            folder.rename(gone)
        shutil.rmtree(gone)
    return folders


def require_runs(store: RunStore, names: Sequence[str]) -> None:
    """Raise UnknownName unless there is a run of each name, be it damaged."""
    for name in names:
        _require(store, name)


def rename_run(store: RunStore, name: str, new: str) -> Path:
    """Give a run another name, and return its folder.

    The store's other runs, which were trained from it or score it, name it anew. What lies elsewhere, such as
    an index, finds it by its former name, which its record keeps.

    Raises:
        UnknownName: there is no such run.
        BadOption: the new name is none for a run, or is taken.
        BadRun: another process is working on the run.
    """
    _require(store, name)
    store.check_name(new)
    folder, target = store.path(name), store.path(new)
    with lock(folder), no_space_is_an_error(target):
        shutil.rmtree(target, ignore_errors=True)  # what a killed run left there
        with contextlib.suppress(BadRun):  # of a damaged run, the folder alone
            _name_anew(folder, name, new)
        folder.rename(target)
    if name not in CHECKPOINTS:  # which is what the others would mean
        for other in store.names():
            _rename_within(store.path(other), name, new)
    return target


def _name_anew(folder: Path, name: str, new: str) -> None:
    """Write the new name into a run's own record and card."""
    record = read_run(folder)
    _write(folder, record, with_own_name(record, name, new), new)


def _rename_within(folder: Path, name: str, new: str) -> None:
    """Rename a run where another one names it; a run that is worked on or damaged stays as it is."""
    with contextlib.suppress(BadRun, UnknownName), lock(folder):
        record = read_run(folder)
        if (named := with_renamed(record, name, new)) is not record:
            _write(folder, record, named, folder.name)


def _write(folder: Path, before: RunRecord, after: RunRecord, name: str) -> None:
    """Write a run's changed record, and its model's card unless that was edited; `name` is the run's."""
    card = folder / "model" / "README.md"
    if isinstance(before, TrainingRecord) and isinstance(after, TrainingRecord) and card.is_file():
        from modernbert.finetuning.card import model_card, write_card  # takes seconds

        if card.read_text(encoding="utf-8") == model_card(before, folder.name):
            write_card(card.parent, after, name)
    write_run(folder, after)


def tag_run(store: RunStore, name: str, tags: Sequence[str], *, remove: bool = False) -> list[str]:
    """Add tags to a run, or remove them from it, and return those that it has then.

    Raises:
        UnknownName: there is no such run, or it does not have a tag that is to be removed.
        BadRun: another process is working on it, or its record is damaged.
    """
    _require(store, name)
    folder = store.path(name)
    with lock(folder):
        record = read_run(folder)
        kept = list(record.tags)
        if remove and (unknown := [tag for tag in tags if tag not in kept]):
            fix = f"It has: {', '.join(kept) or 'none'}."
            raise UnknownName.among(f"tag of {name}", unknown[0], kept, fix=fix)
        kept = [tag for tag in kept if tag not in tags] if remove else list(dict.fromkeys([*kept, *tags]))
        write_run(folder, record.with_values(tags=tuple(kept)))
    return kept


def _require(store: RunStore, name: str) -> None:
    if not store.has(name):
        store.read(name)
