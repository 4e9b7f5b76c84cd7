"""Make an export: write the graph and what goes with it, prove it, and only then give it its name."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from modernbert.data.targets import resolve
from modernbert.errors import BadModel, BadOption
from modernbert.export.card import write_export_card
from modernbert.export.classifier import ClassifierSubject
from modernbert.export.formats import FORMATS, WRITTEN, Format, Precision
from modernbert.export.graph import Signature
from modernbert.export.proof import SECONDS, allowed_fall, fall
from modernbert.export.search import EmbedderSubject, RerankerSubject
from modernbert.export.subject import ExportRequest, Subject
from modernbert.export.tagger import TaggerSubject
from modernbert.files import atomic_folder, replaced_folder, sha256, write_json
from modernbert.model.device import describe_hardware
from modernbert.model.late_interaction import is_late_interaction
from modernbert.model.loading import load_config
from modernbert.model.locate import ModelSource, locate_model, record_of
from modernbert.model.similarity import is_similarity
from modernbert.model.tagger import is_tagger
from modernbert.places import require_new
from modernbert.records.export import EXPORT_FILE, ExportRecord, Proof
from modernbert.records.record import now
from modernbert.records.training import LocatedModel
from modernbert.runs import RunStore
from modernbert.version import versions
from modernbert.without_paths import without_paths
from modernbert.wording import counted

# Of a model's folder, what an export does without.
LEFT_OUT = ("*.safetensors*", "*.bin*", "adapter_config.json", "README.md", "*.onnx", ".*")
# The folders of sentence-transformers' modules.
MODULES = re.compile(r"\d+_\w+")


@dataclass(frozen=True)
class Exported:
    """What was made."""

    folder: Path
    record: ExportRecord
    megabytes: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain data; the run's whole record is left out."""
        record = {name: value for name, value in self.record.as_dict().items() if name != "run"}
        return {"folder": str(self.folder), "megabytes": self.megabytes, **record}


def export_model(request: ExportRequest, store: RunStore) -> Exported:
    """Export a model to ONNX or OpenVINO; the folder appears only if the export is proven.

    Raises:
        BadModel: torch cannot export it, its outputs are not torch's, or int8 costs more than the tolerance.
        BadOption: the folder is there, or no rows to prove it on.
        NotAvailable: a package is missing.
        MbertError: model or data cannot be read.
    """
    format_, precision = FORMATS[request.to], request.precision
    format_.require(precision)
    source = locate_model(request.model, store=store, data_dir=request.data_dir)
    if source.is_export:
        raise BadOption(f"{source.name} is an export already", fix="Name the run that it was made from.")
    folder = request.output or Path(f"{Path(source.name).name}-{request.to}{'-int8' * request.int8}")
    require_new(folder, overwrite=request.overwrite)
    subject = subject_of(source, request)
    with new_folder(folder, request) as temporary:
        model = subject.load()
        copy_files(source, temporary, LEFT_OUT)
        if source.base is not None:  # an adapter has no configuration of its own
            model.config.to_json_file(temporary / "config.json", use_diff=False)
        signature = subject.write(model, temporary / WRITTEN)
        record = _record(source, subject, signature, model, format_, precision)
        del model
        format_.convert(temporary / WRITTEN, temporary / format_.graphs["fp32"])
        proof = _prove(subject, record, temporary, store, request)
        require_proven(proof, precision, request.tolerance)
        if request.int8:
            _remove(temporary / format_.graphs["fp32"])
        record = _kept(record, temporary, format_.graphs[precision], precision, proof)
        write_export_card(temporary, record, source, folder.name)
    return Exported(folder, record, sum((folder / name).stat().st_size for name in record.files) / 1e6)


def new_folder(folder: Path, request: ExportRequest) -> AbstractContextManager[Path]:
    """Return the folder to make, which takes its name when it is whole."""
    return replaced_folder(folder) if request.overwrite else atomic_folder(folder)


def subject_of(source: ModelSource, request: ExportRequest) -> Subject:
    """Return what kind of model it is, with the rows of its proof."""
    if is_late_interaction(source.folder):
        raise BadOption(f"{source.name} has a vector for each token, and such a model cannot be exported yet",
                        fix="Export one with a vector for each text (--head vectors).")  # fmt: skip
    if is_similarity(source):
        raise BadOption(f"{source.name} compares the vectors of two texts: it cannot be exported yet",
                        fix="Export one that reads both at once (--pair-encoder cross).")  # fmt: skip
    if is_tagger(source):
        return TaggerSubject(source, request)
    made = (load_config(source).architectures or [""])[0]
    record = record_of(source)
    on = request.on is not None and resolve(request.on, hub=False).is_retrieval
    if record is not None and record.task.kind == "retrieval":
        reranks = record.config.by_name().get("head") == "reranker"
        return RerankerSubject(source, request) if reranks else EmbedderSubject(source, request)
    if record is not None and record.task.kind != "pretraining":
        return ClassifierSubject(source, request)
    if made.endswith("ForSequenceClassification"):
        return RerankerSubject(source, request) if on else ClassifierSubject(source, request)
    return EmbedderSubject(source, request)


