"""Fetch tasks and models into a bundle folder with checksums, for machines without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modernbert.activity import phase
from modernbert.data.bundle import CHECKSUMS, add_checksums, write_checksums
from modernbert.data.collection import write_collections
from modernbert.data.collections import load_collection
from modernbert.data.registry import families, find_tasks
from modernbert.data.retrieval_task import MadeCollection, RetrievalTask
from modernbert.data.sources import load_split
from modernbert.data.task import Task
from modernbert.errors import NotAvailable, UnknownName
from modernbert.files import replaced_folder
from modernbert.hub import PLAIN_FILES
from modernbert.model.catalogue import CHECKPOINTS, EMBEDDED
from modernbert.model.locate import ModelSource, locate_model
from modernbert.places import make_folder, require_writable
from modernbert.runs import RunStore
from modernbert.temporary import held, sweep_below


@dataclass(frozen=True)
class Downloaded:
    """One task or model in the bundle; `missing` names splits with hidden labels that could not be had."""

    name: str
    folder: Path
    found_in: str
    files: int
    bytes: int
    missing: tuple[str, ...] = ()


def download(
    names: list[str],
    to: Path,
    *,
    store: RunStore,
    data_dir: Path | None = None,
    on_item: Callable[[Downloaded], None] = lambda item: None,
) -> list[Downloaded]:
    """Put tasks, families (`glue`) and models into the bundle at `to`.

    Each appears whole or not at all; one that is there already is replaced.

    Raises:
        UnknownName: a name is neither task nor model.
        NotAvailable: something is neither here nor reachable; what was fetched before stays.
        BadOption, DiskFull: the bundle cannot be written there.
    """
    kinds = [(name, _is_model(name)) for name in names]
    require_writable(to)
    sweep_below(to)
    done = []
    for name, is_model in kinds:
        with phase(f"fetching {name}"), _told_what_works(names):
            items = [_model(name, to, store, data_dir)] if is_model else _tasks(name, to, data_dir)
        for item in items:
            on_item(item)
        done += items
    return done


@contextmanager
def _told_what_works(names: list[str]) -> Iterator[None]:
    """Advise what can be done without the Hub: a bundle is what other commands advise."""
    try:
        yield
    except NotAvailable as error:
        error.fix = (
            f"On a machine with network: mbert download {' '.join(names)} --to bundle; "
            "copy that folder here, and add --data-dir bundle to what uses it.\n"
            f"Without any network: mbert demo, or mbert finetune FILE --model {EMBEDDED}."
        )
        raise


def _is_model(name: str) -> bool:
    family = name.split("/")[0]
    if name in CHECKPOINTS:
        return True
    if family in families():
        return False
    if name.count("/") == 1:
        return True
    known = [*CHECKPOINTS, *families(), *(t.name for tasks in families().values() for t in tasks.values())]
    raise UnknownName.among("task or model", name, known, fix="See `mbert tasks` and `mbert models`.")


def _tasks(name: str, to: Path, data_dir: Path | None) -> list[Downloaded]:
    return [
        _collection(task, to, data_dir) if isinstance(task, RetrievalTask) else _task(task, to, data_dir)
        for task in find_tasks(name)
    ]


def _collection(task: RetrievalTask, to: Path, data_dir: Path | None) -> Downloaded:
    """Write a retrieval task in BEIR's layout: the documents of all its splits, each once."""
    folder = to / task.name
    if isinstance(task.source, MadeCollection):
        return Downloaded(task.name, folder, f"nothing to fetch: {task.source.made_from()}", 0, 0)
    loaded = {split: load_collection(task, split, data_dir) for split in task.splits}
    with _place(folder, to) as temporary:
        write_collections({split: found.collection for split, found in loaded.items()}, temporary)
        found = "; ".join(dict.fromkeys(f"{part.found_in} @ {part.revision}" for part in loaded.values()))
        (temporary / "PROVENANCE.txt").write_text(f"{found}\nlicence: {task.licence}\n{task.citation}\n")
    return _finished(task.name, folder, next(iter(loaded.values())).found_in)


def _task(task: Task, to: Path, data_dir: Path | None) -> Downloaded:
    own = () if task.trains_on else (task.train,)
    splits, missing = [], []
    for name in dict.fromkeys((*own, *task.validation, *task.test)):
        try:
            splits.append(load_split(task, name, data_dir))
        except NotAvailable:
            if name not in task.hidden or not splits:
                raise
            missing.append(name)  # a split without labels: training and scoring do without it
    folder = to / task.name
    with _place(folder, to) as temporary:
        for split in splits:
            names = list(split.rows.columns)
            with (temporary / f"{split.name}.jsonl").open("w", encoding="utf-8") as file:
                for values in zip(*split.rows.columns.values(), strict=True):
                    file.write(json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False) + "\n")
        found = "; ".join(dict.fromkeys(f"{s.found_in} @ {s.revision}" for s in splits))
        (temporary / "PROVENANCE.txt").write_text(f"{found}\nlicence: {task.licence}\n{task.citation}\n")
    return _finished(task.name, folder, splits[0].found_in, tuple(missing))


def _model(name: str, to: Path, store: RunStore, data_dir: Path | None) -> Downloaded:
    source: ModelSource = locate_model(name, store=store, data_dir=data_dir)
    folder = to / "models" / name.replace("/", "--")
    patterns = [*PLAIN_FILES, "*.safetensors", "pytorch_model*.bin"]
    files = sorted({file for pattern in patterns for file in source.folder.glob(pattern) if file.is_file()})
    with _place(folder, to) as temporary:
        for file in files:
            shutil.copyfile(file, temporary / file.name)
        (temporary / "PROVENANCE.txt").write_text(f"{source.found_in} @ {source.revision}\n")
    return _finished(name, folder, source.found_in)


@contextmanager
def _place(folder: Path, bundle: Path) -> Iterator[Path]:
    """Yield an empty folder, which takes its place in the bundle together with its checksums.

    One download at a time does this; the others wait.
    """
    make_folder(bundle)
    with held(bundle):
        with replaced_folder(folder) as temporary:
            yield temporary
            write_checksums(temporary)
        add_checksums(bundle)


def _finished(name: str, folder: Path, found_in: str, missing: tuple[str, ...] = ()) -> Downloaded:
    files = [file for file in folder.rglob("*") if file.is_file() and file != folder / CHECKSUMS]
    size = sum(file.stat().st_size for file in files)
    return Downloaded(name, folder, found_in, len(files), size, missing)
