"""Make a folder in the layout that transformers has had since 4.48, and prove that it is the same model.

transformers 5 names the settings of rotary positions, the order of layers and the tokenizer's class in other
ways. Programs of older versions, and servers in other languages, take the defaults for what they do not know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernbert.errors import BadModel, BadOption
from modernbert.export.export import copy_files, new_folder, subject_of
from modernbert.export.proof import SECONDS
from modernbert.export.subject import ExportRequest, Subject
from modernbert.files import write_json
from modernbert.model.loading import load_tokenizer
from modernbert.model.locate import ModelSource, locate_model, record_of
from modernbert.model.pretrained import quiet_transformers
from modernbert.places import require_new
from modernbert.reading import read_object
from modernbert.records.export import ExportKind, Proof
from modernbert.records.record import FinetuneRecord
from modernbert.runs import RunStore

LEFT_OUT = ("*.bin*", "adapter_*", "*.onnx", ".*")
# Names of transformers 5, and what it keeps for itself.
NEW_SETTINGS = ("rope_parameters", "layer_types", "dtype", "transformers_version", "_name_or_path")
NEW_WORDS = ("backend", "is_local", "local_files_only", "name_or_path")
# Than a graph of another program has to be.
STRICTER = 0.01
# It reads tokenizer.json as it is, in every version.
TOKENIZER = "PreTrainedTokenizerFast"


@dataclass(frozen=True)
class Converted:
    """What was made."""

    folder: Path
    model: str
    kind: ExportKind
    files: dict[str, int]
    proof: Proof
    notes: tuple[str, ...]

    @property
    def megabytes(self) -> float:
        """The size of all files."""
        return sum(self.files.values()) / 1e6

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "folder": str(self.folder), "model": self.model, "kind": self.kind, "megabytes": self.megabytes,
            "files": self.files, "proof": self.proof.as_dict(), "notes": self.notes,
        }  # fmt: skip


def export_classic(request: ExportRequest, store: RunStore) -> Converted:
    """Write a model for transformers 4.48 and later; the folder appears only if it is proven.

    Adapters become part of the weights.

    Raises:
        BadModel: older versions have no settings for such a model, or the outputs are not the model's.
        BadOption: the folder is there, or no rows to prove it on.
        MbertError: model or data cannot be read.
    """
    source = locate_model(request.model, store=store, data_dir=request.data_dir)
    if source.is_export:
        raise BadOption(f"{source.name} is an ONNX graph", fix="Name the run that it was made from.")
    folder = request.output or Path(f"{Path(source.name).name}-hf")
    require_new(folder, overwrite=request.overwrite)
    subject = subject_of(source, request)
    with new_folder(folder, request) as temporary:
        _write(source, subject, temporary)
        copy = locate_model(str(temporary), store=store)
        proof = subject.prove_copy(copy, seconds=math.inf if request.all_lengths else SECONDS)
        _require_same(proof)
        paths = sorted(path for path in temporary.rglob("*") if path.is_file())
        files = {path.relative_to(temporary).as_posix(): path.stat().st_size for path in paths}
    return Converted(folder, source.name, subject.kind, files, proof, (*proof.notes, *_notes(source)))


def _require_same(proof: Proof) -> None:
    """Raise BadModel for outputs that differ: the same weights are run by the same code."""
    far = max([proof.outputs.largest, *(text.largest for text in proof.long)])
    if far > proof.outputs.allowed * STRICTER:
        raise BadModel(f"the folder is not the same model: an output differs by {far:.3g}",
                       fix="Please report this, with the model's configuration.")  # fmt: skip


def _write(source: ModelSource, subject: Subject, folder: Path) -> None:
    copy_files(source, folder, LEFT_OUT)
    if source.base is not None or not any(folder.glob("*.safetensors")):
        with quiet_transformers():
            subject.load().save_pretrained(folder)
    _write_card(source, folder)
    config, tokenizer = folder / "config.json", folder / "tokenizer_config.json"
    write_json(config, classic_config(read_object(config, BadModel), where=str(config)))
    loaded = load_tokenizer(source)
    if not (folder / "tokenizer.json").is_file():
        loaded.backend_tokenizer.save(str(folder / "tokenizer.json"))
    words = read_object(tokenizer, BadModel) if tokenizer.is_file() else {}
    write_json(tokenizer, classic_tokenizer(words, loaded.model_input_names))


def classic_config(config: Mapping[str, Any], *, where: str = "config.json") -> dict[str, Any]:
    """Return a model's settings under the names that transformers had before version 5.

    Raises:
        BadModel: older versions have no names for them.
    """
    kept = {name: value for name, value in config.items() if name not in NEW_SETTINGS}
    if dtype := config.get("dtype") or config.get("torch_dtype"):
        kept["torch_dtype"] = dtype
    if "id2label" in kept:
        kept["num_labels"] = len(kept["id2label"])  # text-embeddings-inference looks for it
    if config.get("model_type") == "modernbert":
        kept |= _rotary(config, where) | _layers(config, where)
    return dict(sorted(kept.items()))


def _rotary(config: Mapping[str, Any], where: str) -> dict[str, float]:
    found = config.get("rope_parameters")
    if not found:
        return {}
    if any(part.get("rope_type", "default") != "default" for part in found.values()):
        raise BadModel("its positions are stretched (rope_type), which older versions cannot do", where=where)
    return {
        "global_rope_theta": float(found["full_attention"]["rope_theta"]),
        "local_rope_theta": float(found["sliding_attention"]["rope_theta"]),
    }


def _layers(config: Mapping[str, Any], where: str) -> dict[str, int]:
    """Return after how many layers a global one comes; older versions know no other order."""
    types = config.get("layer_types")
    if not types:
        return {}
    places = [place for place, kind in enumerate(types) if kind == "full_attention"]
    every = places[1] if len(places) > 1 else len(types)
    if places != list(range(0, len(types), every)):
        raise BadModel("its global layers are not evenly spaced, which older versions cannot do", where=where)
    return {"global_attn_every_n_layers": every}


def classic_tokenizer(words: Mapping[str, Any], inputs: list[str]) -> dict[str, Any]:
    """Return a tokenizer's settings for every version; `inputs` names what it gives the model."""
    kept = {name: value for name, value in words.items() if name not in NEW_WORDS}
    return {**kept, "model_input_names": inputs, "tokenizer_class": TOKENIZER}


def _write_card(source: ModelSource, folder: Path) -> None:
    """Replace what the card says of adapters, which are part of the weights now; an edited card stays."""
    from modernbert.finetuning.card import model_card

    record, card = record_of(source), folder / "README.md"
    if source.base is None or not isinstance(record, FinetuneRecord) or not card.is_file():
        return
    if card.read_text(encoding="utf-8") == model_card(record, source.name):
        card.write_text(model_card(record, source.name, merged=True), encoding="utf-8")


def _notes(source: ModelSource) -> tuple[str, ...]:
    """Say what a run knows beside its model, and other programs do not."""
    record, notes = record_of(source), []
    if not isinstance(record, FinetuneRecord):
        return ()
    if record.thresholds:
        notes.append("its thresholds are not part of the folder; the card names them")
    if record.temperature != 1:
        notes.append("its temperature is not part of the folder; the card names it")
    length = record.config.data.max_length
    notes.append(f"the run read texts up to {length:,} tokens: tell other programs to truncate there")
    return tuple(notes)