def copy_files(source: ModelSource, folder: Path, left_out: Sequence[str]) -> None:
    """Copy a model's files, and the folders that say how vectors are pooled, but for some patterns."""
    for path in sorted(source.folder.iterdir()):
        if any(path.match(pattern) for pattern in left_out):
            continue
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
        elif MODULES.fullmatch(path.name):
            shutil.copytree(path, folder / path.name)


def _record(
    source: ModelSource, subject: Subject, signature: Signature, model: Any, format_: Format,
    precision: Precision,
) -> ExportRecord:  # fmt: skip
    run = record_of(source)
    return ExportRecord(
        created=now(),
        model=LocatedModel.model_validate(without_paths(source.record().as_dict())),
        kind=subject.kind,
        precision="fp32",
        runtime=format_.runtime,
        run=run.without_paths().as_dict() if run else None,
        labels=source.labels,
        graph=str(format_.graphs["fp32"]),
        opset=signature.opset,
        inputs=signature.inputs,
        outputs=signature.outputs,
        pad=model.config.pad_token_id or 0,
        files={"config.json": "0" * 64},
        proof=None,
        hardware=describe_hardware(),
        versions=versions() | {name: _version(name) for name in format_.needs(precision)},
    )


def _version(name: str) -> str:
    import importlib.metadata

    return importlib.metadata.version(name)


def _prove(
    subject: Subject, record: ExportRecord, folder: Path, store: RunStore, request: ExportRequest
) -> Proof:
    """Prove the graph, or with `int8` the one with rounded weights; the other one is timed beside it."""
    seconds = inf if request.all_lengths else SECONDS
    format_ = FORMATS[request.to]
    exact, small = format_.graphs["fp32"], format_.graphs["int8"]
    _kept(record, folder, exact, "fp32", None)
    exports = {"fp32": locate_model(str(folder), store=store)}
    if not request.int8:
        return subject.prove(exports, "fp32", seconds=seconds)
    with atomic_folder(folder / "int8") as rounded:
        for path in folder.iterdir():
            if path.is_file():
                shutil.copyfile(path, rounded / path.name)
        for path in folder.glob("[0-9]_*"):
            shutil.copytree(path, rounded / path.name)
        (rounded / small).parent.mkdir()
        format_.round(folder / exact, rounded / small)
        _kept(record, rounded, small, "int8", None)
    exports["int8"] = locate_model(str(folder / "int8"), store=store)
    found = subject.prove(exports, "int8", seconds=seconds)
    for path in (folder / "int8" / small).parent.iterdir():
        path.rename(folder / small.parent / path.name)
    shutil.rmtree(folder / "int8")
    return found


def _kept(
    record: ExportRecord, folder: Path, graph: Path, precision: Precision, proof: Proof | None
) -> ExportRecord:
    """Write the record beside a graph of this precision; return it."""
    files = {str(p.relative_to(folder)): sha256(p) for p in sorted((folder / graph.parent).iterdir())}
    kept = record.with_values(precision=precision, graph=str(graph), files=files, proof=proof)
    write_json(folder / EXPORT_FILE, kept.as_dict())
    return kept


def _remove(graph: Path) -> None:
    """Remove a graph and the weights beside it."""
    for path in graph.parent.glob(f"{graph.stem}.*"):
        path.unlink()


def require_proven(proof: Proof, precision: str, tolerance: float) -> None:
    """Raise BadModel, with the numbers, for an export that is not the same model, or not good enough."""
    outputs = proof.outputs
    if precision == "fp32":
        far = max([outputs.largest, *(text.largest for text in proof.long)])
        if far > outputs.allowed:
            raise BadModel(f"the export is not the same model: an output differs by {far:.3g}",
                           fix="Please report this, with the model's configuration.")  # fmt: skip
        return
    for metric in proof.metrics[:1]:
        if (lost := fall(metric)) > allowed_fall(metric, tolerance):
            raise BadModel(
                f"int8 costs too much: {metric.metric} is {metric.export:.4f}, and {metric.torch:.4f} "
                f"without it, on {counted(metric.n, 'row')} "
                f"(worse by {lost:.4f}; {tolerance:g} is tolerated)",
                fix="Export without --int8, or raise --tolerance.",
            )
