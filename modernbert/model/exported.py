"""A model that was exported: the same outputs from another runtime instead of torch.

Shape suffixes: N texts, L longest text, T tokens of all texts, C outputs, D vector size.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from modernbert.activity import explain, phase
from modernbert.errors import BadModel, BadOption, NotAvailable
from modernbert.files import sha256
from modernbert.model.backends import ChosenBackend
from modernbert.model.device import Machine, choose_machine
from modernbert.model.encoder import attention_of
from modernbert.model.inference import prepare_inference
from modernbert.model.locate import ModelSource, read_export
from modernbert.model.packing import PackedBatch
from modernbert.model.runtimes import RUNTIMES, Session
from modernbert.records.export import ExportRecord


class ExportedNetwork(nn.Module):
    """An exported graph that takes a `PackedBatch` as the packed networks do; it pads the batch.

    It gives logits (N, C), vectors (N, D), or the logits of every token (T, C), by its kind.
    """

    def __init__(self, source: ModelSource) -> None:
        """Load the graph.

        Raises:
            BadModel: a file of it was changed, or it cannot be read.
            NotAvailable: its runtime is not installed.
        """
        super().__init__()
        self.record = read_export(source.folder)
        self.session = open_session(source.folder, self.record)

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        """Return what the graph gives, fp32."""
        found = torch.from_numpy(self.session(self._inputs(batch)))
        if self.record.kind == "tagger":
            return found[batch.sequence_T, batch.positions_T]
        return found

    def _inputs(self, batch: PackedBatch) -> dict[str, np.ndarray]:
        ones_T = torch.ones_like(batch.ids_T)
        flat = {"input_ids": (batch.ids_T, self.record.pad), "attention_mask": (ones_T, 0)}
        if batch.type_ids_T is not None:
            flat["token_type_ids"] = (batch.type_ids_T, 0)
        return {name: batch.pad(*flat[name]).numpy() for name in self.record.inputs}


@phase("loading the export")
def open_session(folder: Path, record: ExportRecord) -> Session:
    """Return a session of the export's runtime with as many threads as torch has.

    Raises:
        BadModel, NotAvailable: as `ExportedNetwork`.
    """
    runtime = RUNTIMES[record.runtime]
    for name, digest in record.files.items():
        if not (path := folder / name).is_file() or sha256(path) != digest:
            raise BadModel("a file of the export is missing or was changed", where=str(path),
                           fix="Export the model again.")  # fmt: skip
    try:
        return runtime.open(folder / record.graph, record.outputs[-1], torch.get_num_threads())
    except NotAvailable:
        raise
    except Exception as error:  # each runtime has exception classes of its own
        said = str(error).splitlines()[0]
        raise BadModel(f"{runtime.title} cannot read the export: {said}", where=str(folder)) from error


def machine_for(source: ModelSource, device: str, precision: str) -> Machine:
    """Return what a model is computed on.

    Raises:
        BadOption: the device or precision is not present, or it is an export and made for another.
    """
    if not source.is_export:
        return choose_machine(device, precision)
    if device not in ("auto", "cpu"):
        raise BadOption(f"--device {device}: mbert runs exports on the CPU", fix="Name the run instead.")
    record = read_export(source.folder)
    own, runtime = record.precision, RUNTIMES[record.runtime]
    if precision not in ("auto", own):
        raise BadOption(f"--precision {precision}: the export computes in {own}",
                        fix="Leave it out; the precision is part of an export.")  # fmt: skip
    explain("engine", f"{runtime.title} {runtime.require().__version__}")
    return Machine("cpu", runtime.title, own, "as it was exported")


def ready_network(
    source: ModelSource, machine: Machine, load: Callable[[], Any]
) -> tuple[nn.Module, ChosenBackend]:
    """Return a network that is ready for inference, in evaluation mode, and its attention.

    Args:
        load: makes the packed network around a model of transformers; not called for an export.
    """
    if source.is_export:
        export = ExportedNetwork(source)
        return export.eval(), ChosenBackend(export.record.runtime, "as it was exported")
    network = load()
    attention = attention_of(network.model, machine)  # which it explains to whoever watches
    prepare_inference(network.model, machine)
    return network.eval(), attention
