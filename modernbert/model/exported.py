"""A model that was exported: the same outputs from ONNX Runtime instead of torch.

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
from modernbert.records.export import ExportRecord

INSTALL = "pip install 'mbert[onnx]'"
# Of ONNX Runtime's messages, errors alone.
ERRORS_ALONE = 3


class ExportedNetwork(nn.Module):
    """An exported graph that takes a `PackedBatch` as the packed networks do; it pads the batch.

    It gives logits (N, C), vectors (N, D), or the logits of every token (T, C), by its kind.
    """

    def __init__(self, source: ModelSource) -> None:
        """Load the graph.

        Raises:
            BadModel: a file of it was changed, or it cannot be read.
            NotAvailable: ONNX Runtime is not installed.
        """
        super().__init__()
        self.record = read_export(source.folder)
        self.session = open_session(source.folder, self.record)

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        """Return what the graph gives, fp32."""
        found = torch.from_numpy(self.session.run([self.record.outputs[-1]], self._inputs(batch))[0])
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
def open_session(folder: Path, record: ExportRecord) -> Any:
    """Return a session of ONNX Runtime with as many threads as torch has.

    Raises:
        BadModel, NotAvailable: as `ExportedNetwork`.
    """
    runtime = require_runtime()
    for name, digest in record.files.items():
        if not (path := folder / name).is_file() or sha256(path) != digest:
            raise BadModel("a file of the export is missing or was changed", where=str(path),
                           fix="Export the model again.")  # fmt: skip
    settings = runtime.SessionOptions()
    settings.log_severity_level = ERRORS_ALONE
    settings.intra_op_num_threads = torch.get_num_threads()
    try:
        return runtime.InferenceSession(
            str(folder / record.graph), settings, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime has an exception class for each of its status codes
        said = str(error).splitlines()[0]
        raise BadModel(f"ONNX Runtime cannot read the export: {said}", where=str(folder)) from error


def require_runtime() -> Any:
    """Return the module `onnxruntime`. Raises NotAvailable when it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        raise NotAvailable("an export is run by ONNX Runtime, which is not installed", fix=INSTALL) from None
    return onnxruntime


def machine_for(source: ModelSource, device: str, precision: str) -> Machine:
    """Return what a model is computed on.

    Raises:
        BadOption: the device or precision is not present, or it is an export and made for another.
    """
    if not source.is_export:
        return choose_machine(device, precision)
    if device not in ("auto", "cpu"):
        raise BadOption(f"--device {device}: mbert runs exports on the CPU", fix="Name the run instead.")
    own = read_export(source.folder).precision
    if precision not in ("auto", own):
        raise BadOption(f"--precision {precision}: the export computes in {own}",
                        fix="Leave it out; the precision is part of an export.")  # fmt: skip
    explain("engine", f"ONNX Runtime {require_runtime().__version__}")
    return Machine("cpu", "ONNX Runtime", own, "as it was exported")


def ready_network(
    source: ModelSource, machine: Machine, load: Callable[[], Any]
) -> tuple[nn.Module, ChosenBackend]:
    """Return a network that is ready for inference, in evaluation mode, and its attention.

    Args:
        load: makes the packed network around a model of transformers; not called for an export.
    """
    if source.is_export:
        return ExportedNetwork(source).eval(), ChosenBackend("onnxruntime", "as it was exported")
    network = load()
    attention = attention_of(network.model, machine)  # which it explains to whoever watches
    prepare_inference(network.model, machine)
    return network.eval(), attention
