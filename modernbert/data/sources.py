"""Where a task's rows come from: bundle folder, package, Hugging Face cache, Hub; in that order."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from modernbert.activity import phase
from modernbert.connection import connection
from modernbert.data.bundle import verify
from modernbert.data.readers import read_rows
from modernbert.data.rows import Rows
from modernbert.data.task import FileData, FoldData, HubData, PackageData, Task
from modernbert.errors import BadData, NotAvailable
from modernbert.hub import cache_folder, hub_file
from modernbert.places import no_such_file
from modernbert.records.data import Data, Split, StoredCells
from modernbert.temporary import sweep_below


@dataclass(frozen=True)
class LoadedSplit:
    """A split's rows and where they were found, for the record of a run."""

    name: str
    rows: Rows
    found_in: str
    revision: str

    def record(self, task: Task, used: int | None = None) -> Split:
        """Return what a run keeps about this split; `used` is how many of its rows are used, if not told."""
        kept = Split(
            rows=len(self.rows),
            found_in=self.found_in,
            revision=self.revision,
            fingerprint=self.rows.fingerprint((*task.text, task.label)),
        )
        return kept if used is None else kept.with_values(used=used)


def labelled_data(task: Task, splits: dict[str, Split]) -> Data:
    """Return what a run keeps of labelled data: its splits, and how their columns are read."""
    return Data(
        text=task.text,
        label=task.label,
        cluster=task.cluster,
        cells=StoredCells.model_validate(asdict(task.cells)),
        splits=splits,
    )


def bundle_folder(data_dir: Path | None) -> Path | None:
    """Return the bundle folder: the given one, or what `MBERT_DATA` names.

    Raises:
        BadData: the folder does not exist.
    """
    named = data_dir or (Path(os.environ["MBERT_DATA"]) if os.environ.get("MBERT_DATA") else None)
    if named is not None and not named.is_dir():
        raise no_such_file(named, "bundle folder")
    if named is not None:
        sweep_below(named)  # what a killed download left, or had moved aside
    return named


@phase("reading the data")
def load_split(task: Task, split: str, data_dir: Path | None = None) -> LoadedSplit:
    """Find one split of a task.

    Raises:
        NotAvailable: it is in none of the places; the message names them and the command that fetches it.
        BadData: it was found and cannot be read, or its checksum differs.
    """
    if isinstance(task.source, FileData):
        rows = task.source.splits.get(split)
        if rows is None:
            raise BadData(
                f"{task.name} has no split '{split}'", fix=f"It has: {', '.join(task.source.splits)}."
            )
        given = task.source.path  # or the name of a data set on the Hub
        place = given.absolute() if given.exists() else given
        return LoadedSplit(split, rows, str(place), "fingerprint only")
    if isinstance(task.source, FoldData):
        return LoadedSplit(split, task.source.splits[split], task.source.found_in, task.source.revision)
    bundle = bundle_folder(data_dir)
    path = bundle / task.name / f"{split}.jsonl" if bundle else None
    if bundle and path and os.path.lexists(path):
        state = verify(bundle, path)
        return LoadedSplit(split, read_rows(path), f"bundle {path} ({state})", state)
    if isinstance(task.source, PackageData):
        return _from_package(task, task.source, split)
    return _from_hub(task, task.source, split, path)


def _from_package(task: Task, source: PackageData, split: str) -> LoadedSplit:
    if importlib.util.find_spec(source.package) is None:
        raise NotAvailable(
            f"{task.name} reads the Python package '{source.package}', which is not installed",
            fix=f"Install it: {source.install}",
        )
    rows = source.load().get(split)
    if rows is None:
        raise BadData(f"{task.name} has no split '{split}'")
    version = importlib.metadata.version(source.package)
    return LoadedSplit(split, rows, f"package {source.package} {version}", version)


def _from_hub(task: Task, source: HubData, split: str, looked: Path | None) -> LoadedSplit:
    file = f"{source.config}/{split}-00000-of-00001.parquet"
    path = hub_file(source.repo, file, source.revision, repo_type="dataset")
    if path is None:
        raise NotAvailable(
            f"{task.name} ({split}) is not on this machine and the Hub is out of reach\n"
            f"  bundle folder: {looked or 'none given (--data-dir or MBERT_DATA)'}\n"
            f"  cache:         {cache_folder()}\n"
            f"  Hub:           {connection().reason}",
            fix=f"On a machine with network: mbert download {task.name} --to bundle; "
            "then here: --data-dir bundle.\n"
            "Without any network: mbert demo, or mbert finetune codesearch/stdlib --model modernbert-nano.",
        )
    rows = Rows.of(read_rows(path).columns, f"{source.repo} {source.config}/{split}")
    return LoadedSplit(split, rows, f"Hub {source.repo}", source.revision)
